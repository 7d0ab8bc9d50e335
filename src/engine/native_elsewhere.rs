//! In place of the engine for programs of this host, on systems that lack what its supervisors stand on: it runs nothing, and
//! says so.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::capabilities::KnownKeys;
use super::registry::configuration::RegistryConfiguration;
use super::{Availability, Capabilities, Engine, HostFiles};
use crate::report::error::{Code, Problem};

/// What it can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "native",
    product: "the engine `native`",
    images: false,
    image_files: false,
    programs: false,
    exec: Availability::Nowhere,
    logs: false,
    health: Availability::Nowhere,
    own_network: false,
    resolves_names: false,
    has_socket: false,
    host_files: HostFiles::None,
    volumes: Availability::Nowhere,
    nodes: false,
    sessions: false,
    keys: Some(KnownKeys { of_programs: &[], of_images: &[] }),
};

/// The network on which all programs of this host are.
pub const NETWORK: &str = "loopback";

/// The name of its folder among farrier's state.
pub const FOLDER: &str = "native";

/// No arguments are for farrier itself.
#[must_use]
pub const fn help(_: &[OsString]) -> Option<u8> {
    None
}

/// There is no such engine here.
///
/// # Errors
/// Always.
pub fn open(_: PathBuf, _: RegistryConfiguration) -> Result<Arc<dyn Engine>, Problem> {
    Err(Problem::error(Code::EngineLacks, "farrier runs sidecars on this host only on Linux")
        .hint("Name an `image` by its reference, and use `--engine auto`."))
}

/// Nothing was ever run.
#[must_use]
pub fn is_in_use(_: PathBuf) -> bool {
    false
}
