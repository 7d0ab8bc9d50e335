//! Mounts what a container's definition and image want in its root. Each source is opened once, without following a link that
//! somebody put there since, and mounted as what was opened; each target is opened beneath the root.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};

use super::filesystem::{SAFE, doing, on, open_folder};
use super::mounts::{ContainerMount, Source};
use crate::engine::native::beneath;
use crate::engine::native::images::merging;
use crate::engine::native::roles::{Failure, Helper};
use crate::engine::native::volumes::Volumes;

/// What of a mount's flags a namespace of users may not take away.
const KEPT: [(StatVfsMountFlags, MountFlags); 6] = [
    (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
    (StatVfsMountFlags::NODEV, MountFlags::NODEV),
    (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
    (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
    (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
];

/// Mounts all of it, in order, in the root of a container of the engine with this folder.
pub fn mount_all(engine: &Path, root: &OwnedFd, mounts: &[ContainerMount]) -> io::Result<()> {
    let volumes = Volumes::of(engine, Helper::own());
    mounts.iter().try_for_each(|one| mount_one(&volumes, root, one))
}

fn mount_one(volumes: &Volumes, root: &OwnedFd, one: &ContainerMount) -> io::Result<()> {
    let target = one.target.trim_start_matches('/');
    let what = || doing(format!("mount /{target}"));
    match &one.source {
        Source::Volume(name) => {
            let place = open_folder(root, target)?;
            let data = beneath::open_root(&content(&volumes.folder(name), &place)?)?;
            mount_bind(on(&data), on(&place)).map_err(what())?;
        }
        Source::Bind(path) => {
            let source = open_source(path).map_err(Failure::doing(format!("open {}", path.display())))?;
            let found = rustix::fs::fstat(&source).map_err(what())?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                let place = open_folder(root, target)?;
                // What is mounted within cannot be left out in a namespace of users: it may hide something.
                mount_bind_recursive(on(&source), on(&place)).map_err(what())?;
            } else {
                let place = open_file(root, target)?;
                mount_bind(on(&source), on(&place)).map_err(what())?;
            }
        }
        Source::Memory(size) => {
            let place = open_folder(root, target)?;
            // As Docker has it: the image says who may enter, if it has such a folder.
            let mode = rustix::fs::fstat(&place).map_err(what())?.st_mode & 0o7777;
            let size = size.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
            let options = CString::new(format!("mode={mode:o}{size}")).map_err(io::Error::other)?;
            mount("tmpfs", on(&place), "tmpfs", SAFE, options.as_c_str()).map_err(what())?;
        }
    }
    if one.writable { Ok(()) } else { make_all_read_only(root, &one.target) }
}

/// Opens what is bound. Its path has no links, or it is not what the definition's folder had.
pub fn open_source(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            opened => return Ok(opened?),
        }
    }
}

/// Opens the file to mount a file on, and creates it if it is missing. What is there is kept.
fn open_file(root: &OwnedFd, target: &str) -> io::Result<OwnedFd> {
    let path = Path::new(target);
    let found = match beneath::open(root, path, OFlags::PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = beneath::names(path.parent().unwrap_or(path))?;
            let folder = beneath::open_folder(root, &folder)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let name = path.file_name().unwrap_or_default();
            rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
            beneath::open(root, path, OFlags::PATH)
        }
        found => found,
    };
    let found = found.map_err(Failure::doing(format!("open /{target}")))?;
    if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Directory {
        return Err(Failure::said(format!(
            "mount /{target}: the image has a folder there, and the source is a file"
        ))
        .into());
    }
    Ok(found)
}

/// The folder with a volume's content. A volume that has none gets a copy of what the image has at that place, with its owner
/// and mode: as Docker has it.
fn content(volume: &Path, place: &OwnedFd) -> io::Result<PathBuf> {
    let data = volume.join("data");
    let is_filled = match fs::read_dir(&data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Failure::doing(format!("read the volume {}", data.display()))(error)),
    };
    if is_filled {
        return Ok(data);
    }
    let fill = || {
        let unfinished = volume.join("unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&unfinished)?,
        }
        let copy = beneath::open_root(&unfinished)?;
        merging::merge(place, &copy)?;
        rustix::fs::syncfs(&copy)?;
        fs::rename(&unfinished, &data)
    };
    fill().map_err(Failure::doing(format!("fill the volume {}", volume.display())))?;
    Ok(data)
}

/// Makes what was mounted last at a path read-only, with everything that is mounted within it.
fn make_all_read_only(root: &OwnedFd, target: &str) -> io::Result<()> {
    let opened = beneath::open(root, Path::new(target), OFlags::PATH)?;
    let place = fs::read_link(on(&opened))?;
    let all = fs::read("/proc/self/mountinfo")?;
    // The outer one first: it is there in any case.
    for path in mount_points(&all).into_iter().filter(|path| path.starts_with(&place)) {
        make_read_only(&open_source(&path)?)
            .map_err(Failure::doing(format!("make {} read-only", path.display())))?;
    }
    Ok(())
}

/// Makes the mount read-only whose root this is.
pub fn make_read_only(mounted: &OwnedFd) -> io::Result<()> {
    let now = rustix::fs::fstatvfs(mounted)?.f_flag;
    let kept = KEPT.iter().filter(|(told, _)| now.contains(*told)).map(|(_, flag)| *flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, MountFlags::union);
    Ok(mount_remount(on(mounted), flags, c"")?)
}

/// The places on which something is mounted, as `/proc` lists them, in ascending order.
pub fn mount_points(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut points: Vec<PathBuf> = fields.map(unescaped).collect();
    points.sort_unstable();
    points.dedup();
    points
}

/// A path whose spaces, tabs, line breaks and backslashes are written as octal numbers.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<3>().filter(|_| *byte == b'\\');
        let number = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(number.unwrap_or(*byte));
        rest = if number.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text =
            b"36 35 98:0 / /mnt\\0401 rw - ext4 /dev/x rw\n37 36 0:1 / /mnt\\134\\011x rw - proc p rw\nodd\n";
        assert_eq!(mount_points(text), [Path::new("/mnt 1"), Path::new("/mnt\\\tx")]);
        assert_eq!(unescaped(b"/a\\9\\04"), Path::new("/a\\9\\04"));
    }

    #[test]
    fn a_link_that_was_put_into_the_path_of_a_source_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("a path");
        fs::create_dir(path.join("real")).expect("a folder");
        fs::write(path.join("real/file"), "text").expect("written");
        symlink(path.join("real"), path.join("link")).expect("a link");
        symlink(path.join("real/file"), path.join("other")).expect("a link");
        open_source(&path.join("real/file")).expect("no link");
        for name in ["link", "link/file", "other"] {
            assert!(open_source(&path.join(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_volume_is_filled_from_the_image_while_it_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, volume) = (folder.path().join("image"), folder.path().join("volume"));
        for path in [&image, &volume] {
            fs::create_dir(path).expect("a folder");
        }
        fs::write(image.join("first"), "of the image").expect("written");
        fs::set_permissions(&image, fs::Permissions::from_mode(0o1777)).expect("a mode");
        let place = beneath::open_root(&image).expect("open");
        // As a launch leaves it that was killed meanwhile.
        fs::create_dir_all(volume.join("unfinished/half")).expect("folders");
        let data = content(&volume, &place).expect("filled");
        let mode = fs::metadata(&data).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!((mode, fs::read_dir(&data).expect("a folder").count()), (0o1777, 1));
        fs::write(data.join("second"), "of the container").expect("written");
        fs::remove_file(data.join("first")).expect("removed");
        content(&volume, &place).expect("kept");
        assert!(!data.join("first").exists(), "it has content of its own");
        fs::remove_file(data.join("second")).expect("removed");
        content(&volume, &place).expect("filled");
        assert!(data.join("first").exists());
        assert!(!volume.join("unfinished").exists());
    }
}
