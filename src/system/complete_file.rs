//! Files that are never seen half-written: [`replace`] writes ordinary ones. Those in folders of all users also have
//! their mode, their content and their lock before they have a name: nobody finds one without them, and a process that
//! is killed before it gives the name leaves nothing.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Other users' launches must be able to look at it.
const MODE: u32 = 0o644;

/// What the umask leaves of it is the mode of an ordinary file.
const ORDINARY: u32 = 0o666;

/// Writes an ordinary file of this user's, or replaces it. What has the name is neither followed nor changed before the new
/// content is whole.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    expect_replaceable(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(ORDINARY)).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Refuses what a file must not take the place of.
///
/// # Errors
/// When a device, a pipe or a folder has the name.
pub fn expect_replaceable(path: &Path) -> io::Result<()> {
    // A file there would break whoever uses it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is there, and is not a regular file"));
    }
    Ok(())
}

/// Creates the file with this name and what `prepare` does to it.
///
/// # Errors
/// When a file has the name already, or none can be created.
pub fn create(path: &Path, prepare: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let Some(mut file) = unnamed(folder) else { return create_by_renaming(folder, path, prepare) };
    file.set_permissions(Permissions::from_mode(MODE))?;
    prepare(&mut file)?;
    give_name(&file, path)?;
    Ok(file)
}

/// A file without any name; `None` if the file system has none (overlayfs before Linux 6.6), or nobody could name it.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = OFlags::TMPFILE.bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).mode(MODE).custom_flags(flags).open(folder).ok()?;
    own_link(&file).exists().then_some(file)
}

/// What `/proc` has for a file that this process has open.
#[cfg(target_os = "linux")]
fn own_link(file: &File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;

    Path::new("/proc/self/fd").join(file.as_raw_fd().to_string())
}

#[cfg(target_os = "linux")]
fn give_name(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};

    Ok(linkat(CWD, own_link(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_folder: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn give_name(_file: &File, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn create_by_renaming(
    folder: &Path,
    path: &Path,
    prepare: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    prepare(file.as_file_mut())?;
    match file.persist_noclobber(path) {
        Ok(file) => Ok(file),
        // Early gVisor renames nothing to the name of a file that was removed, and says that it exists. It makes links.
        Err(unnamed) if unnamed.error.kind() == io::ErrorKind::AlreadyExists => {
            let (file, temporary) = unnamed.file.into_parts();
            std::fs::hard_link(&temporary, path)?;
            Ok(file)
        }
        Err(unnamed) => Err(unnamed.error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    type Create = fn(&Path, &Path) -> io::Result<File>;

    fn content(file: &mut File) -> io::Result<()> {
        file.write_all(b"content")
    }

    #[test]
    fn a_file_is_complete_when_it_has_its_name_and_takes_nobodys() {
        let ways: [Create; 2] =
            [|_, path| create(path, content), |folder, path| create_by_renaming(folder, path, content)];
        for way in ways {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("file");
            let mut file = way(folder.path(), &path).expect("created");
            let found = std::fs::metadata(&path).expect("there");
            assert_eq!((found.mode() & 0o7777, found.nlink(), found.len()), (MODE, 1, 7));
            let mut read = String::new();
            file.rewind().and_then(|()| file.read_to_string(&mut read)).expect("read");
            assert_eq!(read, "content");
            let again = way(folder.path(), &path).expect_err("it exists");
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read_dir(folder.path()).map_or(0, Iterator::count), 1);
        }
    }

    /// A process that is killed meanwhile leaves what is found here.
    #[test]
    #[cfg(target_os = "linux")]
    fn before_it_has_its_name_nothing_is_in_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        if unnamed(folder.path()).is_none() {
            eprintln!("NOT COVERED system::complete_file: this file system has no files without names");
            return;
        }
        let count = || std::fs::read_dir(folder.path()).map_or(0, Iterator::count);
        create(&folder.path().join("file"), |_| {
            assert_eq!(count(), 0);
            Ok(())
        })
        .expect("created");
        assert_eq!(count(), 1);
    }
}
