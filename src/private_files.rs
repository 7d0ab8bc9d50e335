//! Folders that only this user can change, and files in them that are replaced whole.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a folder that only this user can enter, or checks that it is one.
///
/// # Errors
/// When it cannot be made, or others could have written what is in it.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let found = std::fs::symlink_metadata(path)?;
    let owner = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != owner {
        return Err(io::Error::other("it is not a folder of this user's"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(())
}

/// Writes beside the target and renames, so that readers see all or nothing.
///
/// # Errors
/// When it cannot be written; nothing is left behind then.
pub fn write_atomically(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    // 0600, as temporary files are.
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.persist(path)?;
    Ok(())
}
