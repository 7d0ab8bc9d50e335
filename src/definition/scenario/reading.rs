//! Reads a scenario's file: regular, of a bounded size, and text.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Written, decode};
use crate::definition::layers::told;
use crate::definition::read::text;
use crate::definition::toml;
use crate::report::error::{Code, Place, Problem, Source};

/// The largest scenario, in bytes.
pub const MOST_BYTES: u64 = 1 << 20;

/// Reads a scenario.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<Written, Vec<Problem>> {
    let bytes = bytes(path).map_err(|error| {
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

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Without it, opening a named pipe waits for somebody to write to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}
