//! Bytes that are given as a component, up to the compiler's door.

use super::complexity::Complexity;
use super::component::{ComponentError, ComponentFile};
use super::grants::ungranted;
use super::metadata::{Metadata, Producers, versions};
use super::sections;
use super::settings_schema::{SchemaError, SettingsSchema};
use crate::cli::fuzzing::assert_inspected;
use crate::fuzzing::{assert_shown, assert_told};
use crate::probe::capabilities::{capabilities, foreign, grant_line};
use crate::probe::catalogue::not_a_probe;
use crate::probe::limits::SETTINGS_PROBLEMS;
use crate::report::error::Place;
use crate::report::escape::escape;

/// What every component begins with.
const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// Each kind of producer that is shown, with each of its names.
const MOST_SHOWN: usize = 32 * 32 * 2 * 60 * 4;

/// Any bytes, and the same behind a component's first ones, are one answer, and cost no more than they are long.
pub fn component_bytes(data: &[u8]) {
    bytes(data.to_vec());
    if !data.starts_with(b"\0asm") {
        bytes([&PREAMBLE, data].concat());
    }
}

fn bytes(bytes: Vec<u8>) {
    let counted = Complexity::of(&bytes);
    let unread = ComponentFile {
        bytes: bytes.clone(),
        digest: String::new(),
        imports: Vec::new(),
        exports: Vec::new(),
        schema: None,
    };
    assert_producers(&unread);
    assert!(Metadata::of(&unread).fields().count() <= 1 + sections::STANDARD.len());
    let file = match ComponentFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            assert_told(&not_a_probe("./mine.wasm", &error));
            return;
        }
    };
    assert!(counted.is_ok_and(|counted| counted.excess().is_none()), "what is taken was counted");
    assert_eq!(file.digest.len(), 64);
    assert!(file.exports.iter().any(|name| name.starts_with("farrier:probe/check@")));
    assert_eq!(ComponentFile::parse(file.bytes.clone()), Ok::<_, ComponentError>(file.clone()));
    facets(&file);
    assert_inspected(&file);
    let rewritten = sections::written_to(&file.bytes, &sections::of(&file.bytes)).map(ComponentFile::parse);
    let rewritten = rewritten.map(|file| file.map(|file| (file.imports, file.exports)));
    assert_eq!(rewritten.ok(), Some(Ok((file.imports.clone(), file.exports.clone()))));
}

/// What is said of it from outside.
fn facets(file: &ComponentFile) {
    let offered = capabilities(file);
    assert!(offered.len() <= file.imports.len());
    assert_eq!(file.imports_wasi(), file.imports.iter().any(|name| name.starts_with("wasi:")));
    let _ = (file.validates_settings(), versions(file));
    let problems = ungranted(file, &[], "./mine.wasm", &Place::file(std::path::Path::new("/w/db.toml")));
    problems.iter().for_each(assert_told);
    assert!(foreign(file).is_empty() || !problems.is_empty(), "what is not offered is refused");
    if let Some(line) = grant_line(file) {
        assert_shown(&line);
        assert!(!line.contains('\n'));
    }
}

/// A schema, and behind the first byte 0xff settings: whatever both say, mistakes are few and told, and what farrier understood
/// of the schema means the same.
pub fn settings_schemas(data: &[u8]) {
    let (text, settings) = match data.iter().position(|byte| *byte == 0xff) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"{}"[..]),
    };
    let schema = match SettingsSchema::parse(text) {
        Ok(schema) => schema,
        Err(error) => {
            assert!(error != SchemaError::TooLarge || text.len() > 64 << 10);
            return;
        }
    };
    let (listed, _) = schema.settings();
    for setting in &listed {
        assert_shown(&escape(&setting.line()));
    }
    let understood = schema.to_json();
    assert!(SettingsSchema::parse(understood.to_string().as_bytes()).is_ok(), "{understood}");
    let settings: serde_json::Value = serde_json::from_slice(settings).unwrap_or_default();
    let Some(settings) = settings.as_object() else { return };
    let found = schema.check(settings);
    assert!(found.len() <= SETTINGS_PROBLEMS);
    for violation in found {
        let path = violation.path.clone();
        assert_told(&violation.problem(&path).hint("Correct it."));
    }
}

/// Nobody checks what it says about its makers, so that little of it is kept.
fn assert_producers(file: &ComponentFile) {
    let producers = Producers::of(file);
    let lengths = producers.fields.iter().map(|(field, values)| {
        field.len() + values.iter().map(|(name, version)| name.len() + version.len()).sum::<usize>()
    });
    assert!(lengths.sum::<usize>() <= MOST_SHOWN);
    let _ = producers.languages();
}
