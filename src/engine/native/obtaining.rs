//! Obtains the image of a sidecar: takes it from its file or from a registry into the store, unless it is there, and keeps it
//! from being removed until an instance names it.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::Native;
use super::images::importing::{Imported, import, unusable};
use super::images::pulling::{PullError, Pulling};
use super::isolation::Isolation;
use super::store::refused;
use crate::engine::problem::{NAME_ANOTHER_IMAGE, RUN_AGAIN, check_name, engine_problem};
use crate::engine::registry::{Reference, RegistryError, RegistryErrorKind};
use crate::engine::{Carrier, EngineError, Progress, PullProgress, Repulled};
use crate::plan::sidecar::{ImageReference, Sidecar};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::blocking::blocking;

/// How often an image is pulled that somebody else removes at once.
const MOST_PULLS: usize = 3;

/// An image of the store that nobody removes.
pub struct Obtained {
    /// The image.
    pub image: Imported,
    /// How its container is kept apart.
    pub isolation: Isolation,
    /// Keeps it as long as it is held.
    pub kept: File,
}

/// What an image is obtained for.
pub struct Obtaining<'a> {
    pub native: &'a Native,
    pub carrier: &'a dyn Carrier,
    pub sidecar: &'a Sidecar,
}

impl Obtaining<'_> {
    /// Obtains the image.
    ///
    /// # Errors
    /// If it is not there, or the store cannot take it.
    pub async fn obtain(&self) -> Result<Obtained, Problem> {
        let isolation = self.native.isolation().await?;
        if self.sidecar.definition.image_file().is_some() {
            self.import(isolation).await
        } else {
            self.by_reference(isolation).await
        }
    }

    async fn import(&self, isolation: Isolation) -> Result<Obtained, Problem> {
        let kept = self.keep().await?;
        let (images, its) = (self.native.store.images(), self.sidecar.definition.clone());
        let imported = blocking("image", move || import(&images, &its, isolation)).await;
        let imported = imported.map_err(|error| self.failed(&error))?;
        let image = imported.ok_or_else(|| self.gone("its file is not an image"))??;
        if let ImageReference::Approved(approved) = &self.sidecar.image
            && *approved != image.id
        {
            let message = format!("the image `{}` changed a moment ago", self.name());
            return Err(self.problem(Code::StartFailed, message).hint(RUN_AGAIN));
        }
        Ok(Obtained { image, isolation, kept })
    }

    async fn by_reference(&self, isolation: Isolation) -> Result<Obtained, Problem> {
        let images = self.native.store.images();
        for _ in 0..MOST_PULLS {
            let id = match images.named(self.sidecar.image.as_str()) {
                Some(id) => id,
                None => self.pull(isolation).await?,
            };
            // Not held while it was pulled: whoever removes images does not wait for a registry.
            let kept = self.keep().await?;
            if let Some(config) = images.config(&id) {
                return Ok(Obtained { image: Imported { id, config }, isolation, kept });
            }
        }
        Err(self.gone("another process keeps removing it"))
    }

    async fn pull(&self, isolation: Isolation) -> Result<String, Problem> {
        if matches!(self.sidecar.image, ImageReference::Approved(_)) {
            return Err(self.gone("the image that you approved was removed a moment ago"));
        }
        let (name, image) = (self.sidecar.name(), self.name());
        let reference =
            Reference::parse(image).ok_or_else(|| self.gone("the store has no image with this id"))?;
        self.carrier.tell(Progress::Pulling { sidecar: name, image });
        let told = Mutex::new(PullProgress::default());
        let tell = |progress: PullProgress| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != progress {
                self.carrier.tell(Progress::PullProgress { sidecar: name, progress: progress.clone() });
                *told = progress;
            }
        };
        let (store, configuration) = (&self.native.store.images(), &self.native.registries);
        let pulled = Pulling { store, configuration, isolation, tell: &tell }.pull(&reference).await;
        let id = pulled.map_err(|error| match error {
            PullError::Registry(error) => {
                unavailable(image, &reference, &error).at(self.sidecar.definition.place("image"))
            }
            PullError::Store(error) => unusable(&self.sidecar.definition, &error),
        })?;
        self.carrier.tell(Progress::Pulled { sidecar: name, image });
        Ok(id)
    }

    /// Keeps images from being removed.
    async fn keep(&self) -> Result<File, Problem> {
        let images = self.native.store.images();
        let kept = blocking("images", move || images.make().and_then(|()| images.keep())).await;
        kept.and_then(|kept| kept).map_err(|error| self.failed(&error))
    }

    fn name(&self) -> &str {
        self.sidecar.definition.image.as_deref().unwrap_or_default()
    }

    fn failed(&self, error: &std::io::Error) -> Problem {
        let doing = format!("create `{}`", self.sidecar.container);
        engine_problem(&doing, &refused(format!("the store of images: {error}")))
    }

    fn problem(&self, code: Code, message: String) -> Problem {
        Problem::error(code, message).at(self.sidecar.definition.place("image"))
    }

    /// An image that is not in the store, and that no registry is asked for.
    fn gone(&self, reason: &str) -> Problem {
        let message = format!("image `{}` is unavailable: {reason}", self.name());
        self.problem(Code::ImageNotFound, message).hint(RUN_AGAIN)
    }
}

/// Pulls what a reference names now, whatever the store has under it.
///
/// # Errors
/// If it is no reference, the registry does not give it, or the store cannot take it.
pub async fn pull_again(native: &Native, image: &str) -> Result<Repulled, Problem> {
    let failed = |error: &EngineError| engine_problem(&format!("pull `{image}`"), error);
    let reference = Reference::parse(image).ok_or_else(|| {
        let message = format!("`{image}` names no image in a registry");
        Problem::error(Code::ImageNotFound, message).hint("Name an image such as `redis:7`.")
    })?;
    native.store.check().and_then(|()| native.store.make()).map_err(|error| failed(&error))?;
    let isolation = native.isolation().await?;
    let (store, configuration) = (&native.store.images(), &native.registries);
    let before = store.named(image);
    let pulled = Pulling { store, configuration, isolation, tell: &|_| () }.pull(&reference).await;
    let id = pulled.map_err(|error| match error {
        PullError::Registry(error) => unavailable(image, &reference, &error),
        PullError::Store(error) => failed(&refused(format!("the store of images: {error}"))),
    })?;
    Ok(Repulled { id, before })
}

/// Says why a registry does not give an image, and what to do.
pub fn unavailable(image: &str, reference: &Reference, error: &RegistryError) -> Problem {
    let host = reference.host.as_str();
    let operands: &[&str] = if reference.is_of_docker_hub() { &[] } else { &[host] };
    let log_in = command_line(&["docker", "login"], operands, &[]);
    let (code, hints) = match error.kind {
        RegistryErrorKind::Denied => (
            Code::ImageDenied,
            vec![
                format!("Log in with `{log_in}`, which writes the credentials to ~/.docker/config.json."),
                "Check the name: some registries answer like this if they do not have the image.".to_owned(),
            ],
        ),
        RegistryErrorKind::NotFound => (Code::ImageNotFound, vec![check_name(image)]),
        RegistryErrorKind::OtherMachine => (Code::WrongArchitecture, vec![NAME_ANOTHER_IMAGE.to_owned()]),
        RegistryErrorKind::Invalid => (
            Code::ImageInvalid,
            vec!["Push the image to the registry again, or name another tag or digest.".to_owned()],
        ),
        RegistryErrorKind::Untrusted => (
            Code::ImageUnavailable,
            vec![format!(
                "Put the certificate of the registry's authority into /etc/docker/certs.d/{host}/ca.crt, among the \
                     system's certificates, or into a file that SSL_CERT_FILE names."
            )],
        ),
        RegistryErrorKind::Busy => (
            Code::ImageUnavailable,
            vec![
                "Run the command again in a few minutes; farrier continues the pull where it stopped."
                    .to_owned(),
                format!("Or log in with `{log_in}`, because registries may limit anonymous pulls."),
            ],
        ),
        RegistryErrorKind::Unreachable => (
            Code::ImageUnavailable,
            vec![
                format!("Check that {host} can be reached from this host; HTTPS_PROXY names a proxy."),
                "Run the command again: farrier continues the pull where it stopped.".to_owned(),
            ],
        ),
    };
    let message = format!("image `{image}` is unavailable: {error}");
    hints.into_iter().fold(Problem::error(code, message), Problem::hint)
}
