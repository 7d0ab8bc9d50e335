//! Folders that only this user can change, and files in them that are replaced whole.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

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
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut beside = path.to_owned();
    beside.as_mut_os_string().push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
