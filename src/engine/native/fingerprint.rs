//! What a program's file is: its digest, which stands for an image's id, and what tells without reading the file that it is
//! still the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::definition::program_digest;

/// A file's content and identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The digest of its content.
    pub digest: String,
    /// Its device, inode, size and times, which writing to it and replacing it change.
    identity: String,
}

impl Fingerprint {
    /// Reads a file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // Taken first: what is written while the file is read changes it once more.
        let identity = identity(&file)?;
        Ok(Self { digest: program_digest(file)?, identity })
    }

    /// The digest of the file now. It is read only if it is not the same file any more.
    pub fn digest_now(&self, path: &Path) -> io::Result<String> {
        if identity(&File::open(path)?)? == self.identity {
            return Ok(self.digest.clone());
        }
        Self::of(path).map(|now| now.digest)
    }
}

fn identity(file: &File) -> io::Result<String> {
    let found = file.metadata()?;
    let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Ok(format!("{}:{} {} {modified:?} {changed:?}", found.dev(), found.ino(), found.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_build_has_another_digest_and_a_touched_file_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        std::fs::write(&path, "one").expect("written");
        let before = Fingerprint::of(&path).expect("read");
        assert_eq!(before.digest_now(&path).expect("read"), before.digest);
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "one").expect("written");
        assert_eq!(before.digest_now(&path).expect("read"), before.digest);
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "two").expect("written");
        assert_ne!(before.digest_now(&path).expect("read"), before.digest);
    }
}
