//! A new probe's project, from templates that are part of farrier.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::probe::built_in::built_in;
use crate::system::packed::unpack;

/// The SDK's sources: the crate is unpacked into Rust projects, so that what is made with this farrier fits it.
/// The builder of the built-in probes packs them, since a published package cannot hold another's folder.
const SDK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sdk.tar.gz"));

/// The most characters of a name.
const MOST_CHARACTERS: usize = 64;
/// What neither language takes as a name, and what the project itself uses.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "and",
    "app",
    "as",
    "assert",
    "async",
    "await",
    "become",
    "box",
    "break",
    "class",
    "const",
    "continue",
    "core",
    "crate",
    "def",
    "del",
    "do",
    "dyn",
    "elif",
    "else",
    "enum",
    "except",
    "extern",
    "farrier-probe",
    "final",
    "finally",
    "fn",
    "for",
    "from",
    "gen",
    "global",
    "if",
    "impl",
    "import",
    "in",
    "is",
    "lambda",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "nonlocal",
    "not",
    "or",
    "override",
    "pass",
    "priv",
    "proc-macro",
    "pub",
    "raise",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "with",
    "yield",
];

/// What is written in: paths within the project, with their text.
type Template = &'static [(&'static str, &'static str)];

const RUST: Template = &[
    ("Cargo.toml", include_str!("../../templates/probe-rust/Cargo.toml.in")),
    ("README.md", include_str!("../../templates/probe-rust/README.md")),
    (".gitignore", include_str!("../../templates/probe-rust/gitignore")),
    ("src/lib.rs", include_str!("../../templates/probe-rust/lib.rs")),
    ("src/tests.rs", include_str!("../../templates/probe-rust/tests.rs")),
    ("scenarios/starting.toml", include_str!("../../templates/probe-rust/starting.toml")),
];

const PYTHON: Template = &[
    ("README.md", include_str!("../../templates/probe-python/README.md")),
    (".gitignore", include_str!("../../templates/probe-python/gitignore")),
    ("requirements.txt", include_str!("../../templates/probe-python/requirements.txt")),
    ("app.py", include_str!("../../templates/probe-python/app.py")),
    ("test_app.py", include_str!("../../templates/probe-python/test_app.py")),
    ("scenarios/starting.toml", include_str!("../../templates/probe-python/starting.toml")),
    ("settings.schema.json", include_str!("../../templates/probe-python/settings.schema.json")),
    ("wit/world.wit", include_str!("../../templates/probe-python/world.wit")),
    ("wit/deps/farrier-probe/probe.wit", include_str!("../../wit/probe.wit")),
];

/// The files of a project, by their paths in it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Whether a project can have this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let part = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) && !part.is_empty()
    };
    if !name.split('-').all(part) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(
            "it is not in kebab-case: lower-case words of letters and digits, joined by `-`".to_owned()
        );
    }
    if name.len() > MOST_CHARACTERS {
        return Err(format!("it has more than {MOST_CHARACTERS} characters"));
    }
    if built_in(name).is_some() {
        return Err("a probe that ships with farrier has it".to_owned());
    }
    if TAKEN.contains(&name) {
        return Err("it means something else to a compiler".to_owned());
    }
    Ok(())
}

/// A project in Rust.
///
/// # Errors
/// When the packed SDK is damaged.
pub fn rust(name: &str) -> io::Result<Files> {
    let mut files = fill(RUST, name);
    let archive = unpack(SDK)?;
    for entry in tar::Archive::new(archive.as_slice()).entries()? {
        let mut entry = entry?;
        let path = Path::new("farrier-probe").join(entry.path()?);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(path, bytes);
    }
    Ok(files)
}

/// A project in Python.
#[must_use]
pub fn python(name: &str) -> Files {
    fill(PYTHON, name)
}

fn fill(template: Template, name: &str) -> Files {
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{farrier}}", env!("CARGO_PKG_VERSION"));
    template.iter().map(|(path, text)| (PathBuf::from(path), fill(text).into_bytes())).collect()
}

/// Writes a project into a folder that does not exist yet.
///
/// # Errors
/// When it exists, or cannot be written; then nothing of it stays.
pub fn write(folder: &Path, files: &Files) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    let written = files.iter().try_for_each(|(path, bytes)| {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)
    });
    if written.is_err() {
        drop(std::fs::remove_dir_all(folder));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["orders-ready", "db2", "a", "http2-up"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "-a",
            "a-",
            "a--b",
            "Orders",
            "a_b",
            "2db",
            "a/b",
            "..",
            "tcp",
            "self",
            "test",
            "é",
            &"a".repeat(65),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
