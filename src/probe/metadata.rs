//! Who made a component and with what: the `producers` sections of it and of everything in it.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{KnownCustom, Parser, Payload};

use super::component::ComponentFile;

/// Values of one kind that are kept: a component may claim anything, any number of times.
const MOST_VALUES: usize = 32;
/// Characters of a name or version that are kept.
const MOST_CHARACTERS: usize = 60;

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
