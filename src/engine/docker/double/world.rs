//! What the engine holds. Everything happens at once and under one lock; time is the host's unless
//! it is set, never twice the same.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::containers::Kept;
use super::events::Events;
use super::image::{DoubleImage, End, Run};
use crate::engine::docker::api::{Image, Network, Volume};
use crate::engine::{EngineError, EngineErrorKind, EngineInfo, EngineResult, PullProgress};
use crate::system::digest::sha256_hex;

/// The state of an engine in memory, and all that other tools can do to it.
pub struct World {
    /// Whether it says that it is reached over a socket of this host.
    pub local: bool,
    /// Whether it listens at a socket that containers can mount.
    pub has_socket: bool,
    /// The architecture that it tells.
    pub architecture: String,
    /// What the images of archives run, whatever is in them: at first they copy their input, as a relay's.
    pub loaded: DoubleImage,
    pub(super) events: Events,
    pub(super) networks: Vec<Network>,
    pub(super) containers: BTreeMap<String, Kept>,
    pub(super) volumes: BTreeMap<String, BTreeMap<String, String>>,
    images: BTreeMap<String, DoubleImage>,
    tags: BTreeMap<String, String>,
    registry: BTreeMap<String, Remote>,
    seed: String,
    ids: u64,
    clock: i64,
    ahead: i64,
}

/// What a registry holds under a reference.
struct Remote {
    image: EngineResult<DoubleImage>,
    progress: Vec<PullProgress>,
}

pub(super) fn not_found(what: impl std::fmt::Display) -> EngineError {
    EngineError::new(EngineErrorKind::NotFound, format!("No such {what}"))
}

/// Whether these labels match `NAME` or `NAME=value`.
pub(super) fn carries(labels: &BTreeMap<String, String>, label: &str) -> bool {
    let (name, value) = label.split_once('=').map_or((label, None), |(name, value)| (name, Some(value)));
    labels.get(name).is_some_and(|found| value.is_none_or(|value| found == value))
}

fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

/// What the images of an archive are called.
fn references(archive: &[u8]) -> io::Result<Vec<String>> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let manifest: serde_json::Value = serde_json::from_str(&text)?;
            let images = manifest.as_array().into_iter().flatten();
            let names = images.filter_map(|image| image["RepoTags"].as_array()).flatten();
            return Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect());
        }
    }
    Err(io::Error::other("it has no manifest"))
}

impl World {
    pub(super) fn new(seed: &str) -> Self {
        Self {
            local: true,
            has_socket: true,
            architecture: std::env::consts::ARCH.to_owned(),
            loaded: DoubleImage::new(|_| Run::ending(End::Copies)),
            events: Events::default(),
            networks: Vec::new(),
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
            registry: BTreeMap::new(),
            seed: seed.to_owned(),
            ids: 0,
            clock: 0,
            ahead: 0,
        }
    }

    /// Nanoseconds since 1970, more at each call.
    pub(super) fn now(&mut self) -> i64 {
        let host = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        self.clock = host.saturating_add(self.ahead).max(self.clock.saturating_add(1));
        self.clock
    }

    /// Sets its clock by so many nanoseconds, back where they are negative.
    pub fn step_clock(&mut self, nanoseconds: i64) {
        self.ahead = self.ahead.saturating_add(nanoseconds);
        self.clock = self.clock.saturating_add(nanoseconds.min(0));
    }

    /// 64 hex digits that were never given before.
    pub(super) fn new_id(&mut self) -> String {
        self.ids += 1;
        sha256_hex(format!("{} {}", self.seed, self.ids))
    }

    pub(super) fn info(&mut self, id: String) -> EngineInfo {
        let now = self.now();
        EngineInfo {
            id,
            time: format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000),
            version: "20.10.0".to_owned(),
            architecture: self.architecture.clone(),
            local: self.local,
        }
    }

    /// Adds an image under a reference, which no other image has from then on. Gives its id.
    pub fn add_image(&mut self, reference: &str, image: DoubleImage) -> String {
        let id = format!("sha256:{}", self.new_id());
        let mut image = image;
        image.image.id.clone_from(&id);
        self.images.insert(id.clone(), image);
        self.tags.insert(with_tag(reference), id.clone());
        id
    }

    /// Gives an image one more reference, away from the image that has it.
    pub fn tag(&mut self, id: &str, reference: &str) {
        self.tags.insert(with_tag(reference), id.to_owned());
    }

    /// Takes a reference away; the image stays under its id.
    pub fn untag(&mut self, reference: &str) {
        self.tags.remove(&with_tag(reference));
    }

    /// Lets a reference be pulled, telling this much progress, or fail to be.
    pub fn publish(
        &mut self,
        reference: &str,
        image: EngineResult<DoubleImage>,
        progress: Vec<PullProgress>,
    ) {
        self.registry.insert(with_tag(reference), Remote { image, progress });
    }

    pub(super) fn pull_progress(&mut self, reference: &str) -> Vec<PullProgress> {
        self.registry.get(&with_tag(reference)).map(|remote| remote.progress.clone()).unwrap_or_default()
    }

    pub(super) fn pull(&mut self, reference: &str) -> EngineResult<()> {
        let Some(remote) = self.registry.get(&with_tag(reference)) else {
            return Err(not_found(format_args!("image in the registry: {reference}")));
        };
        let image = remote.image.clone()?;
        self.add_image(reference, image);
        Ok(())
    }

    pub(super) fn load(&mut self, archive: &[u8]) -> EngineResult<()> {
        let refused = |error: &dyn std::fmt::Display| {
            EngineError::new(EngineErrorKind::Refused, format!("this is no archive of images: {error}"))
        };
        for reference in references(archive).map_err(|error| refused(&error))? {
            let image = self.loaded.clone();
            self.add_image(&reference, image);
        }
        Ok(())
    }

    pub(super) fn known_image(&self, reference: &str) -> Option<&DoubleImage> {
        if let Some(id) = self.tags.get(&with_tag(reference)) {
            return self.images.get(id);
        }
        // Else it may be the beginning of an id, with or without its algorithm.
        let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
        let begins = |id: &&String| !digits.is_empty() && id["sha256:".len()..].starts_with(digits);
        self.images.keys().find(begins).and_then(|id| self.images.get(id))
    }

    /// An image by reference or id.
    #[must_use]
    pub fn image(&self, reference: &str) -> Option<Image> {
        self.known_image(reference).map(|known| Image { labels: known.labels.clone(), ..known.image.clone() })
    }

    /// Removes a volume that no container has.
    pub fn remove_volume(&mut self, name: &str) -> EngineResult<()> {
        let used = |kept: &Kept| kept.container.mounts.iter().any(|mount| mount.source == name);
        if self.containers.values().any(used) {
            return Err(EngineError::new(EngineErrorKind::Conflict, "volume is in use"));
        }
        self.volumes.remove(name);
        Ok(())
    }

    /// The names of all volumes.
    #[must_use]
    pub fn volumes(&self) -> Vec<String> {
        self.volumes.keys().cloned().collect()
    }

    pub(super) fn volume(&self, name: &str) -> Option<Volume> {
        let labels = self.volumes.get(name)?.clone();
        Some(Volume { name: name.to_owned(), labels })
    }

    pub(super) fn labelled_volumes(&self, label: &str) -> Vec<Volume> {
        let labelled = self.volumes.iter().filter(|(_, labels)| carries(labels, label));
        labelled.map(|(name, labels)| Volume { name: name.clone(), labels: labels.clone() }).collect()
    }

    /// Makes a volume as another tool would.
    pub fn add_volume(&mut self, name: &str) {
        self.volumes.insert(name.to_owned(), BTreeMap::new());
    }
}
