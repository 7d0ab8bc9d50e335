//! Paths beneath a folder whose content somebody else made: no link, no `..` and no mount of a process leads out of it, and
//! what is created or removed is the named thing itself, never what it points to.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// How folders are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// How deep folders are removed, and how deep a path may lead: as deep as a path can name, with room.
const DEEPEST: usize = 2_100;
/// How many links a path may lead through: as the kernel has it.
const MOST_LINKS: usize = 40;

/// Opens the folder itself, whose path is trusted.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// The names of a path, which stays inside.
pub fn names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.as_bytes().to_vec()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(invalid(format!("the path {} leaves its folder", path.display())));
            }
        }
    }
    if names.len() > DEEPEST {
        return Err(invalid("a path has more parts than any file system takes"));
    }
    Ok(names)
}

/// Opens something beneath the root. Symbolic links are followed as a change of the root would have it.
pub fn open(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // Interrupted if something within is renamed meanwhile.
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // gVisor, and kernels before 5.6.
            Err(Errno::NOSYS) => return walk(root, path, flags),
            opened => return Ok(opened?),
        }
    }
}

/// As `open`, step by step: each part is opened without following it, and a link is read and taken as a path beneath the root.
fn walk(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mut ahead: VecDeque<OsString> = parts(path);
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            // Above the root there is nothing.
            folders.pop();
            continue;
        }
        let folder = folders.last().unwrap_or(root);
        let found = rustix::fs::statat(folder, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW);
        let is_last = ahead.is_empty();
        if is_last && flags.contains(OFlags::NOFOLLOW) || !found.is_ok_and(|found| is_link(&found)) {
            if is_last {
                let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                return Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?);
            }
            let next = rustix::fs::openat(folder, name, STEP | OFlags::DIRECTORY, Mode::empty())?;
            folders.push(next);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if target.is_absolute() {
            folders.clear();
        }
        for part in parts(target).into_iter().rev() {
            ahead.push_front(part);
        }
    }
    let folder = folders.last().unwrap_or(root);
    Ok(rustix::fs::openat(folder, ".", flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn is_link(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Symlink
}

/// The names and steps up of a path.
fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

/// Opens a folder beneath the root, and creates it and its parents as far as they are missing.
pub fn open_folder(root: &OwnedFd, names: &[Vec<u8>]) -> io::Result<OwnedFd> {
    let opened = open(root, &joined(names), FOLDER);
    let Err(error) = opened else { return opened };
    let Some((last, before)) = names.split_last().filter(|_| error.kind() == io::ErrorKind::NotFound) else {
        return Err(error);
    };
    let parent = open_folder(root, before)?;
    match rustix::fs::mkdirat(&parent, last.as_slice(), Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open(root, &joined(names), FOLDER),
        Err(error) => Err(error.into()),
    }
}

fn joined(names: &[Vec<u8>]) -> PathBuf {
    names.iter().map(|name| OsStr::from_bytes(name)).collect()
}

/// Removes what has this name in a folder, with all that is in it. Nothing may be there.
pub fn remove(folder: impl AsFd, name: &[u8]) -> io::Result<()> {
    remove_at(&folder, name, 0)
}

fn remove_at(folder: &impl AsFd, name: &[u8], depth: usize) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // A folder: one of both, depending on the file system.
        Err(Errno::ISDIR | Errno::PERM) => {
            if depth > DEEPEST {
                return Err(invalid("folders lie too deep in one another"));
            }
            let inside = rustix::fs::openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            clear_at(&inside, depth + 1)?;
            Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn clear_at(folder: &OwnedFd, depth: usize) -> io::Result<()> {
    entries(folder)?.iter().try_for_each(|name| remove_at(folder, name, depth))
}

/// The names of everything in a folder.
pub fn entries(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("root"), folder.path().join("outside"));
        for path in [&inside, &outside] {
            std::fs::create_dir(path).expect("a folder");
        }
        std::fs::write(outside.join("kept"), "kept").expect("written");
        symlink(&outside, inside.join("absolute")).expect("a link");
        symlink("../outside", inside.join("relative")).expect("a link");
        symlink("/proc/self/root", inside.join("magic")).expect("a link");
        let root = open_root(&inside).expect("a folder");
        for name in ["absolute", "relative", "magic"] {
            assert!(open(&root, &Path::new(name).join("kept"), OFlags::RDONLY).is_err(), "{name}");
            remove(&root, name.as_bytes()).expect("removed");
        }
        assert_eq!(std::fs::read_to_string(outside.join("kept")).expect("kept"), "kept");
        assert_eq!(std::fs::read_dir(&inside).expect("a folder").count(), 0);
    }

    #[test]
    fn step_by_step_a_path_leads_where_the_kernel_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("root");
        std::fs::create_dir_all(inside.join("a/b")).expect("folders");
        std::fs::write(folder.path().join("secret"), "outside").expect("written");
        std::fs::write(inside.join("secret"), "inside").expect("written");
        std::fs::write(inside.join("a/b/file"), "file").expect("written");
        for (name, target) in [
            ("to-root", "/"),
            ("up", "../../../secret"),
            ("a/absolute", "/a/b"),
            ("a/relative", "./b/../b"),
            ("a/chain", "absolute/file"),
            ("circle", "circle"),
            ("dangling", "nowhere"),
        ] {
            symlink(target, inside.join(name)).expect("a link");
        }
        let root = open_root(&inside).expect("a folder");
        let paths = [
            ".",
            "a",
            "a/b/file",
            "to-root/a",
            "up",
            "../secret",
            "a/absolute/file",
            "a/relative/file",
            "a/chain",
            "circle",
            "dangling",
            "a/b/file/x",
            "nothing",
            "to-root",
            "a/../..",
            "a/absolute/../b",
        ];
        let what = |opened: io::Result<OwnedFd>| match opened {
            Ok(opened) => {
                let found = rustix::fs::fstat(&opened).expect("it is open");
                Ok((found.st_dev, found.st_ino))
            }
            Err(error) => Err(error.raw_os_error()),
        };
        for path in paths.map(Path::new) {
            for flags in [OFlags::RDONLY, OFlags::PATH | OFlags::NOFOLLOW, FOLDER] {
                let (kernel, walked) = (what(open(&root, path, flags)), what(walk(&root, path, flags)));
                assert_eq!(walked, kernel, "{} {flags:?}", path.display());
            }
        }
    }

    #[test]
    fn folders_are_made_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = open_root(folder.path()).expect("a folder");
        let path = names(Path::new("/a/./b/c")).expect("a path");
        open_folder(&root, &path).expect("made");
        open_folder(&root, &path).expect("it is there");
        std::fs::write(folder.path().join("a/b/c/file"), "x").expect("written");
        remove(&root, b"a").expect("removed");
        remove(&root, b"a").expect("it is gone");
        assert_eq!(entries(&root).expect("names"), Vec::<Vec<u8>>::new());
        assert!(names(Path::new("a/../../b")).is_err());
    }
}
