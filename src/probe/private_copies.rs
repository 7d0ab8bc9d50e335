//! Copies of granted folders on disk, which only this user can read.
//!
//! They lie in a folder of the user's own, not among temporary files, and last as long as a launch polls. The copies of
//! one condition are one folder that is locked while they are used: the kernel releases the lock however the process
//! ends, and the next launch removes every folder that nobody has locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::directories::DirectoryCopy;
use crate::system::folders::own_folders;
use crate::system::private_files::{create_private_folder, private_folder};

/// The folder of the copies among what can be made again.
const FOLDER: &str = "granted-folders";
/// Names that are tried for a new folder: each was taken by chance, or removed by a sweep before it was locked.
const MOST_TRIES: usize = 100;

/// Copies of granted folders on disk; removed with this value.
#[derive(Debug)]
pub struct PrivateCopies {
    entries: Vec<PrivateCopy>,
    folder: PathBuf,
    /// Locked: proves to sweeps that the folder is used.
    _lease: File,
}

/// One of them.
#[derive(Debug)]
pub struct PrivateCopy {
    /// Where the copy lies.
    pub host: PathBuf,
    /// The absolute path under which the probe sees it.
    pub guest: String,
}

impl PrivateCopies {
    /// Writes the copies; `None` if there is nothing to write.
    ///
    /// # Errors
    /// As the operating system has it.
    pub fn write(copies: &[DirectoryCopy]) -> io::Result<Option<Self>> {
        if copies.is_empty() {
            return Ok(None);
        }
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for place in places() {
            match private_place(&place).and_then(|()| Self::write_below(&place, copies)) {
                Ok(written) => return Ok(Some(written)),
                // Such as a file system without locks, or without room.
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn write_below(place: &Path, copies: &[DirectoryCopy]) -> io::Result<Self> {
        let (folder, lease) = leased_folder(place)?;
        // From here on dropping it removes what was written.
        let mut written = Self { entries: Vec::new(), folder, _lease: lease };
        for (index, copy) in copies.iter().enumerate() {
            let host = written.folder.join(index.to_string());
            copy.write_to(&host)?;
            written.entries.push(PrivateCopy { host, guest: copy.guest.clone() });
        }
        Ok(written)
    }

    /// Each copy.
    #[must_use]
    pub fn entries(&self) -> &[PrivateCopy] {
        &self.entries
    }
}

impl Drop for PrivateCopies {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next sweep.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes the copies that killed launches left behind.
pub fn sweep() {
    for place in places() {
        sweep_below(&place);
    }
}

fn sweep_below(place: &Path) {
    // A folder that others may change is no place where anything is removed.
    if !place.exists() || private_folder(place).is_err() {
        return;
    }
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        if open_folder(&path).is_ok_and(|lease| lease.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Makes a place, or checks that nobody else can change it.
fn private_place(place: &Path) -> io::Result<()> {
    let parent = place.parent().filter(|parent| *parent != std::env::temp_dir());
    parent.map_or(Ok(()), private_folder)?;
    private_folder(place)
}

/// In the user's cache; if that cannot be used, in a folder of the user's among temporary files.
fn places() -> impl Iterator<Item = PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("farrier-{FOLDER}-{user}"));
    own_folders().0.map(|cache| cache.join(FOLDER)).into_iter().chain([temporary])
}

/// A new folder, and the lock on it.
fn leased_folder(place: &Path) -> io::Result<(PathBuf, File)> {
    for _ in 0..MOST_TRIES {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = place.join(hex::encode(random));
        match create_private_folder(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            created => created?,
        }
        // A sweep may lock and remove the folder before it is locked here.
        let Ok(lease) = open_folder(&path) else { continue };
        match lease.try_lock() {
            Ok(()) if has_name(&lease, &path) => return Ok((path, lease)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                let _ = std::fs::remove_dir(&path);
                return Err(error);
            }
        }
    }
    Err(io::Error::other("a folder for it was removed again and again"))
}

fn has_name(lease: &File, path: &Path) -> bool {
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    let named = std::fs::symlink_metadata(path).map(identity);
    named.is_ok_and(|named| lease.metadata().is_ok_and(|found| identity(found) == named))
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(place).expect("the place").map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn a_sweep_removes_what_nobody_uses_and_nothing_else() {
        let place = tempfile::tempdir().expect("a folder");
        let used = PrivateCopies::write_below(place.path(), &[]).expect("copies");
        let left = place.path().join("left");
        std::fs::create_dir_all(left.join("0/deep")).expect("as a killed launch left it");
        std::fs::write(left.join("0/secret"), "secret").expect("a file");
        let link = place.path().join("link");
        std::os::unix::fs::symlink("/", &link).expect("a link");
        sweep_below(place.path());
        assert_eq!(names(place.path()).len(), 2, "{:?}", names(place.path()));
        assert!(used.folder.exists() && std::fs::symlink_metadata(&link).is_ok());
        drop(used);
        assert_eq!(names(place.path()), [link]);
    }

    #[test]
    fn a_place_that_others_may_write_is_not_swept() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(place.path().join("left")).expect("a folder");
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).expect("a mode");
        sweep_below(place.path());
        assert_eq!(names(place.path()).len(), 1);
    }
}
