//! Probes on their way from and to registries.

use std::time::Duration;

use super::format::{self, Artifact, Documents};
use crate::definition::ArtifactReference;
use crate::engine::image_file::digest_of;
use crate::engine::registry::configuration::RegistryConfiguration;
use crate::engine::registry::{Reference, RegistryError, RegistryErrorKind, Source, sources};
use crate::probe::component::ComponentFile;
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::digest::sha256_hex;

/// How long one transfer may take, however the registry divides it.
const MOST_TIME: Duration = Duration::from_mins(10);
/// How often a connection that broke is made again.
const MOST_ATTEMPTS: u32 = 3;

/// The registries, as this machine reaches them.
#[derive(Clone, Debug)]
pub struct Registries {
    configuration: RegistryConfiguration,
}

/// A probe that was found in a registry.
pub struct Located {
    /// What its manifest says.
    pub artifact: Artifact,
    /// The manifest.
    pub manifest: Vec<u8>,
    source: Source,
}

impl Registries {
    /// With this configuration.
    #[must_use]
    pub const fn new(configuration: RegistryConfiguration) -> Self {
        Self { configuration }
    }

    /// Finds what a reference means now: the manifest with its digest, otherwise the one that its tag names.
    ///
    /// # Errors
    /// If the registry does not give it, or it is no probe's.
    pub async fn locate(&self, reference: &ArtifactReference) -> Result<Located, Problem> {
        let mut failed = None;
        for source in sources(&named(reference)?, &self.configuration) {
            match in_time(source.raw_manifest()).await {
                Ok(manifest) => {
                    let artifact = Artifact::parse(&manifest).map_err(|error| {
                        let message = format!("`{reference}` is not a probe: {error}");
                        Problem::error(Code::ProbeArtifact, message)
                            .hint("Name an artifact that `farrier probe push` or `wkg oci push` pushed.")
                    })?;
                    return Ok(Located { artifact, manifest, source });
                }
                // Whoever is not who it should be is not asked without TLS.
                Err(error) if error.kind != RegistryErrorKind::Untrusted => failed = Some(error),
                Err(error) => return Err(unavailable(reference, &error)),
            }
        }
        let unknown = || RegistryError::invalid("there is no such registry");
        Err(unavailable(reference, &failed.unwrap_or_else(unknown)))
    }

    /// Pushes a component, and gives the digest of its manifest.
    ///
    /// # Errors
    /// If the registry does not take it.
    pub async fn push(&self, reference: &ArtifactReference, file: &ComponentFile) -> Result<String, Problem> {
        let title = format!("{}.wasm", reference.name());
        let documents = format::documents(file, &title).map_err(|error| {
            let message = format!("the documents of `{reference}` cannot be written: {error}");
            Problem::error(Code::ProbeArtifact, message).hint("Build the component again.")
        })?;
        let (mut failed, named) = (None, named(reference)?);
        // A mirror is not where anything is pushed.
        let is_own = |source: &Source| source.host() == named.host;
        for source in sources(&named, &self.configuration).into_iter().filter(is_own) {
            match in_time(upload(&source, reference, file, &documents)).await {
                Ok(()) => return Ok(digest_of(&documents.manifest)),
                Err(error) if error.kind == RegistryErrorKind::Unreachable => failed = Some(error),
                Err(error) => return Err(not_pushed(reference, &error)),
            }
        }
        let unknown = || RegistryError::invalid("there is no such registry");
        Err(not_pushed(reference, &failed.unwrap_or_else(unknown)))
    }
}

impl Located {
    /// Downloads the component, whose size and digest are what the manifest says.
    ///
    /// # Errors
    /// If the registry does not give it.
    pub async fn download(&self, reference: &ArtifactReference) -> Result<Vec<u8>, Problem> {
        in_time(self.receive()).await.map_err(|error| unavailable(reference, &error))
    }

    async fn receive(&self) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let mut attempts = 0;
        loop {
            match self.receive_rest(&mut bytes).await {
                Ok(()) => break,
                Err(error) if error.is_passing() && attempts < MOST_ATTEMPTS => {
                    attempts += 1;
                    tracing::debug!("{} is downloaded further: {error}", self.artifact.layer.digest);
                }
                Err(error) => return Err(error),
            }
        }
        let found = sha256_hex(&bytes);
        if found != self.artifact.sha256() {
            let message = format!("the component's digest is {found}, not {}", self.artifact.sha256());
            return Err(RegistryError::invalid(message));
        }
        Ok(bytes)
    }

    async fn receive_rest(&self, bytes: &mut Vec<u8>) -> Result<(), RegistryError> {
        let size = self.artifact.size;
        if bytes.len() as u64 == size {
            return Ok(());
        }
        let mut content = self.source.content(&self.artifact.layer, bytes.len() as u64).await?;
        bytes.truncate(usize::try_from(content.from).unwrap_or_default());
        while let Some(piece) = content.next().await? {
            if (bytes.len() + piece.len()) as u64 > size {
                return Err(RegistryError::invalid(format!("the component has more than {size} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        if (bytes.len() as u64) < size {
            let message = format!("the component ends after {} of {size} bytes", bytes.len());
            return Err(RegistryError::new(RegistryErrorKind::Unreachable, message));
        }
        Ok(())
    }
}

async fn upload(
    source: &Source,
    reference: &ArtifactReference,
    file: &ComponentFile,
    documents: &Documents,
) -> Result<(), RegistryError> {
    source.prepare().await?;
    source.push_blob(file.bytes.clone().into()).await?;
    source.push_blob(documents.config.clone().into()).await?;
    let digest = digest_of(&documents.manifest);
    let version = reference.tag().unwrap_or(&digest);
    source.push_manifest(version, format::MANIFEST, documents.manifest.clone().into()).await
}

async fn in_time<T>(work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
    tokio::time::timeout(MOST_TIME, work).await.unwrap_or_else(|_| {
        let message = format!("the transfer took more than {} minutes", MOST_TIME.as_secs() / 60);
        Err(RegistryError::new(RegistryErrorKind::Unreachable, message))
    })
}

fn named(reference: &ArtifactReference) -> Result<Reference, Problem> {
    Reference::parse(reference.image()).ok_or_else(|| {
        let message = format!("`{reference}` names no artifact in a registry");
        Problem::error(Code::ProbeNotFound, message).hint(crate::definition::ARTIFACT_FORM)
    })
}

/// Says why a registry does not give a probe, and what to do.
fn unavailable(reference: &ArtifactReference, error: &RegistryError) -> Problem {
    let message = format!("the probe `{reference}` is unavailable: {error}");
    match error.kind {
        RegistryErrorKind::NotFound => {
            let message = format!("the registry has no `{reference}`");
            Problem::error(Code::ProbeNotFound, message)
                .hint("Check the name and the version; some registries answer like this before a login.")
        }
        RegistryErrorKind::Invalid | RegistryErrorKind::OtherMachine => {
            Problem::error(Code::ProbeArtifact, message)
                .hint("Push the probe to the registry again, or name another version.")
        }
        _ => failed(reference, error, message),
    }
}

fn not_pushed(reference: &ArtifactReference, error: &RegistryError) -> Problem {
    failed(reference, error, format!("the probe cannot be pushed to `{reference}`: {error}"))
}

fn failed(reference: &ArtifactReference, error: &RegistryError, message: String) -> Problem {
    let host = reference.registry();
    let operands: &[&str] = if host == "docker.io" { &[] } else { &[host] };
    let hint = match error.kind {
        RegistryErrorKind::Denied => format!(
            "Log in with `{}`, which writes the credentials to ~/.docker/config.json.",
            command_line(&["docker", "login"], operands, &[])
        ),
        RegistryErrorKind::Untrusted => format!(
            "Put the certificate of the registry's authority into /etc/docker/certs.d/{host}/ca.crt, among the system's \
             certificates, or into a file that SSL_CERT_FILE names."
        ),
        RegistryErrorKind::Unreachable => {
            format!("Check that {host} can be reached from this host; HTTPS_PROXY names a proxy.")
        }
        RegistryErrorKind::Busy => "Run the command again in a few minutes.".to_owned(),
        _ => "Check that the registry accepts artifacts of the Open Container Initiative.".to_owned(),
    };
    Problem::error(Code::RegistryFailed, message).hint(hint)
}
