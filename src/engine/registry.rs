//! Registries, for engines that pull images themselves and for probes: what a reference names (`reference`), where it
//! may be had (`configuration`), requests (`http`, `roots`) and who makes them (`credentials`, `authorization`), and
//! the calls of the distribution API (`source`, `upload`). Nothing here knows where images and probes are kept.

mod authorization;
pub mod configuration;
mod credentials;
mod error;
mod http;
mod reference;
mod roots;
mod source;
mod upload;

pub use self::credentials::{Credentials, credentials};
pub use self::error::{RegistryError, RegistryErrorKind};
pub use self::reference::Reference;
pub use self::source::{Found, Source, sources};
