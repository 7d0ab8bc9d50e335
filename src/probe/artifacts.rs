//! Probes in registries (`oci://…`): which bytes a definition means, and how they come into this user's cache.
//!
//! A pin decides which bytes run: the component's SHA-256, or the digest of the manifest that names it, in the
//! definition or in `probes.lock` beside it. The registry only says where they are. So a launch reads the cache, and
//! needs no registry for what is in it.

pub mod cached;
pub mod format;
pub mod lock;
pub mod transfer;

use std::sync::Arc;

use self::cached::ArtifactCache;
use self::format::Artifact;
use self::lock::{FILE, LockedProbe, ProbeLock};
use self::transfer::{Located, Registries};
use super::catalogue::not_a_probe;
use super::component::{ComponentError, ComponentFile};
use super::component_reader::ComponentReader;
use crate::definition::model::{Definition, ProbeReference, Readiness};
use crate::definition::{ArtifactReference, ReadingBudget};
use crate::report::error::{Code, Problem};

/// What says which bytes a definition means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The digest of the manifest; `None` if only the component is pinned.
    pub digest: Option<String>,
    /// The SHA-256 of the component; `None` if only the manifest is pinned.
    pub sha256: Option<String>,
    /// Whether `probes.lock` says it, and not the definition.
    pub is_locked: bool,
}

/// A component that came into the cache, or was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obtained {
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// Whether it was downloaded now.
    pub is_new: bool,
}

impl Pin {
    /// The pin of a definition itself; `None` if it has none.
    #[must_use]
    pub fn of_definition(readiness: &Readiness, reference: &ArtifactReference) -> Option<Self> {
        let (digest, sha256) = (reference.digest().map(str::to_owned), readiness.sha256.clone());
        (digest.is_some() || sha256.is_some()).then_some(Self { digest, sha256, is_locked: false })
    }

    /// The pin of a readiness condition.
    ///
    /// # Errors
    /// If there is none, or the lock cannot be used.
    pub fn find(
        definition: &Definition,
        readiness: &Readiness,
        reference: &ArtifactReference,
        budget: &ReadingBudget,
    ) -> Result<Self, Problem> {
        if let Some(pin) = Self::of_definition(readiness, reference) {
            return Ok(pin);
        }
        let lock = ProbeLock::beside(definition, budget)?;
        let locked = lock.get(reference).ok_or_else(|| {
            let message =
                format!("the probe `{reference}` is not pinned, and its tag may mean other bytes tomorrow");
            Problem::error(Code::ProbeUnpinned, message)
                .hint(format!("Run `farrier probe pin`, which writes `{FILE}` beside the definition."))
                .hint("Or write the digest after the tag: `@sha256:…`.")
        })?;
        Ok(Self::from(locked))
    }

    /// The SHA-256 of the component, if the pin or the cache tells it.
    #[must_use]
    pub fn component(&self, cache: &ArtifactCache) -> Option<String> {
        self.sha256.clone().or_else(|| {
            let manifest = cache.manifest(self.digest.as_ref()?)?;
            Artifact::parse(&manifest).ok().map(|artifact| artifact.sha256().to_owned())
        })
    }
}

impl From<&LockedProbe> for Pin {
    fn from(locked: &LockedProbe) -> Self {
        let LockedProbe { digest, sha256 } = locked.clone();
        Self { digest: Some(digest), sha256: Some(sha256), is_locked: true }
    }
}

/// The references of a definition to probes in registries, with their conditions.
pub fn references(definition: &Definition) -> impl Iterator<Item = (&Readiness, &ArtifactReference)> {
    definition.readiness.iter().filter_map(|readiness| match &readiness.probe {
        ProbeReference::Artifact(reference) => Some((readiness, reference)),
        _ => None,
    })
}

/// Reads the pinned component of a condition from the cache. No registry is asked.
///
/// # Errors
/// If it is not pinned, not in the cache, or no probe.
pub fn read(
    definition: &Definition,
    readiness: &Readiness,
    reference: &ArtifactReference,
    reader: &ComponentReader,
) -> Result<Arc<ComponentFile>, Problem> {
    let pin = Pin::find(definition, readiness, reference, reader.budget())?;
    let cache = ArtifactCache::of_user();
    let is_trusted = definition.layer.is_trusted();
    let Some(sha256) = pin.component(&cache) else { return Err(not_pulled(reference, is_trusted)) };
    let Ok(file) = cache.open(&sha256) else { return Err(not_pulled(reference, is_trusted)) };
    reader.read(Ok(file), Some(&sha256)).map_err(|error| match error {
        ComponentError::OtherDigest(_) | ComponentError::NotAFile => {
            let message = format!("the copy of the probe `{reference}` in the cache is damaged");
            Problem::error(Code::ProbeNotPulled, message).hint("Download it again with `farrier probe pull`.")
        }
        error => not_a_probe(&reference.to_string(), &error),
    })
}

fn not_pulled(reference: &ArtifactReference, is_trusted: bool) -> Problem {
    let message = format!("the probe `{reference}` is not in the cache");
    let registry = reference.registry();
    let pull = if is_trusted {
        format!("Run `farrier probe pull`, which downloads it from {registry}; a launch does so by itself.")
    } else {
        format!(
            "Run `farrier probe pull`, which downloads it from {registry}; nothing else contacts that registry."
        )
    };
    Problem::error(Code::ProbeNotPulled, message).hint(pull).hint(format!(
        "Without a network, copy the component beside the definition and name the file: `probe = \"./{}.wasm\"`.",
        reference.name()
    ))
}

/// Downloads a pinned component into the cache, unless it is there.
///
/// # Errors
/// If the registry does not give the pinned bytes, or they are no probe.
pub async fn obtain(
    registries: &Registries,
    cache: &ArtifactCache,
    reference: &ArtifactReference,
    pin: &Pin,
) -> Result<Obtained, Problem> {
    if let Some(sha256) = pin.component(cache).filter(|sha256| cache.has(sha256)) {
        return Ok(Obtained { sha256, is_new: false });
    }
    let wanted = pin.digest.as_ref().map_or_else(|| reference.clone(), |digest| reference.at(digest));
    let located = registries.locate(&wanted).await?;
    let found = located.artifact.sha256();
    if let Some(pinned) = pin.sha256.as_ref().filter(|pinned| *pinned != found) {
        return Err(other_component(&wanted, pin, found, pinned));
    }
    let file = take(&located, cache, &wanted).await?;
    Ok(Obtained { sha256: file.digest, is_new: true })
}

/// The component of an artifact, if it is a probe: from the cache or the registry.
///
/// # Errors
/// If the registry does not give it, or it is no probe.
pub async fn fetch(
    located: &Located,
    cache: &ArtifactCache,
    reference: &ArtifactReference,
) -> Result<ComponentFile, Problem> {
    let bytes = match cache.component(located.artifact.sha256()) {
        Some(bytes) => bytes,
        None => located.download(reference).await?,
    };
    ComponentFile::parse(bytes).map_err(|error| not_a_probe(&reference.to_string(), &error))
}

/// Downloads the component of an artifact into the cache, if it is a probe.
///
/// # Errors
/// As [`fetch`], or if the cache cannot take it.
pub async fn take(
    located: &Located,
    cache: &ArtifactCache,
    reference: &ArtifactReference,
) -> Result<ComponentFile, Problem> {
    let file = fetch(located, cache, reference).await?;
    cache.keep(&located.manifest, &file.bytes).map_err(|error| {
        let place = cache.folder().map(|folder| format!(" {}", folder.display())).unwrap_or_default();
        let message = format!("the cache{place} cannot take the probe `{reference}`: {error}");
        Problem::error(Code::StateUnusable, message)
            .hint("Check the folder and the disk, or name another with XDG_CACHE_HOME.")
    })?;
    Ok(file)
}

/// The component that a reference means now, for a command that names it. What the cache has by the digest of the manifest
/// needs no registry.
///
/// # Errors
/// If the registry does not give it, or it is no probe.
pub async fn fetch_named(
    registries: &Registries,
    cache: &ArtifactCache,
    reference: &ArtifactReference,
) -> Result<(ArtifactReference, ComponentFile), Problem> {
    let pin = Pin { digest: reference.digest().map(str::to_owned), sha256: None, is_locked: false };
    if let Some(bytes) = pin.component(cache).and_then(|sha256| cache.component(&sha256)) {
        let file =
            ComponentFile::parse(bytes).map_err(|error| not_a_probe(&reference.to_string(), &error))?;
        return Ok((reference.clone(), file));
    }
    let located = registries.locate(reference).await?;
    let file = fetch(&located, cache, reference).await?;
    Ok((reference.at(&located.artifact.digest), file))
}

/// The registry has another component than the pinned one.
fn other_component(reference: &ArtifactReference, pin: &Pin, found: &str, pinned: &str) -> Problem {
    if pin.digest.is_none() {
        let message = format!("`{reference}` is the component {found} now, but {pinned} is pinned");
        return Problem::error(Code::ProbeTagMoved, message)
            .hint("Find out who moved the tag; if the change is wanted, write its SHA-256 as the pin.");
    }
    let who = if pin.is_locked { FILE } else { "the definition" };
    let message = format!("`{reference}` is the component {found}, but {who} pins {pinned} with it");
    Problem::error(Code::ProbePinMismatch, message)
        .hint("Find out which of the two digests is right, and correct the other.")
}
