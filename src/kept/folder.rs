//! A folder of answers that were kept, one a file, that does not grow for ever.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::private_files::{private_folder, read_private, write_atomically};

/// No answer is nearly as large.
const ENTRY_BYTES: u64 = 1 << 20;
/// So many are kept; with more, the folder is emptied.
pub(super) const ENTRIES: usize = 1000;

/// One folder.
#[derive(Clone, Debug)]
pub struct CacheFolder(PathBuf);

impl CacheFolder {
    /// Opens or makes it; none where that cannot be done, or others may write to it.
    pub fn open(cache: &Path, name: &str) -> Option<Self> {
        let folder = cache.join(name);
        private_folder(cache).and_then(|()| private_folder(&folder)).ok()?;
        Some(Self(folder))
    }

    /// Where an entry is.
    pub fn path(&self, entry: &str) -> PathBuf {
        self.0.join(entry)
    }

    /// What was kept; none where it is not there, or is something else.
    pub fn read<T: DeserializeOwned>(&self, entry: &str) -> Option<T> {
        serde_json::from_slice(&read_private(&self.path(entry), ENTRY_BYTES)?).ok()
    }

    /// Keeps an answer. That it cannot be kept costs the next launch a question, nothing else.
    pub fn write(&self, entry: &str, answer: &impl Serialize) {
        self.make_room();
        let written = serde_json::to_vec(answer).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|text| write_atomically(&self.path(entry), &[&text])) {
            tracing::debug!("{entry} is not kept: {error}");
        }
    }

    fn make_room(&self) {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return };
        let all: Vec<_> = entries.flatten().collect();
        if all.len() >= ENTRIES {
            for entry in all {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
