//! Which runs of containers have written what a `log` condition waits for. What a run has written once stays true for that
//! run, also when its log has been rotated or has grown too long to be read again.

use std::path::{Path, PathBuf};

use crate::plan::instance::Instance;
use crate::system::cache_folder::CacheFolder;
use crate::system::digest::sha256_hex;

/// Changes with the form of the entries.
const FORMAT: u32 = 1;
const FOLDER: &str = "matches";

/// The folder with what is known of logs; without one, nothing is.
#[derive(Clone, Debug, Default)]
pub struct MatchCache(Option<PathBuf>);

impl MatchCache {
    /// Below this folder. It is opened at each use, since few launches read a log.
    #[must_use]
    pub fn below(cache: Option<&Path>) -> Self {
        Self(cache.map(Path::to_owned))
    }

    fn folder(&self) -> Option<CacheFolder> {
        CacheFolder::open(self.0.as_deref()?, FOLDER)
    }

    /// Whether this run has written what these settings wait for.
    #[must_use]
    pub fn has(&self, run: &Instance, settings: &str) -> bool {
        self.folder().is_some_and(|folder| folder.read(&entry(run, settings)) == Some(true))
    }

    /// Keeps that it has.
    pub fn keep(&self, run: &Instance, settings: &str) {
        if let Some(folder) = self.folder() {
            folder.write(&entry(run, settings), &true);
        }
    }
}

/// A run is a container since its last start.
fn entry(run: &Instance, settings: &str) -> String {
    format!("{}.{FORMAT}.json", sha256_hex(format!("{}\n{}\n{settings}", run.id, run.started_at)))
}
