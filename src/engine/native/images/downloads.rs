//! Layers as registries send them, until they are unpacked. What was interrupted stays, so that the next pull goes on with
//! it. Whoever writes a file has it locked, so that nobody else does, and nobody removes it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Receiver;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A file that nobody else writes, as long as it is held.
pub struct Download {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Download {
    /// Takes the file, with what was downloaded before; `None` if somebody else has it. Blocks while it is read.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let flags = (OFlags::NOFOLLOW).bits().cast_signed();
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
            options.open(path)
        };
        let mut file = loop {
            let file = open()?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
                Ok(()) => {}
            }
            // Whoever had it may have removed it before this lock was given.
            let now = std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
            let own = file.metadata()?;
            if now == Some((own.dev(), own.ino())) {
                break file;
            }
        };
        let (mut hasher, mut length, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hasher.update(chunk.get(..read).unwrap_or_default());
            length += read as u64;
        }
        Ok(Some(Self { path: path.to_owned(), file, hasher, length }))
    }

    /// How many bytes there are.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what there is.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }

    /// Begins from nothing.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Writes what comes until the end, and what came of it. Blocks.
    pub fn write(mut self, mut content: Receiver<Bytes>) -> (Self, io::Result<()>) {
        while let Some(bytes) = content.blocking_recv() {
            if let Err(error) = self.file.write_all(&bytes) {
                // What was written in part is not counted.
                let cut = self.file.set_len(self.length);
                let back = self.file.seek(SeekFrom::Start(self.length));
                return (self, cut.and(back.map(drop)).and(Err(error)));
            }
            self.hasher.update(&bytes);
            self.length += bytes.len() as u64;
        }
        (self, Ok(()))
    }

    /// What was downloaded, from its beginning.
    pub fn content(&mut self) -> io::Result<&mut File> {
        self.file.rewind()?;
        Ok(&mut self.file)
    }

    /// Removes it, while nobody else can have it.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// Removes what nobody is downloading.
pub fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        if let Some(abandoned) = Download::take(&entry.path())? {
            abandoned.remove()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image_file::digest_of;

    fn add(download: Download, bytes: &'static [u8]) -> Download {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.try_send(Bytes::from_static(bytes)).expect("sent");
        drop(sender);
        let (download, written) = download.write(receiver);
        written.expect("written");
        download
    }

    #[test]
    fn what_was_interrupted_goes_on_and_nobody_else_has_it_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("layer");
        let take = || Download::take(&path).expect("taken");
        let first = add(take().expect("free"), b"one ");
        assert!(take().is_none());
        remove_abandoned(folder.path()).expect("looked at");
        drop(first);
        let second = add(take().expect("free again"), b"two");
        assert_eq!((second.length(), second.digest()), (7, digest_of(b"one two")));
        let mut second = second;
        second.restart().expect("restarted");
        let second = add(second, b"three");
        assert_eq!((second.length(), second.digest()), (5, digest_of(b"three")));
        assert_eq!(std::fs::read(&path).expect("read"), b"three");
        drop(second);
        remove_abandoned(folder.path()).expect("removed");
        assert!(!path.exists());
    }
}
