//! TLS for probes: farrier shakes hands over a connection that a probe opened, and verifies the server as the grant says.
//!
//! Keys and certificates stay here. Sessions are not resumed: each poll verifies the server again.

mod authorities;
mod failure;
mod material;
mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use self::authorities::Authorities;
pub use self::failure::{Failure, broken};
pub use self::material::MaterialError;
use self::verifier::{Client, Seen, Verifier};
use crate::definition::ReadingBudget;
use crate::definition::grants::TlsGrant;
use crate::definition::model::Definition;
use crate::engine::dialler::ByteStream;
use crate::system::authorities::of_this_machine;
use crate::system::blocking::blocking;

/// The most bytes of a file that a grant names, as of every file that a definition names.
pub const FILE_BYTES: u64 = 1 << 20;

/// A connection inside TLS.
pub struct Secured {
    /// What the probe reads and writes; the rest is TLS.
    pub stream: Box<dyn ByteStream>,
    /// The protocol that the server chose via ALPN.
    pub protocol: Option<String>,
}

/// Who shakes hands for a probe.
#[async_trait]
pub trait Handshakes: Send + Sync {
    /// Shakes hands over this stream with a server of this name. The caller bounds the time.
    ///
    /// # Errors
    /// Why there is no TLS.
    async fn shake_hands(
        &self,
        stream: Box<dyn ByteStream>,
        server_name: &str,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Secured, Failure>;
}

/// What a grant of TLS means: whom to trust, and as whom to speak.
pub struct Tls {
    trust: Trust,
    client: Option<Arc<CertifiedKey>>,
    files: Vec<(&'static str, PathBuf, String)>,
}

/// Who may vouch for a server.
enum Trust {
    /// Nobody has to.
    Anyone,
    /// The authorities of this machine, which are read at the first handshake.
    Machine(OnceCell<Arc<Authorities>>),
    /// The certificates of a file.
    Named(Arc<Authorities>),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Tls {
    /// Reads the files that a definition grants.
    ///
    /// # Errors
    /// If one of them cannot be read or used.
    pub fn read(
        definition: &Definition,
        grant: &TlsGrant,
        budget: &ReadingBudget,
    ) -> Result<Self, MaterialError> {
        Self::of(grant, |path| definition.content(path, budget))
    }

    /// Takes the content of the files from `read`.
    ///
    /// # Errors
    /// If one of them cannot be read or used.
    pub fn of(grant: &TlsGrant, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Self, MaterialError> {
        let mut files = material::Files::new(read);
        let trust = match &grant.ca {
            _ if grant.insecure => Trust::Anyone,
            None => Trust::Machine(OnceCell::new()),
            Some(path) => Trust::Named(Arc::new(files.authorities(path)?)),
        };
        let client = grant.client.as_ref().map(|client| files.client(client)).transpose()?;
        Ok(Self { trust, client, files: files.read })
    }

    /// The files that were read: their key within `grants.tls`, their path as written, and the SHA-256 of their content.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path, &str)> {
        self.files.iter().map(|(key, path, digest)| (*key, path.as_path(), digest.as_str()))
    }
}

#[async_trait]
impl Handshakes for Tls {
    async fn shake_hands(
        &self,
        stream: Box<dyn ByteStream>,
        server_name: &str,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Secured, Failure> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| Failure::WrongName(failure::no_name(server_name)))?;
        let authorities = match &self.trust {
            Trust::Anyone => None,
            Trust::Named(authorities) => Some(Arc::clone(authorities)),
            Trust::Machine(read) => {
                // A failure is not kept: it may have been the limit of threads or open files.
                let machine = read.get_or_try_init(machine).await;
                let machine = machine.map_err(|reason| Failure::untrusted_machine(&reason))?;
                Some(Arc::clone(machine))
            }
        };
        let seen = Arc::new(Seen::default());
        let verifier = Verifier::new(authorities, provider(), Arc::clone(&seen));
        let client = Client::new(self.client.clone(), Arc::clone(&seen));
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Handshake(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(client));
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = protocols;
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = shaken.map_err(|error| Failure::of(&error, &seen, server_name))?;
        let chosen = stream.get_ref().1.alpn_protocol();
        let protocol = chosen.map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(Secured { stream: Box::new(stream), protocol })
    }
}

/// The authorities of this machine.
async fn machine() -> Result<Arc<Authorities>, String> {
    match blocking("certificates", of_this_machine).await {
        Ok(roots) => Authorities::of_machine(roots?).map(Arc::new),
        Err(error) => Err(error.to_string()),
    }
}
