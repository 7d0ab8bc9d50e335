//! Pulls an image into the store: finds it at its registry, downloads the layers that are missing, several at once, and
//! unpacks each as soon as it is there.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::downloads::Download;
use super::importing::Adding;
use super::references::Named;
use super::unpacking::LIMITS;
use super::{ImageStore, name_of};
use crate::engine::PullProgress;
use crate::engine::image_file::manifest::Descriptor;
use crate::engine::image_file::{ImageConfig, own_architecture, take_layer};
use crate::engine::native::isolation::Isolation;
use crate::engine::registry::configuration::RegistryConfiguration;
use crate::engine::registry::{Found, Reference, RegistryError, RegistryErrorKind, Source, sources};
use crate::system::blocking::blocking;

/// How many layers are downloaded at once: as Docker has it.
const AT_ONCE: usize = 3;
/// How often a download that gets nowhere is tried again.
const MOST_ATTEMPTS: u32 = 4;
/// The pause before the first of them; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);
/// The pause between two looks at a layer that somebody else downloads.
const LOOK: Duration = Duration::from_millis(50);
/// The time between two words about how far it is.
const TELLING: Duration = Duration::from_millis(100);
/// Pieces of a layer that wait to be written.
const WAITING: usize = 16;

/// Why an image cannot be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error("{0}")]
    Store(#[from] io::Error),
}

/// One image, being pulled.
pub struct Pulling<'a> {
    pub store: &'a ImageStore,
    pub configuration: &'a RegistryConfiguration,
    pub isolation: Isolation,
    /// Takes in how far it is.
    pub tell: &'a (dyn Fn(PullProgress) + Sync),
}

/// How far it is, over all layers.
struct Counter<'a> {
    current: AtomicU64,
    total: u64,
    told: Mutex<Option<Instant>>,
    tell: &'a (dyn Fn(PullProgress) + Sync),
}

/// A layer that is missing.
struct Missing {
    part: Descriptor,
    size: u64,
    /// The digest of its content.
    id: String,
}

impl Pulling<'_> {
    /// Pulls the image that a reference names, and gives its id.
    ///
    /// # Errors
    /// If no place has it, or the store cannot take it.
    pub async fn pull(&self, reference: &Reference) -> Result<String, PullError> {
        self.store.make()?;
        let mut failed = None;
        for source in sources(reference, self.configuration) {
            let pulled = match source.find().await {
                Ok(found) => self.take(reference, &source, found).await,
                Err(error) => Err(error.into()),
            };
            match pulled {
                Ok(id) => return Ok(id),
                // Whoever is not who it should be is not asked without TLS.
                Err(PullError::Registry(error)) if error.kind != RegistryErrorKind::Untrusted => {
                    tracing::debug!("{} does not have {}: {error}", source.host(), reference.name);
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let unknown = || RegistryError::invalid(format!("no registry has `{}`", reference.name));
        Err(failed.unwrap_or_else(unknown).into())
    }

    async fn take(&self, reference: &Reference, source: &Source, found: Found) -> Result<String, PullError> {
        let Found { digest, manifest, config } = found;
        let (id, layers) = (manifest.config.digest, manifest.layers);
        let config = ImageConfig::of_image(&config, layers.len()).map_err(RegistryError::from)?;
        if let Some(other) = config.other_architecture() {
            let message =
                format!("it is built for {other}, and this machine is linux/{}", own_architecture());
            return Err(RegistryError::new(RegistryErrorKind::OtherMachine, message).into());
        }
        let missing = self.missing(layers, &config)?;
        let total = missing.iter().map(|layer| layer.size).sum();
        self.check_room(total)?;
        let counter = Counter { current: AtomicU64::new(0), total, told: Mutex::default(), tell: self.tell };
        let layers: Vec<BoxFuture<'_, _>> =
            missing.iter().map(|layer| self.layer(source, layer, &counter).boxed()).collect();
        stream::iter(layers).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let named = Named { reference: reference.name.clone(), image: id.clone(), digest };
        let store = self.store.clone();
        blocking("image", move || {
            store.write_config(&named.image, &config).and_then(|()| store.name(&named))
        })
        .await??;
        Ok(id)
    }

    /// The layers that are not in the store.
    fn missing(&self, layers: Vec<Descriptor>, config: &ImageConfig) -> Result<Vec<Missing>, RegistryError> {
        let mut missing: Vec<Missing> = Vec::new();
        for (part, id) in layers.into_iter().zip(&config.rootfs.diff_ids) {
            if self.store.has_layer(id) || missing.iter().any(|other| other.id == *id) {
                continue;
            }
            let size = part.size.ok_or_else(|| {
                RegistryError::invalid(format!(
                    "its manifest does not say how large the layer {} is",
                    part.digest
                ))
            })?;
            if size > LIMITS.bytes {
                let (size, most) = (size >> 30, LIMITS.bytes >> 30);
                let message = format!("a layer has {size} GiB, but farrier accepts at most {most} GiB");
                return Err(RegistryError::invalid(message));
            }
            missing.push(Missing { part, size, id: id.clone() });
        }
        Ok(missing)
    }

    /// Refuses what does not fit on the disk even before it is unpacked.
    fn check_room(&self, total: u64) -> io::Result<()> {
        let found = rustix::fs::statvfs(self.store.folder("downloads"))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if total <= free {
            return Ok(());
        }
        let message = format!("its layers have {} MiB, but only {} MiB are free", total >> 20, free >> 20);
        Err(io::Error::new(io::ErrorKind::StorageFull, message))
    }

    /// Downloads a layer and unpacks it.
    async fn layer(&self, source: &Source, layer: &Missing, counter: &Counter<'_>) -> Result<(), PullError> {
        let Some(download) = self.download(source, layer, counter).await? else { return Ok(()) };
        let (store, isolation, id) = (self.store.clone(), self.isolation, layer.id.clone());
        let unpacked = blocking("layer", move || unpack(&store, isolation, &id, download)).await?;
        unpacked.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => RegistryError::from(error).into(),
            _ => PullError::Store(error),
        })
    }

    /// Downloads a layer; `None` if somebody else brought it into the store meanwhile.
    async fn download(
        &self,
        source: &Source,
        layer: &Missing,
        counter: &Counter<'_>,
    ) -> Result<Option<Download>, PullError> {
        let Some(mut download) = self.begin(layer).await? else {
            counter.add(layer.size);
            return Ok(None);
        };
        let mut is_resumed = download.length() > 0;
        if download.length() > layer.size {
            download.restart()?;
        }
        counter.add(download.length());
        let mut attempts = 0;
        loop {
            if download.length() == layer.size {
                let found = download.digest();
                if found == layer.part.digest {
                    return Ok(Some(download));
                }
                counter.take_back(download.length());
                download.restart()?;
                if !is_resumed {
                    download.remove()?;
                    let message = format!("the digest of the layer {} is {found}", layer.part.digest);
                    return Err(RegistryError::invalid(message).into());
                }
                // What an earlier pull left was damaged.
                is_resumed = false;
            }
            let before = download.length();
            let received;
            (download, received) = receive(source, layer, download, counter).await?;
            match received {
                Ok(()) => {}
                Err(error) if error.is_passing() && attempts < MOST_ATTEMPTS => {
                    attempts = if download.length() > before { 0 } else { attempts + 1 };
                    tracing::debug!("{} is downloaded further: {error}", layer.part.digest);
                    tokio::time::sleep(PAUSE * 2_u32.pow(attempts)).await;
                }
                Err(error) => {
                    if !error.is_passing() {
                        download.remove()?;
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Takes the file of a layer, once nobody else has it; `None` if the layer is in the store by then.
    async fn begin(&self, layer: &Missing) -> Result<Option<Download>, PullError> {
        let path = self.store.folder("downloads").join(name_of(&layer.part.digest));
        loop {
            let file = path.clone();
            let taken = blocking("download", move || Download::take(&file)).await??;
            if self.store.has_layer(&layer.id) {
                taken.map_or(Ok(()), Download::remove)?;
                return Ok(None);
            }
            if let Some(download) = taken {
                return Ok(Some(download));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Receives as much of a layer as comes. An error of the outer kind is the store's.
async fn receive(
    source: &Source,
    layer: &Missing,
    mut download: Download,
    counter: &Counter<'_>,
) -> Result<(Download, Result<(), RegistryError>), PullError> {
    let mut content = match source.content(&layer.part, download.length()).await {
        Ok(content) => content,
        Err(error) => return Ok((download, Err(error))),
    };
    if content.from < download.length() {
        counter.take_back(download.length());
        download.restart()?;
    }
    let mut left = layer.size - download.length();
    let (pieces, its_pieces) = tokio::sync::mpsc::channel(WAITING);
    let writing = blocking("download", move || download.write(its_pieces));
    let received = loop {
        match content.next().await {
            Ok(Some(bytes)) => {
                let length = bytes.len() as u64;
                let Some(rest) = left.checked_sub(length) else {
                    let message =
                        format!("the layer {} has more than {} bytes", layer.part.digest, layer.size);
                    break Err(RegistryError::invalid(message));
                };
                left = rest;
                counter.add(length);
                // Who writes failed, and says why.
                if pieces.send(bytes).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) if left > 0 => {
                let message = format!("the layer {} ends {left} bytes too early", layer.part.digest);
                break Err(RegistryError::new(RegistryErrorKind::Unreachable, message));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(pieces);
    let (download, written) = writing.await?;
    written?;
    Ok((download, received))
}

/// Unpacks a layer that was downloaded, unless somebody else did.
fn unpack(store: &ImageStore, isolation: Isolation, id: &str, mut download: Download) -> io::Result<()> {
    let adding = store.lock_adding()?;
    if !store.has_layer(id)
        && let Err(error) = take_layer(id, download.content()?, &mut Adding { store, isolation })
    {
        // What cannot be used must not fill the disk.
        let _ = store.remove_unfinished();
        if error.kind() == io::ErrorKind::InvalidData {
            let _ = download.remove();
        }
        return Err(error);
    }
    drop(adding);
    download.remove()
}

impl Counter<'_> {
    fn add(&self, bytes: u64) {
        self.current.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    fn take_back(&self, bytes: u64) {
        self.current.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn tell(&self) {
        let current = self.current.load(Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if current < self.total && told.is_some_and(|told| told.elapsed() < TELLING) {
            return;
        }
        *told = Some(Instant::now());
        (self.tell)(PullProgress { current, total: self.total });
    }
}
