//! Copies a layer over the ones below it, where nothing can be mounted: hard links would let a container write into the
//! store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fgetxattr, linkat, mkdirat,
    mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};

use super::unpacking::OPAQUE_ATTRIBUTE;
use crate::engine::native::beneath;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where a file of a layer went that has several names.
type Copied = BTreeMap<u64, (OwnedFd, Vec<u8>)>;

/// Copies a layer over what is there.
pub fn merge(layer: &OwnedFd, root: &OwnedFd) -> io::Result<()> {
    folder(layer, root, &mut Copied::new())
}

fn folder(from: &OwnedFd, to: &OwnedFd, copied: &mut Copied) -> io::Result<()> {
    if is_opaque(from) {
        for name in beneath::entries(to)? {
            beneath::remove(to, &name)?;
        }
    }
    for name in beneath::entries(from)? {
        entry(from, to, &name, copied)?;
    }
    // Last: a folder may forbid writing.
    let found = rustix::fs::fstat(from)?;
    own(to, b"", &found, AtFlags::EMPTY_PATH)?;
    rustix::fs::fchmod(to, mode(&found))?;
    Ok(())
}

fn entry(from: &OwnedFd, to: &OwnedFd, name: &[u8], copied: &mut Copied) -> io::Result<()> {
    let found = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if kind == FileType::Directory {
        return inner_folder(from, to, name, copied);
    }
    beneath::remove(to, name)?;
    if kind == FileType::CharacterDevice && found.st_rdev == 0 {
        return Ok(());
    }
    if let Some((folder, first)) = copied.get(&found.st_ino) {
        return Ok(linkat(folder, first.as_slice(), to, name, AtFlags::empty())?);
    }
    match kind {
        FileType::RegularFile => {
            let mut source = File::from(openat(
                from,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut target = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600))?);
            io::copy(&mut source, &mut target)?;
            own(to, name, &found, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::fchmod(&target, mode(&found))?;
        }
        FileType::Symlink => {
            symlinkat(&readlinkat(from, name, Vec::new())?, to, name)?;
            own(to, name, &found, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        FileType::Fifo => {
            mknodat(to, name, FileType::Fifo, mode(&found), 0)?;
            own(to, name, &found, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        // No layer of the store has any other.
        _ => return Ok(()),
    }
    let time = Timespec { tv_sec: found.st_mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    if found.st_nlink > 1 {
        copied.insert(found.st_ino, (to.try_clone()?, name.to_vec()));
    }
    Ok(())
}

fn inner_folder(from: &OwnedFd, to: &OwnedFd, name: &[u8], copied: &mut Copied) -> io::Result<()> {
    let there = statat(to, name, AtFlags::SYMLINK_NOFOLLOW);
    if !there.is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Directory) {
        beneath::remove(to, name)?;
        mkdirat(to, name, Mode::from_raw_mode(0o700))?;
    }
    let (from, to) = (openat(from, name, FOLDER, Mode::empty())?, openat(to, name, FOLDER, Mode::empty())?);
    folder(&from, &to, copied)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    fgetxattr(folder, OPAQUE_ATTRIBUTE, &mut value[..]).is_ok_and(|length| length == 1 && value == *b"y")
}

fn mode(found: &Stat) -> Mode {
    Mode::from_raw_mode(found.st_mode & 0o7777)
}

/// Gives a file its owner, as far as there is more than one user.
fn own(folder: &OwnedFd, name: &[u8], found: &Stat, flags: AtFlags) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
    match rustix::fs::chownat(folder, name, Some(user), Some(group), flags) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::fs::{XattrFlags, fsetxattr};

    use super::*;

    #[test]
    fn upper_layers_replace_hide_and_keep() {
        let all = tempfile::tempdir().expect("a folder");
        let path = |name: &str| all.path().join(name);
        for folder in ["lower/d/inner", "lower/hidden", "upper/d", "upper/hidden", "root"] {
            fs::create_dir_all(path(folder)).expect("a folder");
        }
        for (name, text) in [
            ("lower/d/kept", "kept"),
            ("lower/d/gone", "gone"),
            ("lower/d/changed", "old"),
            ("lower/d/inner/deep", "deep"),
            ("lower/hidden/old", "old"),
            ("lower/link", "a file"),
            ("upper/d/changed", "new"),
            ("upper/hidden/new", "new"),
        ] {
            fs::write(path(name), text).expect("written");
        }
        fs::hard_link(path("upper/d/changed"), path("upper/again")).expect("a link");
        symlink("/elsewhere", path("upper/link")).expect("a link");
        fs::set_permissions(path("upper/d/changed"), fs::Permissions::from_mode(0o4711)).expect("a mode");
        fs::set_permissions(path("upper/d"), fs::Permissions::from_mode(0o511)).expect("a mode");
        let [lower, upper, root] =
            ["lower", "upper", "root"].map(|name| beneath::open_root(&path(name)).expect("open"));
        let hidden = beneath::open_root(&path("upper/hidden")).expect("open");
        let marked = fsetxattr(&hidden, OPAQUE_ATTRIBUTE, b"y", XattrFlags::empty());
        fs::set_permissions(path("upper/d"), fs::Permissions::from_mode(0o711)).expect("a mode");
        let d = beneath::open_root(&path("upper/d")).expect("open");
        let gone = mknodat(&d, "gone", FileType::CharacterDevice, Mode::empty(), 0);
        merge(&lower, &root).expect("merged");
        merge(&upper, &root).expect("merged");
        let text = |name: &str| fs::read_to_string(path("root").join(name)).ok();
        assert_eq!(text("d/kept").as_deref(), Some("kept"));
        assert_eq!(text("d/inner/deep").as_deref(), Some("deep"));
        assert_eq!(text("d/changed").as_deref(), Some("new"));
        assert_eq!(text("again").as_deref(), Some("new"));
        assert_eq!(text("hidden/new").as_deref(), Some("new"));
        assert_eq!(fs::read_link(path("root/link")).expect("a link"), std::path::Path::new("/elsewhere"));
        let changed = fs::metadata(path("root/d/changed")).expect("a file");
        assert_eq!((changed.mode() & 0o7777, changed.nlink()), (0o4711, 2));
        assert_eq!(fs::metadata(path("root/d")).expect("a folder").mode() & 0o7777, 0o711);
        assert_eq!(fs::metadata(path("upper/d/changed")).expect("a file").nlink(), 2, "no link to the layer");
        assert!(gone.is_err() || text("d/gone").is_none());
        assert!(marked.is_err() || text("hidden/old").is_none());
    }
}
