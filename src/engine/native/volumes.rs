//! Volumes: data that outlives containers, each in a folder of its own below the engine's. The content is made by the first
//! container that mounts the volume, which knows its users (`container/mounting`).
//!
//! ```text
//! volumes/NAME/labels.json   whose it is; an anonymous one has none
//! volumes/NAME/data/         its content, once a container has mounted it
//! volumes/NAME/unfinished/   content that was being copied from an image
//! volumes/.new-NAME/         one that is being made
//! volumes/.gone-NAME/        one that is being removed
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::roles::Helper;
use crate::plan::instance::Mounted;
use crate::system::private_files::{create_private_folder, private_folder, read_private, write_atomically};

/// The folder of all volumes, in the engine's.
const FOLDER: &str = "volumes";
/// The largest file of labels that is read.
const MOST_BYTES: u64 = 1 << 20;
/// Begins the name of a volume that is being made.
const NEW: &str = ".new-";
/// Begins the name of a volume that is being removed.
const GONE: &str = ".gone-";

/// The volumes of an engine.
#[derive(Clone, Debug)]
pub struct Volumes {
    root: PathBuf,
    helper: Helper,
}

impl Volumes {
    /// Those of the engine with this folder.
    pub fn of(engine: &Path, helper: Helper) -> Self {
        Self { root: engine.join(FOLDER), helper }
    }

    /// The folder of a volume.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes a volume with these labels, unless it is there. Whether it was not there.
    pub fn make(&self, name: &str, labels: &BTreeMap<String, String>) -> io::Result<bool> {
        private_folder(&self.root)?;
        let folder = self.folder(name);
        if folder.exists() {
            return Ok(false);
        }
        // Whose a volume is, is known from its first moment on. A launch that was killed may have left this.
        let new = self.root.join(format!("{NEW}{name}"));
        match create_private_folder(&new) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !labels.is_empty() {
            write_atomically(&new.join("labels.json"), &[&serde_json::to_vec(labels)?])?;
        }
        std::fs::rename(&new, &folder)?;
        Ok(true)
    }

    /// The labels of a volume; `None` if there is no such volume, or nobody wrote any.
    pub fn labels(&self, name: &str) -> Option<BTreeMap<String, String>> {
        serde_json::from_slice(&read_private(&self.folder(name).join("labels.json"), MOST_BYTES)?).ok()
    }

    /// The names of all volumes.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort_unstable();
        names
    }

    /// Removes a volume with its data; it may be gone already. At any moment it is there as a whole, or not at all.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let gone = self.root.join(format!("{GONE}{name}"));
        // One of the same name whose removal was interrupted.
        self.helper.remove_tree(&gone)?;
        match std::fs::rename(self.folder(name), &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        self.helper.remove_tree(&gone)
    }

    /// Removes volumes of this session that were being made or removed.
    pub fn remove_unfinished(&self, session: &str) -> io::Result<()> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if (name.starts_with(NEW) || name.starts_with(GONE)) && name.contains(&format!("-{session}_")) {
                self.helper.remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what is left of volumes whose removal was interrupted.
    pub fn sweep(&self) {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(GONE.as_bytes()))
        {
            let _ = self.helper.remove_tree(&entry.path());
        }
    }
}

/// Whether a volume with this name is one that no definition names.
pub fn is_anonymous(name: &str) -> bool {
    let kind = "volume".to_owned();
    Mounted { kind, source: name.to_owned(), target: String::new(), writable: true }.is_anonymous_volume()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_made_once_and_goes_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::of(folder.path(), Helper::own());
        let labels = BTreeMap::from([("farrier.sidecar".to_owned(), "db".to_owned())]);
        assert!(volumes.names().is_empty() && volumes.labels("farrier-db_data").is_none());
        assert!(volumes.make("farrier-db_data", &labels).expect("made"));
        std::fs::create_dir(volumes.folder("farrier-db_data").join("data")).expect("a folder");
        assert!(!volumes.make("farrier-db_data", &BTreeMap::new()).expect("it is there"));
        assert_eq!(volumes.labels("farrier-db_data"), Some(labels));
        // One whose removal was interrupted is no volume.
        std::fs::create_dir(folder.path().join("volumes/.gone-old")).expect("a folder");
        assert_eq!(volumes.names(), ["farrier-db_data"]);
        volumes.sweep();
        for _ in 0..2 {
            volumes.remove("farrier-db_data").expect("it is gone");
        }
        assert_eq!(std::fs::read_dir(folder.path().join("volumes")).expect("a folder").count(), 0);
    }

    #[test]
    fn names_of_definitions_are_not_anonymous() {
        assert!(is_anonymous(&"ab".repeat(32)));
        assert!(!is_anonymous("farrier-db_data") && !is_anonymous(&"a".repeat(63)));
    }
}
