//! The probes that ship with farrier: their components are in the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::component::{ComponentError, ComponentFile};
use super::settings_schema::SettingsSchema;
use crate::system::packed::unpack;

/// A component that ships with farrier.
struct BuiltIn {
    name: &'static str,
    part: Part,
    /// SHA-256 of the bytes as lower-case hex.
    digest: &'static str,
}

/// How the program has a component: as it is, or compressed, if few launches need it (`build.rs` lists those).
enum Part {
    Plain(&'static [u8]),
    Compressed(&'static [u8]),
}

impl BuiltIn {
    fn bytes(&self) -> Result<Vec<u8>, ComponentError> {
        match self.part {
            Part::Plain(bytes) => Ok(bytes.to_vec()),
            Part::Compressed(bytes) => {
                unpack(bytes).map_err(|error| ComponentError::Damaged(error.to_string()))
            }
        }
    }
}

/// The build script says where a component lies, and which digest it was stamped with.
macro_rules! built_in {
    ($name:literal) => {
        built_in!(
            $name,
            Part::Plain(include_bytes!(concat!(env!("FARRIER_PROBES_FOLDER"), "/", $name, ".wasm")))
        )
    };
    (compressed $name:literal) => {
        built_in!($name, Part::Compressed(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm.gz"))))
    };
    ($name:literal, $part:expr) => {
        BuiltIn { name: $name, part: $part, digest: env!(concat!("FARRIER_DIGEST_", $name)) }
    };
}

/// The built-in components.
const BUILT_IN: &[BuiltIn] = &[
    built_in!("tcp"),
    built_in!("healthcheck"),
    built_in!("exec"),
    built_in!("skip"),
    built_in!("http"),
    built_in!("log"),
    built_in!(compressed "mcp"),
    built_in!("postgres"),
    built_in!("redis"),
    built_in!(compressed "mysql"),
    built_in!(compressed "memcached"),
    built_in!(compressed "amqp"),
    built_in!(compressed "nats"),
    built_in!(compressed "smtp"),
    built_in!(compressed "grpc"),
];

/// The bytes of a probe that ships with farrier.
#[must_use]
pub fn built_in(name: &str) -> Option<Vec<u8>> {
    BUILT_IN.iter().find(|known| known.name == name).and_then(|known| known.bytes().ok())
}

/// Whether bytes with this SHA-256, wherever they were read, are those of a probe that ships with farrier.
#[must_use]
pub fn is_built_in(digest: &str) -> bool {
    BUILT_IN.iter().any(|known| known.digest == digest)
}

/// The names of the probes that ship with farrier.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|known| known.name)
}

/// The schemas of the settings of the probes that ship with farrier, by their names.
pub fn built_in_schemas() -> impl Iterator<Item = (&'static str, serde_json::Value)> {
    let schema = |known: &BuiltIn| SettingsSchema::of(&*read_once(known).ok()?).ok()?;
    BUILT_IN.iter().filter_map(move |known| Some((known.name, schema(known)?.to_json())))
}

/// The component of a probe that ships with farrier; `None` if there is no such probe.
pub(super) fn built_in_file(name: &str) -> Option<Result<Arc<ComponentFile>, ComponentError>> {
    BUILT_IN.iter().find(|known| known.name == name).map(read_once)
}

/// Reads a component once, however many definitions name it.
fn read_once(known: &BuiltIn) -> Result<Arc<ComponentFile>, ComponentError> {
    static READ: Mutex<BTreeMap<&str, Arc<ComponentFile>>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = read.get(known.name) {
        return Ok(Arc::clone(file));
    }
    let file = Arc::new(ComponentFile::known(known.bytes()?, known.digest)?);
    read.insert(known.name, Arc::clone(&file));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a launch takes as known about a component of farrier's own: its digest, and that it is a probe of the
    /// contract, not too complex to compile.
    #[test]
    fn what_is_known_of_built_in_components_is_true() {
        for known in BUILT_IN {
            let parsed = known.bytes().and_then(ComponentFile::parse);
            let read = read_once(known).map(|file| ComponentFile::clone(&file));
            assert!(parsed.is_ok(), "{}: {parsed:?}", known.name);
            assert_eq!(parsed, read, "{}: build the probes again", known.name);
        }
    }
}
