//! What launches keep of an engine's answers that cannot change any more: what an image runs, and by which aliases a
//! container is found on a network. It only spares questions: before something is recreated or refused, they are asked.

use std::path::Path;

use endpoints::EndpointCache;
use images::ImageCache;

use crate::system::cache_folder::CacheFolder;

pub mod endpoints;
pub mod images;

/// Everything that is kept.
#[derive(Clone, Debug)]
pub struct Caches {
    /// Of images.
    pub images: ImageCache,
    /// Of containers on networks.
    pub endpoints: EndpointCache,
}

impl Caches {
    /// Opens those of the engine at an address below this folder; nothing is kept where that cannot be trusted or made.
    #[must_use]
    pub fn open(cache: Option<&Path>, address: &str) -> Self {
        Self::of(|name| CacheFolder::open(cache?, name), address)
    }

    /// Like [`Caches::open`], but recalls nothing: everything is asked, and kept.
    #[must_use]
    pub fn asking_anew(cache: Option<&Path>, address: &str) -> Self {
        Self::of(|name| Some(CacheFolder::open(cache?, name)?.asking_anew()), address)
    }

    fn of(folder: impl Fn(&str) -> Option<CacheFolder>, address: &str) -> Self {
        Self {
            images: ImageCache::new(folder("images"), address),
            endpoints: EndpointCache::new(folder("endpoints")),
        }
    }
}
