//! The root of a container, put together in a namespace of mounts that nobody else sees: the image's layers under a folder of
//! the instance's own, the kernel's file systems with what could harm hidden, a few devices, and files that name the host.
//! The image may hold links where mounts go, so each place is opened beneath the root and mounted on as what was opened.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};

use super::mounting::{make_read_only, mount_all};
use super::mounts::ContainerMount;
use super::specification::ContainerSpecification;
use crate::engine::native::beneath;
use crate::engine::native::images::{ImageStore, merging};
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::neighbours::RESOLVER;
use crate::engine::native::roles::{Failure, Helper};

/// Where the root is mounted, in the instance's folder.
const ROOT: &str = "root";
/// What hides from the container, as Docker has it.
const MASKED: &[&str] = &[
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];
/// What it can only read.
const READ_ONLY: &[&str] = &["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];
/// The devices that it has.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];
/// Links in `/dev`.
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];
/// The size of `/dev/shm` if nothing is declared, in bytes: as Docker has it.
const SHARED_MEMORY: u64 = 64 << 20;
/// How the kernel's file systems are mounted.
pub(super) const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// The path of a container's root.
pub fn root_of(folder: &InstanceFolder) -> PathBuf {
    folder.file(ROOT)
}

/// The folders of an instance in which its container's files are.
pub fn make_folders(folder: &InstanceFolder, container: &ContainerSpecification) -> io::Result<()> {
    for name in [ROOT, "upper", "overlay", "lower", "etc"] {
        let path = folder.file(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let etc = folder.file("etc");
    let (address, names) = (container.address, container.names.join(" "));
    let mut hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{} {names}\n",
        container.hostname
    );
    for line in &container.surroundings.hosts {
        let (name, address) = line.split_once(':').unwrap_or((line, ""));
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    fs::write(etc.join("hosts"), hosts)?;
    fs::write(etc.join("hostname"), format!("{}\n", container.hostname))?;
    fs::write(etc.join("resolv.conf"), format!("nameserver {RESOLVER}\noptions ndots:0\n"))?;
    ["hosts", "hostname", "resolv.conf"]
        .iter()
        .try_for_each(|name| fs::set_permissions(etc.join(name), fs::Permissions::from_mode(0o644)))
}

/// Puts the root together, in a namespace of mounts of this process's own.
pub fn build(folder: &InstanceFolder, container: &ContainerSpecification) -> io::Result<()> {
    layers(folder, container)?;
    let place = root_of(folder);
    // What is mounted on, so that the root can be changed to it.
    mount_bind_recursive(&place, &place).map_err(doing("mount the root"))?;
    let root = beneath::open_root(&place)?;
    kernel_file_systems(&root)?;
    devices(&root, container.surroundings.shared_memory)?;
    mount_all(engine_of(folder), &root, &container.mounts)?;
    for name in ["hosts", "hostname", "resolv.conf"] {
        let path = format!("etc/{name}");
        let Some(target) = place_of_own(&root, &path, &container.mounts)? else { continue };
        mount_bind(folder.file("etc").join(name), on(&target)).map_err(doing(format!("mount /{path}")))?;
    }
    READ_ONLY.iter().try_for_each(|path| read_only(&root, path))?;
    MASKED.iter().try_for_each(|path| mask(&root, path))?;
    if container.surroundings.read_only {
        // Afterwards, nobody could make it.
        open_folder(&root, container.directory.trim_start_matches('/'))?;
        // What was opened lies below what is mounted there.
        make_read_only(&beneath::open_root(&place)?)?;
    }
    Ok(())
}

/// Opens the place for a file of farrier's own; `None` if the definition mounts something there. In a folder that the
/// definition mounts, nothing is replaced.
fn place_of_own(root: &OwnedFd, path: &str, mounts: &[ContainerMount]) -> io::Result<Option<OwnedFd>> {
    let own = Path::new("/").join(path);
    if mounts.iter().any(|mount| Path::new(&mount.target) == own) {
        return Ok(None);
    }
    if !mounts.iter().any(|mount| own.starts_with(&mount.target)) {
        return file(root, path).map(Some);
    }
    let found = present(root, path)?;
    let is_file = |found: &OwnedFd| {
        let found = rustix::fs::fstat(found);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
    };
    Ok(found.filter(is_file))
}

/// Makes the root a folder with a copy of all layers, for a container without mounts of its own.
pub fn copy_layers(folder: &InstanceFolder, container: &ContainerSpecification) -> io::Result<()> {
    let store = store_of(folder);
    let root = beneath::open_root(&root_of(folder))?;
    if !beneath::entries(&root)?.is_empty() {
        return Ok(());
    }
    for layer in &container.layers {
        let layer = beneath::open_root(&store.content(layer))?;
        merging::merge(&layer, &root).map_err(Failure::doing("copy the image"))?;
    }
    Ok(())
}

/// Gives a copy of the root what a container without mounts has of `/dev` and `/etc`.
pub fn furnish_copy(folder: &InstanceFolder) -> io::Result<()> {
    let root = beneath::open_root(&root_of(folder))?;
    let dev = beneath::open_folder(&root, &beneath::names(Path::new("dev"))?)?;
    let mode = Mode::from_raw_mode(0o666);
    for name in DEVICES {
        let found =
            rustix::fs::stat(Path::new("/dev").join(name)).map_err(doing(format!("look at /dev/{name}")))?;
        beneath::remove(&dev, name.as_bytes())?;
        match rustix::fs::mknodat(&dev, *name, FileType::CharacterDevice, mode, found.st_rdev) {
            Ok(()) => {}
            // gVisor makes none, not even for root, and neither does root without the capability MKNOD.
            Err(Errno::PERM) => continue,
            Err(error) => return Err(doing(format!("make /dev/{name}"))(error)),
        }
        let opened = rustix::fs::openat(&dev, *name, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        if matches!(opened, Err(Errno::ACCESS)) {
            beneath::remove(&dev, name.as_bytes())?;
        }
    }
    // On a file system that takes no devices, what is thrown away is kept in a file.
    file(&root, "dev/null")?;
    rustix::fs::chmodat(&dev, "null", mode, AtFlags::empty()).map_err(io::Error::from)?;
    for (name, target) in LINKS.iter().filter(|(name, _)| *name != "ptmx") {
        beneath::remove(&dev, name.as_bytes())?;
        rustix::fs::symlinkat(*target, &dev, *name).map_err(io::Error::from)?;
    }
    let shm = beneath::open_folder(&root, &beneath::names(Path::new("dev/shm"))?)?;
    rustix::fs::fchmod(&shm, Mode::from_raw_mode(0o1777)).map_err(io::Error::from)?;
    for name in ["hosts", "resolv.conf"] {
        // It shares the network of this host.
        let content = fs::read(Path::new("/etc").join(name)).unwrap_or_default();
        let etc = beneath::open_folder(&root, &beneath::names(Path::new("etc"))?)?;
        beneath::remove(&etc, name.as_bytes())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&etc, name, flags, Mode::from_raw_mode(0o644))?;
        io::Write::write_all(&mut fs::File::from(file), &content)?;
    }
    Ok(())
}

/// The folder of the engine whose instance this is.
fn engine_of(folder: &InstanceFolder) -> &Path {
    folder.0.ancestors().nth(2).unwrap_or(Path::new("/"))
}

fn store_of(folder: &InstanceFolder) -> ImageStore {
    ImageStore::at(engine_of(folder).join("images"), Helper::own())
}

/// Mounts the layers, the lowest last, under a folder of the instance's own; or copies them if nothing of the kind can be
/// mounted here.
fn layers(folder: &InstanceFolder, container: &ContainerSpecification) -> io::Result<()> {
    let store = store_of(folder);
    // The options have one page, so they name short links.
    let lower = folder.file("lower");
    let mut names = Vec::new();
    for (index, layer) in container.layers.iter().enumerate().rev() {
        let link = lower.join(index.to_string());
        match symlink(store.content(layer), &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => names.push(index.to_string()),
        }
    }
    if names.is_empty() {
        // An overlay has one layer at least.
        fs::create_dir_all(lower.join("none"))?;
        names.push("none".to_owned());
    }
    std::env::set_current_dir(&lower)?;
    let options = format!("lowerdir={},upperdir=../upper,workdir=../overlay,userxattr", names.join(":"));
    let options = CString::new(options).map_err(io::Error::other)?;
    let mounted = mount("overlay", root_of(folder), "overlay", MountFlags::empty(), options.as_c_str());
    std::env::set_current_dir("/")?;
    match mounted {
        Ok(()) => Ok(()),
        // File systems that take no overlay, and kernels that have none.
        Err(Errno::INVAL | Errno::NODEV | Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => {
            copy_layers(folder, container)
        }
        Err(error) => Err(doing("mount the image's layers")(error)),
    }
}

fn kernel_file_systems(root: &OwnedFd) -> io::Result<()> {
    let proc = open_folder(root, "proc")?;
    mount("proc", on(&proc), "proc", SAFE, None).map_err(doing("mount /proc"))?;
    let sys = open_folder(root, "sys")?;
    // It is only read, and a kernel may keep it from whoever is not root.
    let _ = mount("sysfs", on(&sys), "sysfs", SAFE | MountFlags::RDONLY, None);
    Ok(())
}

fn devices(root: &OwnedFd, shared_memory: Option<u64>) -> io::Result<()> {
    let options = |text: &'static std::ffi::CStr| Some(text);
    let dev = open_folder(root, "dev")?;
    mount("tmpfs", on(&dev), "tmpfs", MountFlags::NOSUID, options(c"mode=755,size=64k"))
        .map_err(doing("mount /dev"))?;
    // What was opened lies below the mount.
    let dev = open_folder(root, "dev")?;
    for name in DEVICES {
        let target = file(root, &format!("dev/{name}"))?;
        mount_bind(Path::new("/dev").join(name), on(&target)).map_err(doing(format!("mount /dev/{name}")))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(*target, &dev, *name).map_err(io::Error::from)?;
    }
    let shm = open_folder(root, "dev/shm")?;
    let size = shared_memory.unwrap_or(SHARED_MEMORY);
    let options_of_shm = CString::new(format!("mode=1777,size={size}")).map_err(io::Error::other)?;
    mount("shm", on(&shm), "tmpfs", SAFE, options_of_shm.as_c_str()).map_err(doing("mount /dev/shm"))?;
    let pts = open_folder(root, "dev/pts")?;
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Few servers open terminals or queues of messages.
    let _ = mount("devpts", on(&pts), "devpts", terminals, options(c"newinstance,ptmxmode=0666,mode=0620"));
    let queues = open_folder(root, "dev/mqueue")?;
    let _ = mount("mqueue", on(&queues), "mqueue", SAFE, None);
    Ok(())
}

/// A path to what is open, for calls that take only paths.
pub fn on(opened: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", opened.as_raw_fd())
}

pub(super) fn open_folder(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    beneath::open_folder(root, &beneath::names(Path::new(path))?)
        .map_err(Failure::doing(format!("open /{path}")))
}

/// Opens a file to mount on. What is neither a file nor a device is replaced by a file: a link would lead elsewhere.
fn file(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let path = Path::new(path);
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let folder = beneath::open_folder(root, &beneath::names(folder)?)?;
    let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_fit = found.is_ok_and(|found| {
        matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::CharacterDevice)
    });
    if !is_fit {
        beneath::remove(&folder, name.as_encoded_bytes())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
    }
    Ok(rustix::fs::openat(&folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens what is there to be hidden; `None` if this kernel has no such thing.
fn present(root: &OwnedFd, path: &str) -> io::Result<Option<OwnedFd>> {
    match beneath::open(root, Path::new(path), OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_only(root: &OwnedFd, path: &str) -> io::Result<()> {
    let Some(opened) = present(root, path)? else { return Ok(()) };
    let what = || doing(format!("make /{path} read-only"));
    mount_bind(on(&opened), on(&opened)).map_err(what())?;
    // What was opened lies below the mount.
    let Some(mounted) = present(root, path)? else { return Ok(()) };
    let flags = MountFlags::BIND | MountFlags::RDONLY | SAFE;
    mount_remount(on(&mounted), flags, c"").map_err(what())
}

fn mask(root: &OwnedFd, path: &str) -> io::Result<()> {
    let Some(opened) = present(root, path)? else { return Ok(()) };
    let what = || doing(format!("hide /{path}"));
    let found = rustix::fs::fstat(&opened).map_err(what())?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        mount("tmpfs", on(&opened), "tmpfs", SAFE | MountFlags::RDONLY, None).map_err(what())
    } else {
        mount_bind("/dev/null", on(&opened)).map_err(what())
    }
}

/// Says what failed.
pub(super) fn doing(what: impl std::fmt::Display) -> impl FnOnce(Errno) -> io::Error {
    move |error| Failure::doing(what)(error.into())
}
