//! Folders that only this user can change, and files in them that are replaced whole.
//!
//! Whatever is created here has its mode from the first byte on. A mode at creation can only lose bits to the umask, so
//! the mode is set once more: the owner can use the file under every umask.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

/// What only the owner can read and write.
const FILE: u32 = 0o600;
/// What only the owner can enter.
const FOLDER: u32 = 0o700;

/// Creates a folder that only this user can enter; its parent exists.
///
/// # Errors
/// When it cannot be created, or exists.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(FOLDER))
}

/// Creates a file that only this user can read.
///
/// # Errors
/// When it cannot be created, or exists.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Creates a file without its final name in a folder; only this user can read it.
///
/// # Errors
/// When it cannot be created.
pub fn private_temporary_file(folder: &Path) -> io::Result<NamedTempFile> {
    let file = NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Creates a folder and its parents as far as they are missing, so that only this user can enter them.
///
/// # Errors
/// When one cannot be created.
pub fn create_private_folders(path: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    missing.into_iter().rev().try_for_each(|folder| match create_private_folder(folder) {
        // Another launch was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    })
}

/// Makes a folder that only this user can enter, or checks that it is one.
///
/// # Errors
/// When it cannot be made, or others could have written what is in it.
pub fn private_folder(path: &Path) -> io::Result<()> {
    create_private_folders(path)?;
    let found = std::fs::symlink_metadata(path)?;
    let owner = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != owner {
        return Err(io::Error::other("it is not a folder that belongs to this user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write to it"));
    }
    Ok(())
}

/// The content of a file that only this user can have written; none where it is not, or is not there.
#[must_use]
pub fn read_private(path: &Path, most: u64) -> Option<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let found = file.metadata().ok()?;
    let own = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if !found.is_file() || !own {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len().min(most)).ok()? + 1);
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Writes beside the target and renames, so that readers see all or nothing.
///
/// # Errors
/// When it cannot be written; nothing is left behind then.
pub fn write_atomically(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = private_temporary_file(path.parent().unwrap_or(Path::new("/")))?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.persist(path)?;
    Ok(())
}

/// Whether the file is root's. In a user namespace without root, root's files have the owner of all unmapped users.
#[must_use]
pub fn is_roots(found: &Metadata) -> bool {
    /// The kernel's `overflowuid`, unless somebody changed it.
    const UNMAPPED: u32 = 65_534;
    found.uid() == 0 || (found.uid() == UNMAPPED && !maps_root())
}

/// Whether this process's user namespace knows root. `/proc` lists the ranges of known users, each with its first user.
fn maps_root() -> bool {
    let ranges = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    ranges.lines().any(|range| range.split_whitespace().next() == Some("0"))
}
