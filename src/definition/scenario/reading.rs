//! Reads a scenario's file: regular, of a bounded size, and text.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Written, decode};
use crate::definition::layers::told;
use crate::definition::read::text;
use crate::definition::toml;
use crate::report::error::{Code, Place, Problem, Source};
use crate::system::bounded_file;

/// The largest scenario, in bytes.
pub const MOST_BYTES: u64 = 1 << 20;

/// Reads a scenario that somebody named.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<Written, Vec<Problem>> {
    of_bytes(path, bounded_file::read(path, MOST_BYTES))
}

/// Reads a scenario that was found in a folder. Since errors quote it, it must be no link, which could lead to any file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_found(path: &Path) -> Result<Written, Vec<Problem>> {
    of_bytes(path, bounded_file::read_unlinked(path, MOST_BYTES))
}

fn of_bytes(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<Written, Vec<Problem>> {
    let bytes = bytes.map_err(|error| {
        let problem =
            Problem::error(Code::ScenarioUnreadable, format!("the scenario cannot be read: {error}"));
        vec![
            problem
                .at(Place::file(path))
                .hint(format!("Name a TOML file of at most {} MiB.", MOST_BYTES >> 20)),
        ]
    })?;
    parse(&text(path, bytes).map_err(|problem| vec![problem])?)
}

/// Reads a scenario's text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(source: &Arc<Source>) -> Result<Written, Vec<Problem>> {
    let root = toml::parse(&source.text).map_err(|errors| {
        let problem = |error: crate::definition::node::SyntaxError| {
            Problem::error(Code::DefinitionSyntax, error.message)
                .at(Place { source: Arc::clone(source), span: error.span })
                .hint(error.hint)
        };
        errors.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    decode::decode(&root, source).map_err(told)
}
