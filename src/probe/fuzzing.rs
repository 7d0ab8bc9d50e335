//! Bytes that are given as a component, up to the compiler's door.

use super::complexity::Complexity;
use super::component::{ComponentError, ComponentFile};
use super::grants::ungranted;
use super::metadata::{Producers, versions};
use crate::cli::fuzzing::assert_inspected;
use crate::fuzzing::{assert_shown, assert_told};
use crate::probe::capabilities::{capabilities, foreign, grant_line};
use crate::probe::catalogue::not_a_probe;
use crate::report::error::Place;

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
    };
    assert_producers(&unread);
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

/// Nobody checks what it says about its makers, so that little of it is kept.
fn assert_producers(file: &ComponentFile) {
    let producers = Producers::of(file);
    let lengths = producers.fields.iter().map(|(field, values)| {
        field.len() + values.iter().map(|(name, version)| name.len() + version.len()).sum::<usize>()
    });
    assert!(lengths.sum::<usize>() <= MOST_SHOWN);
    let _ = producers.languages();
}
