//! Whom farrier trusts to vouch for registries: the authorities that the system trusts, or the files that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name, and those in Docker's folder for one registry.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::{RegistryError, RegistryErrorKind};
use crate::system::{authorities, bounded_file};

/// The largest file of certificates that is read, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// How to speak TLS with a host for which these files may vouch, too. Blocks.
///
/// # Errors
/// If nothing on this machine says whom to trust.
pub fn tls(additional: &[PathBuf]) -> Result<ClientConfig, RegistryError> {
    let system = authorities::of_this_machine();
    let mut roots = system.clone().unwrap_or_else(|_| RootCertStore::empty());
    for file in additional {
        match bounded_file::read(file, MOST_BYTES) {
            Ok(bytes) => {
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
            }
            Err(error) => tracing::warn!("{} cannot be read: {error}", file.display()),
        }
    }
    match system {
        Err(none) if roots.is_empty() => Err(RegistryError::new(RegistryErrorKind::Untrusted, none)),
        _ => with_roots(roots),
    }
}

/// How to speak TLS with nobody: for a host that is asked without it.
///
/// # Errors
/// Never for what this program is built with.
pub fn nobody() -> Result<ClientConfig, RegistryError> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, RegistryError> {
    let unsupported = |error: rustls::Error| RegistryError::invalid(format!("TLS cannot be used: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unsupported)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
