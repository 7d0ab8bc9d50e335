//! A folder of answers that were kept, one a file, that does not grow for ever.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::private_files::{private_folder, read_private, write_atomically};

/// No answer is nearly as large.
const ENTRY_BYTES: u64 = 1 << 20;
/// So many are kept; with more, the folder is emptied.
pub const ENTRIES: usize = 1000;

/// One folder.
#[derive(Clone, Debug)]
pub struct CacheFolder {
    path: PathBuf,
    recalls: bool,
}

impl CacheFolder {
    /// Opens or makes it; none where that cannot be done, or others may write to it.
    pub fn open(cache: &Path, name: &str) -> Option<Self> {
        let folder = cache.join(name);
        private_folder(cache).and_then(|()| private_folder(&folder)).ok()?;
        Some(Self { path: folder, recalls: true })
    }

    /// Recalls nothing that was kept before.
    #[must_use]
    pub fn asking_anew(self) -> Self {
        Self { recalls: false, ..self }
    }

    /// Where an entry is.
    pub fn path(&self, entry: &str) -> PathBuf {
        self.path.join(entry)
    }

    /// Whether something is kept and may be recalled.
    pub fn has(&self, entry: &str) -> bool {
        self.recalls && self.path(entry).exists()
    }

    /// What was kept; none where it is not there, or is something else.
    pub fn read<T: DeserializeOwned>(&self, entry: &str) -> Option<T> {
        if !self.recalls {
            return None;
        }
        serde_json::from_slice(&read_private(&self.path(entry), ENTRY_BYTES)?).ok()
    }

    /// Keeps an answer. That it cannot be kept costs the next launch a question, nothing else.
    pub fn write(&self, entry: &str, answer: &impl Serialize) {
        let Ok(text) = serde_json::to_vec(answer) else { return };
        if text.len() as u64 >= ENTRY_BYTES {
            return;
        }
        self.make_room();
        if let Err(error) = write_atomically(&self.path(entry), &[&text]) {
            tracing::debug!("{entry} is not cached: {error}");
        }
    }

    fn make_room(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        let all: Vec<_> = entries.flatten().collect();
        if all.len() >= ENTRIES {
            for entry in all {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
