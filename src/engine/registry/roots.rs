//! Whom farrier trusts to vouch for registries: the authorities that the system trusts, or the files that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name, and those in Docker's folder for one registry.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::{RegistryError, RegistryErrorKind};

/// How to speak TLS with a host for which these files may vouch, too. Blocks.
///
/// # Errors
/// If nothing on this machine says whom to trust.
pub fn tls(additional: &[PathBuf]) -> Result<ClientConfig, RegistryError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Files of many authorities have some that nobody can use any more.
    roots.add_parsable_certificates(system.certs);
    for file in additional {
        match CertificateDer::pem_file_iter(file) {
            Ok(found) => {
                roots.add_parsable_certificates(found.flatten());
            }
            Err(error) => tracing::warn!("{} cannot be read: {error}", file.display()),
        }
    }
    if roots.is_empty() {
        let reason = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let message = format!("this machine has no certificates of trusted authorities{reason}");
        return Err(RegistryError::new(RegistryErrorKind::Untrusted, message));
    }
    with_roots(roots)
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
