//! Unpacks one layer, which comes uncompressed by standard input, into an empty folder. This is a process of its own: it may
//! live in a namespace of users, and what a hostile layer does to it concerns nobody else.
//!
//! The folder becomes a lower layer of an overlay: a whiteout is the device 0:0, and a folder that hides what lies below it
//! has an attribute that needs no privilege.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use tar::EntryType;

use crate::engine::native::beneath;

/// How names of whiteouts begin.
const WHITEOUT: &[u8] = b".wh.";
/// The name that hides everything below a folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The attribute of a folder that hides everything below it.
pub const OPAQUE_ATTRIBUTE: &str = "user.overlay.opaque";
/// What the attribute says.
const YES: &[u8] = b"y";

/// How much a layer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// Far beyond what images are, and within what a disk takes.
pub const LIMITS: Limits = Limits { bytes: 64 << 30, entries: 4_000_000 };

/// A layer that is being unpacked.
struct Unpacking {
    root: OwnedFd,
    left: Limits,
    /// Folders with their modes, which are set last: one of them may forbid writing.
    folders: Vec<(Vec<Vec<u8>>, u32)>,
}

/// Unpacks a layer.
pub fn unpack(content: impl Read, folder: &Path, limits: Limits) -> io::Result<()> {
    let root = beneath::open_root(folder)?;
    let mut unpacking = Unpacking { root, left: limits, folders: Vec::new() };
    let mut archive = tar::Archive::new(content);
    for entry in archive.entries()? {
        let entry = entry.map_err(|error| invalid(format!("the layer is not a tar archive: {error}")))?;
        let path = entry.path_bytes().into_owned();
        unpacking.entry(entry, &path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::StorageFull => error,
            kind => io::Error::new(kind, format!("{:?}: {error}", String::from_utf8_lossy(&path))),
        })?;
    }
    // What stands behind the archive's end is read, too: whoever writes it waits for that.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    unpacking.finish()
}

impl Unpacking {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>, path: &[u8]) -> io::Result<()> {
        self.left.entries =
            self.left.entries.checked_sub(1).ok_or_else(|| invalid("the layer has too many entries"))?;
        let names = beneath::names(Path::new(OsStr::from_bytes(path)))?;
        let Some((name, before)) = names.split_last() else {
            return self.root_entry(&entry);
        };
        let folder = beneath::open_folder(&self.root, before)?;
        if name == OPAQUE {
            return Ok(rustix::fs::fsetxattr(&folder, OPAQUE_ATTRIBUTE, YES, XattrFlags::empty())?);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return whiteout(&folder, hidden);
        }
        let header = entry.header().clone();
        let mode = header.mode()? & 0o7777;
        match header.entry_type() {
            EntryType::Directory => {
                make_directory(&folder, name)?;
                own(&folder, name, &header)?;
                self.folders.push((names, mode));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.regular(&folder, name, &mut entry, &header, mode)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a link has no target"))?;
                beneath::remove(&folder, name)?;
                rustix::fs::symlinkat(&*target, &folder, name.as_slice())?;
                own(&folder, name, &header)?;
                date(&folder, name, &header)?;
            }
            EntryType::Link => self.link(&folder, name, &entry)?,
            EntryType::Fifo => {
                beneath::remove(&folder, name)?;
                rustix::fs::mknodat(&folder, name.as_slice(), FileType::Fifo, Mode::from_raw_mode(mode), 0)?;
                own(&folder, name, &header)?;
            }
            // Each container gets a `/dev` of its own, and no other device is ever needed.
            EntryType::Char | EntryType::Block | EntryType::XGlobalHeader => {}
            other => return Err(invalid(format!("the layer has an entry of the unknown kind {other:?}"))),
        }
        Ok(())
    }

    /// The layer's own folder: its mode is that of the container's root.
    fn root_entry<R: Read>(&mut self, entry: &tar::Entry<'_, R>) -> io::Result<()> {
        let header = entry.header();
        if header.entry_type().is_dir() {
            self.folders.push((Vec::new(), header.mode()? & 0o7777));
        }
        Ok(())
    }

    fn regular<R: Read>(
        &mut self,
        folder: &OwnedFd,
        name: &[u8],
        entry: &mut tar::Entry<'_, R>,
        header: &tar::Header,
        mode: u32,
    ) -> io::Result<()> {
        beneath::remove(folder, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(file);
        let written = io::copy(&mut entry.take(self.left.bytes + 1), &mut file)?;
        self.left.bytes =
            self.left.bytes.checked_sub(written).ok_or_else(|| invalid("the layer has too much content"))?;
        own(folder, name, header)?;
        // After the owner, whose change would take bits away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        date(folder, name, header)
    }

    fn link<R: Read>(&self, folder: &OwnedFd, name: &[u8], entry: &tar::Entry<'_, R>) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| invalid("a link has no target"))?;
        let target = beneath::names(Path::new(OsStr::from_bytes(&target)))?;
        let (last, before) = target.split_last().ok_or_else(|| invalid("a link leads to the root"))?;
        let from = beneath::open_folder(&self.root, before)?;
        let found =
            rustix::fs::statat(&from, last.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
                invalid(format!("a hard link leads to a file that the layer does not contain: {error}"))
            })?;
        let to = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if to.is_ok_and(|to| (to.st_dev, to.st_ino) == (found.st_dev, found.st_ino)) {
            return Ok(());
        }
        beneath::remove(folder, name)?;
        // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is that link.
        Ok(rustix::fs::linkat(&from, last.as_slice(), folder, name, AtFlags::empty())?)
    }

    /// Modes of folders, the innermost first; and everything to the disk, before the folder gets its name.
    fn finish(self) -> io::Result<()> {
        for (names, mode) in self.folders.iter().rev() {
            // A later entry may have put something else there.
            if let Some((name, before)) = names.split_last() {
                let folder = beneath::open_folder(&self.root, before)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(own) = rustix::fs::openat(&folder, name.as_slice(), flags, Mode::empty()) {
                    rustix::fs::fchmod(&own, Mode::from_raw_mode(*mode))?;
                }
            } else {
                rustix::fs::fchmod(&self.root, Mode::from_raw_mode(*mode))?;
            }
        }
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}

/// Makes a folder, unless it is there, in place of anything else.
fn make_directory(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_folder = found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory);
    if !is_folder {
        beneath::remove(folder, name)?;
        rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o700))?;
    }
    Ok(())
}

fn whiteout(folder: &OwnedFd, hidden: &[u8]) -> io::Result<()> {
    if hidden.is_empty() || hidden == b"." || hidden == b".." {
        return Err(invalid("a whiteout hides no name"));
    }
    // Others of this form are of a file system that is long gone: `.wh..wh.plnk`.
    if hidden.starts_with(WHITEOUT) {
        return Ok(());
    }
    beneath::remove(folder, hidden)?;
    Ok(rustix::fs::mknodat(folder, hidden, FileType::CharacterDevice, Mode::empty(), 0)?)
}

/// Gives a file its owner. Where there is one user only, everything is that user's.
fn own(folder: &OwnedFd, name: &[u8], header: &tar::Header) -> io::Result<()> {
    let id = |found: io::Result<u64>| {
        u32::try_from(found?)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| invalid("an owner is not a number"))
    };
    let (user, group) = (Uid::from_raw(id(header.uid())?), Gid::from_raw(id(header.gid())?));
    match rustix::fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn date(folder: &OwnedFd, name: &[u8], header: &tar::Header) -> io::Result<()> {
    let seconds = i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0);
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: access, last_modification: time };
    Ok(rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests;
