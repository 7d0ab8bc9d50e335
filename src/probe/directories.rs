//! Granted folders: read once, and given to the probe as a private copy.
//!
//! A probe never sees the folder itself: no link out of it, no pipe in it and nobody who swaps a file while it
//! is read can then matter. What was hashed for an approval is what the probe reads.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::definition::grants::DirGrant;
use crate::definition::model::Definition;
use crate::definition::{Exceeded, ReadingBudget};
use crate::system::private_files::{create_private_file, create_private_folder};

/// All files of one granted folder together.
pub const DIRECTORY_BYTES: u64 = 16 << 20;
/// Files and folders in one granted folder.
const ENTRIES: usize = 10_000;
/// Folders in folders.
const DEPTH: usize = 32;

/// Why a granted folder cannot be given to a probe.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// As the operating system has it.
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, io::Error),
    /// A symlink, a pipe, a device, a socket.
    #[error("`{0}` is neither a regular file nor a folder")]
    NotAFile(String),
    /// More than [`DIRECTORY_BYTES`], or too many or too deep entries.
    #[error("it contains more than {} MiB, {ENTRIES} entries or {DEPTH} levels of folders", DIRECTORY_BYTES >> 20)]
    TooLarge,
    /// More than everything that is read may take.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
}

/// The content of one granted folder.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectoryCopy {
    /// The absolute path under which the probe sees it.
    pub guest: String,
    /// SHA-256 over names and content, as lower-case hex.
    pub digest: String,
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl std::fmt::Debug for DirectoryCopy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DirectoryCopy({}, {} files, sha256 {})", self.guest, self.files.len(), self.digest)
    }
}

/// A folder that is being read.
struct Reading<'a> {
    budget: &'a ReadingBudget,
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    bytes_left: u64,
}

impl DirectoryCopy {
    /// Reads a granted folder below the definition's own.
    ///
    /// # Errors
    /// When it cannot be read, leaves the definition's folder, is too large, holds anything but regular files and
    /// folders, or the budget is used up.
    pub fn read(
        definition: &Definition,
        grant: &DirGrant,
        budget: &ReadingBudget,
    ) -> Result<Self, DirectoryError> {
        let named = grant.host.display().to_string();
        let folder = definition.open_folder_beside(&grant.host);
        let folder = folder.map_err(|error| DirectoryError::Unreadable(named, error))?;
        let mut reading =
            Reading { budget, folders: Vec::new(), files: BTreeMap::new(), bytes_left: DIRECTORY_BYTES };
        reading.folder(&folder, Path::new(""), 0)?;
        reading.folders.sort();
        let digest = reading.digest();
        Ok(Self { guest: grant.guest.clone(), digest, folders: reading.folders, files: reading.files })
    }

    /// Writes the copy as a folder of this name that does not exist yet.
    ///
    /// # Errors
    /// As the operating system has it.
    pub fn write_to(&self, private: &Path) -> io::Result<()> {
        create_private_folder(private)?;
        // Sorted: a folder comes before the folders in it.
        self.folders.iter().try_for_each(|folder| create_private_folder(&private.join(folder)))?;
        self.files
            .iter()
            .try_for_each(|(name, bytes)| create_private_file(&private.join(name))?.write_all(bytes))
    }
}

impl Reading<'_> {
    fn folder(&mut self, folder: &Dir, path: &Path, depth: usize) -> Result<(), DirectoryError> {
        let unreadable = |path: &Path, error| DirectoryError::Unreadable(path.display().to_string(), error);
        if depth > DEPTH {
            return Err(DirectoryError::TooLarge);
        }
        for entry in folder.entries().map_err(|error| unreadable(path, error))? {
            let entry = entry.map_err(|error| unreadable(path, error))?;
            self.budget.take_entry()?;
            let name = path.join(entry.file_name());
            if self.files.len() + self.folders.len() >= ENTRIES {
                return Err(DirectoryError::TooLarge);
            }
            let kind = entry.file_type().map_err(|error| unreadable(&name, error))?;
            if kind.is_dir() {
                let inner = folder.open_dir(entry.file_name());
                self.folders.push(name.clone());
                self.folder(&inner.map_err(|error| unreadable(&name, error))?, &name, depth + 1)?;
            } else {
                let bytes = self.file(folder, Path::new(&entry.file_name()), &name)?;
                self.files.insert(name, bytes);
            }
        }
        Ok(())
    }

    /// What is opened is what is looked at: a file that is swapped meanwhile is still a regular one, or refused.
    fn file(&mut self, folder: &Dir, entry: &Path, name: &Path) -> Result<Vec<u8>, DirectoryError> {
        let shown = || name.display().to_string();
        let unreadable = |error| DirectoryError::Unreadable(shown(), error);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed());
        let file = match folder.open_with(entry, &options) {
            Ok(file) => file,
            Err(_) if folder.symlink_metadata(entry).is_ok_and(|found| !found.is_file()) => {
                return Err(DirectoryError::NotAFile(shown()));
            }
            Err(error) => return Err(unreadable(error)),
        };
        let found = file.metadata().map_err(unreadable)?;
        if !found.is_file() {
            return Err(DirectoryError::NotAFile(shown()));
        }
        self.budget.take_file(found.len().min(self.bytes_left + 1))?;
        let mut bytes = Vec::new();
        let read = self.budget.timed(file).take(self.bytes_left + 1).read_to_end(&mut bytes);
        read.map_err(|error| {
            Exceeded::of(&error).map_or_else(|| unreadable(error), DirectoryError::Exceeded)
        })?;
        self.bytes_left = self.bytes_left.checked_sub(bytes.len() as u64).ok_or(DirectoryError::TooLarge)?;
        Ok(bytes)
    }

    fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // Each with its length, so that no two folders have one digest.
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for folder in &self.folders {
            part(b"folder");
            part(folder.as_os_str().as_encoded_bytes());
        }
        for (name, bytes) in &self.files {
            part(b"file");
            part(name.as_os_str().as_encoded_bytes());
            part(bytes);
        }
        hex::encode(hasher.finalize())
    }
}
