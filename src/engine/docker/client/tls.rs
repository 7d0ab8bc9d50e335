//! Connections to an engine that are encrypted. The engine's certificate is always checked, also where docker's own
//! client would not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::engine::docker::address::TlsFiles;
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

/// What to do about a file that cannot be used.
const CHECK_FILES: &str = "Check the certificates that DOCKER_CERT_PATH, `--tlscacert`, `--tlscert` and `--tlskey`, or the \
                           docker context name: each is a file of PEM.";

/// How to encrypt connections to one engine.
#[derive(Clone)]
pub(super) struct Encryption {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Encryption {
    /// With these files, for the host of an address.
    ///
    /// # Errors
    /// If a file cannot be used, or no certificate can be issued for the host.
    pub(super) fn new(files: &TlsFiles, host: &str) -> EngineResult<Self> {
        let plain = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(plain)
            .map_err(|_| unusable(format!("`{host}` is no name that a certificate could have")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(format!("TLS cannot be used: {error}")))?
            .with_root_certificates(authorities(files.authorities.as_deref())?);
        let config = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_file = PrivateKeyDer::from_pem_file(key);
                let private = key_file.map_err(|error| unusable(format!("{}: {error}", key.display())))?;
                config.with_client_auth_cert(chain, private).map_err(|error| {
                    unusable(format!("{} and {}: {error}", certificate.display(), key.display()))
                })?
            }
            (None, None) => config.with_no_client_auth(),
            (Some(alone), None) => return Err(unusable(format!("{} has no private key", alone.display()))),
            (None, Some(alone)) => return Err(unusable(format!("{} has no certificate", alone.display()))),
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Encrypts a connection.
    pub(super) async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// Those in the file, and nobody else; without one, those that this machine trusts.
fn authorities(file: Option<&Path>) -> EngineResult<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(format!("{}: {error}", file.display())))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> EngineResult<Vec<CertificateDer<'static>>> {
    let unreadable = |error: rustls::pki_types::pem::Error| unusable(format!("{}: {error}", file.display()));
    let found = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if found.is_empty() {
        return Err(unusable(format!("{} has no certificate", file.display())));
    }
    Ok(found)
}

fn unusable(message: String) -> EngineError {
    EngineError { hints: vec![CHECK_FILES], ..EngineError::new(EngineErrorKind::Unreachable, message) }
}
