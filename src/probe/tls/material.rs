//! The files that a grant of TLS names, read and checked before anything starts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::authorities::Authorities;
use super::provider;
use crate::definition::Exceeded;
use crate::definition::grants::ClientCertificate;
use crate::definition::model::Definition;
use crate::report::error::{Code, Problem};
use crate::system::digest::sha256_hex;

/// A file cannot be used for TLS.
#[derive(Debug)]
pub struct MaterialError {
    /// Its key within `grants.tls`.
    key: &'static str,
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Unreadable(io::Error),
    Unusable(String),
}

impl std::fmt::Display for MaterialError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match &self.reason {
            Reason::Unreadable(error) => write!(formatter, "the file `{path}` cannot be read: {error}"),
            Reason::Unusable(reason) => {
                write!(formatter, "the file `{path}` cannot be used for TLS: {reason}")
            }
        }
    }
}

impl MaterialError {
    /// The problem of a definition whose readiness has this name.
    #[must_use]
    pub fn problem(&self, definition: &Definition, field: &str) -> Problem {
        let place = definition.place(&format!("{field}.grants.tls.{}", self.key));
        if let Reason::Unreadable(error) = &self.reason
            && let Some(exceeded) = Exceeded::of(error)
        {
            return Problem::from(exceeded).at(place);
        }
        let hint = match (&self.reason, self.key) {
            (Reason::Unreadable(_), _) => "Name a file of at most 1 MiB; in the workspace, one inside it.",
            (Reason::Unusable(_), "key") => {
                "Name the certificate's private key in PEM, without a passphrase: `openssl pkey -in KEY -out NEW` removes it."
            }
            (Reason::Unusable(_), _) => {
                "Name a file with certificates in PEM (`-----BEGIN CERTIFICATE-----`)."
            }
        };
        Problem::error(Code::GrantUnreadable, self.to_string()).at(place).hint(hint)
    }
}

/// Reads files, and remembers what was read.
pub struct Files<R> {
    content: R,
    /// Key, path and digest of each.
    pub read: Vec<(&'static str, PathBuf, String)>,
}

impl<R: Fn(&Path) -> io::Result<Vec<u8>>> Files<R> {
    pub fn new(content: R) -> Self {
        Self { content, read: Vec::new() }
    }

    /// Who may vouch for servers.
    pub fn authorities(&mut self, path: &Path) -> Result<Authorities, MaterialError> {
        let certificates = self.certificates("ca", path)?;
        Authorities::of_file(certificates).map_err(|reason| unusable("ca", path, reason))
    }

    /// A client certificate with its key.
    pub fn client(&mut self, files: &ClientCertificate) -> Result<Arc<CertifiedKey>, MaterialError> {
        let chain = self.certificates("cert", &files.cert)?;
        let bytes = self.content("key", &files.key)?;
        let of_key = |reason: String| unusable("key", &files.key, reason);
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| of_key("it contains no private key in PEM that has no passphrase".to_owned()))?;
        let key = provider().key_provider.load_private_key(key).map_err(|error| of_key(error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
            Err(Error::InconsistentKeys(_)) => {
                Err(of_key(format!("it is not the key of the certificate `{}`", files.cert.display())))
            }
            Err(error) => Err(unusable("cert", &files.cert, error.to_string())),
        }
    }

    fn certificates(
        &mut self,
        key: &'static str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
        let bytes = self.content(key, path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| unusable(key, path, error.to_string()))?;
        if found.is_empty() {
            return Err(unusable(key, path, "it contains no certificate in PEM".to_owned()));
        }
        Ok(found)
    }

    fn content(&mut self, key: &'static str, path: &Path) -> Result<Vec<u8>, MaterialError> {
        let unreadable =
            |error| MaterialError { key, path: path.to_owned(), reason: Reason::Unreadable(error) };
        let bytes = (self.content)(path).map_err(unreadable)?;
        self.read.push((key, path.to_owned(), sha256_hex(&bytes)));
        Ok(bytes)
    }
}

fn unusable(key: &'static str, path: &Path, reason: String) -> MaterialError {
    MaterialError { key, path: path.to_owned(), reason: Reason::Unusable(reason) }
}
