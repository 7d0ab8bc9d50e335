//! A component file from outside: its bytes, digest, imports and exports, without compiling anything.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use wasmparser::{Parser, Payload};

use super::built_in::is_built_in;
use super::complexity::{Complexity, TooComplex};
use super::contract::{self, PACKAGE};
use super::limits::COMPONENT_BYTES;
use super::sections::SETTINGS_SCHEMA;
use crate::definition::{Exceeded, ReadingBudget};
use crate::system::digest::sha256_hex;

pub use super::contract::CONTRACT;

/// The export that makes a component a probe.
const CHECK: &str = "farrier:probe/check@";
/// What follows the first four bytes of a core module.
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
/// The export with `validate`.
const SETTINGS: &str = "farrier:probe/settings@";

/// A component, read once: these bytes are what is hashed, shown, compiled and run.
#[derive(Clone, PartialEq, Eq)]
pub struct ComponentFile {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes as lower-case hex.
    pub digest: String,
    /// Names of the imported interfaces.
    pub imports: Vec<String>,
    /// Names of the exported interfaces.
    pub exports: Vec<String>,
    /// Where the bytes have the schema of the settings.
    pub schema: Option<Range<usize>>,
}

impl fmt::Debug for ComponentFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ComponentFile({} bytes, sha256 {})", self.bytes.len(), self.digest)
    }
}

/// Why bytes are not a probe. The sentences say what they are instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ComponentError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Not a regular file.
    #[error("it is not a regular file")]
    NotAFile,
    /// More than [`COMPONENT_BYTES`].
    #[error("it is larger than {} MiB", COMPONENT_BYTES >> 20)]
    TooLarge,
    /// Not WebAssembly.
    #[error("it is not WebAssembly")]
    NotWebAssembly,
    /// A core module.
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    /// Truncated or malformed.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// No `check` export at all.
    #[error("it is a component, but not a probe: it exports no farrier:probe/check")]
    NoCheck,
    /// More than everything that is read may take.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// More than compiling may take.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
    /// Not the bytes that are pinned; holds their digest. Nothing of them was parsed.
    #[error("it has the digest {0}")]
    OtherDigest(String),
    /// A function of the contract that it lacks, that the contract or WASI lacks, or that has another type.
    #[error("{0}")]
    OtherTypes(String),
    /// A contract that this host does not speak.
    #[error("it is built for farrier:probe@{0}, but this version of farrier supports {CONTRACT}")]
    UnknownVersion(String),
}

impl ComponentFile {
    /// Reads a file, at most [`COMPONENT_BYTES`], without ever waiting on a pipe or a device.
    ///
    /// # Errors
    /// When it is not a component that exports `check` of a contract that is hosted here.
    pub fn read(path: &Path) -> Result<Self, ComponentError> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        Self::from_file(OpenOptions::new().read(true).custom_flags(flags).open(path))
    }

    /// Reads what was opened without waiting (`O_NONBLOCK`), at most [`COMPONENT_BYTES`].
    ///
    /// # Errors
    /// When it was not, or is not a component that exports `check` of a contract that is hosted here.
    pub fn from_file(opened: std::io::Result<File>) -> Result<Self, ComponentError> {
        Self::parse(read_bounded(opened, &ReadingBudget::default())?)
    }

    /// Reads like [`Self::from_file`], within the time of a budget from which the file was taken. Bytes with another digest
    /// than the pin are not parsed.
    ///
    /// # Errors
    /// When they are not the pinned ones, or not a component that exports `check` of a contract that is hosted here, or the
    /// time is over.
    pub fn pinned(file: File, pin: Option<&str>, budget: &ReadingBudget) -> Result<Self, ComponentError> {
        let bytes = read_bounded(Ok(file), budget)?;
        if let Some(pin) = pin {
            let found = sha256_hex(&bytes);
            if found != pin {
                return Err(ComponentError::OtherDigest(found));
            }
        }
        Self::parse(bytes)
    }

    /// Takes bytes apart.
    ///
    /// # Errors
    /// When they are not a component that exports `check` of a contract that is hosted here.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ComponentError> {
        if bytes.len() as u64 > COMPONENT_BYTES {
            return Err(ComponentError::TooLarge);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(ComponentError::NotWebAssembly);
        }
        if bytes.get(4..8) == Some(&CORE_MODULE) {
            return Err(ComponentError::CoreModule);
        }
        // First, because it bounds what reading may take.
        let complexity =
            Complexity::of(&bytes).map_err(|error| ComponentError::Damaged(error.to_string()))?;
        complexity.excess().map_or(Ok(()), Err)?;
        let (imports, exports, schema) = outside(&bytes)?;
        if !exports.iter().any(|name| name.starts_with(CHECK)) {
            return Err(ComponentError::NoCheck);
        }
        let versions = imports.iter().chain(&exports).filter(|name| name.starts_with(PACKAGE));
        // Names are not checked yet: one may have several of these signs, and all behind the first is the version.
        let mut versions = versions.filter_map(|name| name.split_once('@'));
        if let Some((_, found)) = versions.find(|(_, found)| !contract::is_hosted(found)) {
            return Err(ComponentError::UnknownVersion(found.to_owned()));
        }
        // What ships with farrier was compared by its tests.
        let digest = sha256_hex(&bytes);
        if !is_built_in(&digest) {
            contract::compare(&bytes, &imports, &exports).map_err(ComponentError::OtherTypes)?;
        }
        Ok(Self { bytes, digest, imports, exports, schema })
    }

    /// Takes a component apart that ships with farrier: what [`Self::parse`] would find out about it is known.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub(super) fn known(bytes: Vec<u8>, digest: &str) -> Result<Self, ComponentError> {
        let (imports, exports, schema) = outside(&bytes)?;
        Ok(Self { digest: digest.to_owned(), bytes, imports, exports, schema })
    }

    /// Whether it needs anything of WASI.
    #[must_use]
    pub fn imports_wasi(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("wasi:"))
    }

    /// Whether it checks its settings.
    #[must_use]
    pub fn validates_settings(&self) -> bool {
        self.exports.iter().any(|name| name.starts_with(SETTINGS))
    }

    /// The text of the schema of its settings, if it carries one.
    #[must_use]
    pub fn settings_schema(&self) -> Option<&[u8]> {
        self.bytes.get(self.schema.clone()?)
    }
}

/// The bytes of a regular file, at most [`COMPONENT_BYTES`].
fn read_bounded(opened: std::io::Result<File>, budget: &ReadingBudget) -> Result<Vec<u8>, ComponentError> {
    let unreadable = |error: std::io::Error| match Exceeded::of(&error) {
        Some(exceeded) => exceeded.into(),
        None => ComponentError::Unreadable(error.to_string()),
    };
    let file = opened.map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(ComponentError::NotAFile);
    }
    if found.len() > COMPONENT_BYTES {
        return Err(ComponentError::TooLarge);
    }
    let mut bytes = Vec::new();
    budget.timed(file).take(COMPONENT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// What a component shows without being run: its imports, its exports, and where the schema of its settings stands.
type Outside = (Vec<String>, Vec<String>, Option<Range<usize>>);

/// Names of imports and exports of the outermost component, and where the outermost schema of settings stands: a linker that
/// makes components leaves it in the module.
fn outside(bytes: &[u8]) -> Result<Outside, ComponentError> {
    let damaged = |error: wasmparser::BinaryReaderError| ComponentError::Damaged(error.to_string());
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    let mut schema: Option<(usize, Range<usize>)> = None;
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section)
                if section.name() == SETTINGS_SCHEMA
                    && schema.as_ref().is_none_or(|(other, _)| depth < *other) =>
            {
                let start = section.data_offset();
                schema = Some((depth, start..start + section.data().len()));
            }
            _ => {}
        }
    }
    Ok((imports, exports, schema.map(|(_, range)| range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_probe_is_named() {
        let component = |wat: &str| wat::parse_str(wat).expect("valid text");
        let table: Vec<(&str, Vec<u8>, ComponentError)> = vec![
            ("text", b"hello".to_vec(), ComponentError::NotWebAssembly),
            ("empty", Vec::new(), ComponentError::NotWebAssembly),
            ("core module", component("(module)"), ComponentError::CoreModule),
            ("no exports", component("(component)"), ComponentError::NoCheck),
            (
                "a later contract",
                component(r#"(component (instance $i) (export "farrier:probe/check@0.2.0" (instance $i)))"#),
                ComponentError::UnknownVersion("0.2.0".to_owned()),
            ),
            (
                "a version that ends as the contract's",
                component(
                    r#"(component (instance $i) (export "farrier:probe/check@0.2.0@0.1.0" (instance $i)))"#,
                ),
                ComponentError::UnknownVersion("0.2.0@0.1.0".to_owned()),
            ),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(ComponentFile::parse(bytes).expect_err(name), expected, "{name}");
        }
    }

    #[test]
    fn truncated_components_are_damaged_not_fatal() {
        let whole =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/probes/built/tcp.wasm")).expect("tcp");
        assert!(ComponentFile::parse(whole.clone()).is_ok());
        for length in (8..whole.len()).step_by(97) {
            let result = ComponentFile::parse(whole[..length].to_vec());
            assert!(result.is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("pipe.wasm");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("fifo");
        assert_eq!(ComponentFile::read(&path), Err(ComponentError::NotAFile));
        assert_eq!(ComponentFile::read(folder.path()), Err(ComponentError::NotAFile));
    }
}
