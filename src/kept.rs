//! What launches keep of an engine's answers that cannot change any more: what an image runs, and how a container is
//! found on a network. What is recalled only spares a question; nothing is changed or refused because of it.

use std::path::Path;

use endpoints::EndpointCache;
use folder::CacheFolder;
use images::ImageCache;

pub mod endpoints;
mod folder;
pub mod images;

/// Everything that is kept; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Of images.
    pub images: ImageCache,
    /// Of containers on networks.
    pub endpoints: EndpointCache,
}

impl Kept {
    /// Opens it below this folder; nothing is kept where that cannot be trusted or made.
    #[must_use]
    pub fn open(cache: Option<&Path>, architecture: &str) -> Self {
        let folder = |name: &str| CacheFolder::open(cache?, name);
        Self {
            images: ImageCache::new(folder("images"), architecture),
            endpoints: EndpointCache::new(folder("endpoints")),
        }
    }
}
