//! What a component says about itself: its name, version and the like, and who made it and with what, in the `producers`
//! sections of it and of everything in it.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{KnownCustom, Parser, Payload};

use super::component::ComponentFile;
use super::sections::{self, NAME, STANDARD};

/// Values of one kind that are kept: a component may claim anything, any number of times.
const MOST_VALUES: usize = 32;
/// Characters of a name or version that are kept.
const MOST_CHARACTERS: usize = 60;

/// Characters of each of a component's texts that are kept.
const LONGEST_TEXT: usize = 300;

/// What a component says about itself; nobody checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// By the names of the sections, in the order in which they are shown.
    fields: Vec<(&'static str, String)>,
}

impl Metadata {
    /// Reads the sections.
    #[must_use]
    pub fn of(file: &ComponentFile) -> Self {
        let sections = sections::of(&file.bytes);
        let field = |section: &'static str| {
            // A character has at most four bytes.
            let content = sections.get(section)?;
            let bytes = content.get(..4 * LONGEST_TEXT).unwrap_or(content);
            let text: String = String::from_utf8_lossy(bytes).chars().take(LONGEST_TEXT).collect();
            let text = text.trim().to_owned();
            let name = if section == NAME { "name" } else { section };
            (!text.is_empty()).then_some((name, text))
        };
        Self { fields: [NAME].into_iter().chain(STANDARD).filter_map(field).collect() }
    }

    /// Each field with its text.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// The version, if it has one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.fields().find(|(name, _)| *name == "version").map(|(_, text)| text)
    }
}

/// Tools that belong to one language.
const TOOLS: &[(&str, &str)] = &[
    ("wit-bindgen-rust", "Rust"),
    ("componentize-py", "Python"),
    ("componentize-js", "JavaScript"),
    ("wit-bindgen-c", "C"),
    ("wit-bindgen-go", "Go"),
];

/// What the sections say; nobody checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    /// By the section's own field names (`language`, `processed-by`, `sdk`): names with their versions.
    pub fields: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl Producers {
    /// Reads the sections; damaged ones say nothing.
    #[must_use]
    pub fn of(file: &ComponentFile) -> Self {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(&file.bytes) {
            let Ok(Payload::CustomSection(section)) = payload else { continue };
            let KnownCustom::Producers(fields) = section.as_known() else { continue };
            for field in fields.into_iter().map_while(Result::ok) {
                let values = found.fields.entry(field.name.to_owned()).or_default();
                for value in field.values.into_iter().map_while(Result::ok) {
                    if values.len() < MOST_VALUES {
                        values.insert((short(value.name), short(value.version)));
                    }
                }
            }
        }
        found
    }

    /// The languages, without versions.
    #[must_use]
    pub fn languages(&self) -> Vec<&str> {
        let names = |field: &str| self.fields.get(field).into_iter().flatten().map(|(name, _)| name.as_str());
        let said = names("language");
        // Where a compiler's own word was stripped, or is about the interpreter, what made the bindings tells.
        let known = names("processed-by").chain(names("sdk")).filter_map(|tool| {
            TOOLS.iter().find(|(prefix, _)| tool.starts_with(prefix)).map(|(_, language)| *language)
        });
        let languages: BTreeSet<&str> = said.chain(known).collect();
        languages.into_iter().collect()
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

/// The versions of a package (`farrier:probe`, `wasi:io`) among the names of interfaces.
#[must_use]
pub fn versions(file: &ComponentFile) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in file.imports.iter().chain(&file.exports) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        let Some((package, _)) = interface.split_once('/') else { continue };
        packages.entry(package.to_owned()).or_default().insert(version.to_owned());
    }
    packages
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::sections::{SETTINGS_SCHEMA, Sections, of, taken_from, written_to};
    use super::*;

    fn sections(pairs: &[(&'static str, &'static str)]) -> Sections<'static> {
        pairs.iter().map(|(name, text)| (*name, Cow::Borrowed(text.as_bytes()))).collect()
    }

    #[test]
    fn what_is_written_is_read_and_everything_else_stays() {
        let component =
            wat::parse_str("(component (core module (func)) (core module))").expect("a component");
        assert_eq!(of(&component), Sections::new());
        let first = sections(&[(NAME, "orders"), ("version", "1.0.0"), (SETTINGS_SCHEMA, "{}")]);
        let written = written_to(&component, &first).expect("a component");
        assert_eq!(of(&written), first);
        assert!(written.starts_with(&component), "sections are added behind what is there");
        // Written again, they replace those that are there.
        let second = sections(&[(NAME, "stock"), ("version", "2.0.0")]);
        let rewritten = written_to(&written, &second).expect("a component");
        let all = sections(&[(NAME, "stock"), ("version", "2.0.0"), (SETTINGS_SCHEMA, "{}")]);
        assert_eq!(of(&rewritten), all);
        assert!(rewritten.starts_with(&component));
        assert!(rewritten.len() < written.len(), "nothing is there twice");
    }

    #[test]
    fn of_several_sections_the_outermost_counts_and_then_the_first() {
        let inner = "(core module (@custom \"version\" \"inner\") (@custom \"authors\" \"inner\"))";
        let text =
            format!("(component {inner} (@custom \"version\" \"outer\") (@custom \"version\" \"later\"))");
        let component = wat::parse_str(text).expect("a component");
        assert_eq!(of(&component), sections(&[("authors", "inner"), ("version", "outer")]));
    }

    #[test]
    fn a_module_gives_its_sections_away() {
        let text = "(module (@custom \"farrier:name\" \"orders\") (func (export \"f\")) (@custom \"other\" \"stays\"))";
        let module = wat::parse_str(text).expect("a module");
        let (taken, rest) = taken_from(&module).expect("a module");
        assert_eq!(taken, sections(&[(NAME, "orders")]));
        assert_eq!(of(&rest), Sections::new());
        assert!(rest.windows(5).any(|window| window == b"stays"), "other sections stay");
    }
}
