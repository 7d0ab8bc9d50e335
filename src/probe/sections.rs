//! The custom sections in which a probe says what it is and which settings it accepts. Shared with the builder of the
//! built-in probes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::{ComponentNameSection, CustomSection, RawSection, Section};
use wasmparser::{BinaryReaderError, ComponentName, CustomSectionReader, KnownCustom, Parser, Payload};

/// The section with the JSON Schema of a probe's settings.
pub const SETTINGS_SCHEMA: &str = "farrier:settings-schema";
/// The component's name. A core module has it in a section of this name, where the SDK writes it; a component has it where
/// the component model puts it.
pub const NAME: &str = "farrier:name";
/// The sections with one text each that the tools of the Bytecode Alliance read and write, too (`wasm-tools metadata`).
pub const STANDARD: [&str; 7] =
    ["version", "description", "authors", "licenses", "source", "homepage", "revision"];

/// Where the component model has a component's name.
const COMPONENT_NAME: &str = "component-name";
/// What each module and component begins with.
const HEADER: usize = 8;

/// The content of sections by their names.
pub type Sections<'b> = BTreeMap<&'static str, Cow<'b, [u8]>>;

/// The sections of a module or component. Of several with one name, the outermost counts, and of these the first. A part
/// that is damaged has none.
pub fn of(bytes: &[u8]) -> Sections<'_> {
    let mut found: BTreeMap<&'static str, (usize, &[u8])> = BTreeMap::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) => {
                let Some((name, content)) = known(&section) else { continue };
                let has_another = found.get(name).is_some_and(|(other, _)| *other <= depth);
                if !has_another && !content.is_empty() {
                    found.insert(name, (depth, content));
                }
            }
            _ => {}
        }
    }
    found.into_iter().map(|(name, (_, content))| (name, Cow::Borrowed(content))).collect()
}

/// A section's name and content, if it is one of those above.
fn known<'b>(section: &CustomSectionReader<'b>) -> Option<(&'static str, &'b [u8])> {
    if section.name() == COMPONENT_NAME {
        let KnownCustom::ComponentName(names) = section.as_known() else { return None };
        let name = names.into_iter().map_while(Result::ok).find_map(|name| match name {
            ComponentName::Component { name, .. } => Some(name),
            _ => None,
        });
        return name.map(|name| (NAME, name.as_bytes()));
    }
    let name = STANDARD.into_iter().chain([SETTINGS_SCHEMA, NAME]).find(|name| *name == section.name())?;
    Some((name, section.data()))
}

/// A core module without these sections, for the component that gets them.
///
/// # Errors
/// The module is damaged.
pub fn taken_from(module: &[u8]) -> Result<(Sections<'_>, Vec<u8>), BinaryReaderError> {
    let taken = of(module);
    let names: Vec<&str> = STANDARD.into_iter().chain([SETTINGS_SCHEMA, NAME]).collect();
    without(module, &names).map(|module| (taken, module))
}

/// A component with these sections, in place of those that it has. With another name, it loses the names of its parts, which
/// only tools for debugging show.
///
/// # Errors
/// The component is damaged.
pub fn written_to(component: &[u8], sections: &Sections<'_>) -> Result<Vec<u8>, BinaryReaderError> {
    let in_component = |name: &'static str| if name == NAME { COMPONENT_NAME } else { name };
    let names: Vec<&str> = sections.keys().copied().map(in_component).collect();
    let mut bytes = without(component, &names)?;
    for (name, content) in sections {
        if *name == NAME {
            let mut names = ComponentNameSection::new();
            names.component(&String::from_utf8_lossy(content));
            names.as_custom().append_to(&mut bytes);
        } else {
            CustomSection { name: (*name).into(), data: Cow::Borrowed(content) }.append_to(&mut bytes);
        }
    }
    Ok(bytes)
}

/// A module or component without its custom sections of these names; what is nested in it stays.
fn without(bytes: &[u8], names: &[&str]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut kept = part(bytes, 0..HEADER).to_vec();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Payload::CustomSection(section) if names.contains(&section.name()) && depth == 0 => continue,
            _ => {}
        }
        if let (0, Some((id, range))) = (depth, payload.as_section()) {
            RawSection { id, data: part(bytes, range) }.append_to(&mut kept);
        }
        if matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) {
            depth += 1;
        }
    }
    Ok(kept)
}

/// Versions of wasmparser differ in how they count bytes.
fn part<N: TryInto<usize>>(bytes: &[u8], range: Range<N>) -> &[u8] {
    let index = |offset: N| offset.try_into().unwrap_or(usize::MAX);
    bytes.get(index(range.start)..index(range.end)).unwrap_or_default()
}
