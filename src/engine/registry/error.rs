//! How a registry fails.

use std::error::Error;
use std::io;
use std::net::IpAddr;

/// The most characters of a message.
const MOST_CHARACTERS: usize = 1000;

/// Why a request to a registry failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryErrorKind {
    /// Nothing answers there, or the connection broke.
    Unreachable,
    /// Its certificate is not to be trusted, or nothing here says which are.
    Untrusted,
    /// It wants another login, or does not let this one have the image.
    Denied,
    /// It has no such image.
    NotFound,
    /// It cannot answer now.
    Busy,
    /// Its answer is not what it should be.
    Invalid,
    /// It has the image, but not for this machine.
    OtherMachine,
}

/// A registry that names a host that nobody but this machine reaches.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the registry leads to {0}, which only this machine reaches")]
pub(super) struct ForbiddenAddress(pub IpAddr);

/// A request to a registry that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct RegistryError {
    /// What callers decide on.
    pub kind: RegistryErrorKind,
    /// What happened, in words.
    pub message: String,
}

impl RegistryError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: RegistryErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // Registries choose parts of it.
        if let Some((end, _)) = message.char_indices().nth(MOST_CHARACTERS) {
            message.truncate(end);
            message.push('…');
        }
        Self { kind, message }
    }

    /// An answer that is not what it should be.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(RegistryErrorKind::Invalid, message)
    }

    /// A host could not be asked.
    pub(super) fn of_connection(host: &str, error: &(dyn Error + 'static)) -> Self {
        if let Some(astray) = causes(error).find_map(|cause| cause.downcast_ref::<ForbiddenAddress>()) {
            return Self::invalid(astray.to_string());
        }
        let kind = if is_of_certificate(error) {
            RegistryErrorKind::Untrusted
        } else {
            RegistryErrorKind::Unreachable
        };
        let what = match kind {
            RegistryErrorKind::Untrusted => "is not trusted",
            _ => "does not answer",
        };
        Self::new(kind, format!("the registry at {host} {what}: {}", root_cause(error)))
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self.kind, RegistryErrorKind::Unreachable | RegistryErrorKind::Busy)
    }
}

impl From<io::Error> for RegistryError {
    fn from(error: io::Error) -> Self {
        Self::invalid(error.to_string())
    }
}

/// An error and what caused it, the innermost last. An [`io::Error`] does not count what it holds as its cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}

fn is_of_certificate(error: &(dyn Error + 'static)) -> bool {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
