//! Locks between launches on one host, keyed by engine: who may make or change what has a name. Who uses a container is in
//! `leases`.
//!
//! A lock is a `flock` on a file, so the kernel releases it however the process ends. All users of the host share the
//! engine, so the files lie in a folder that all users share. They lie in the system's own folder, not in a folder
//! below it: the folder is root's and sticky, so that each file can be removed by its owner alone, and whoever owned a
//! folder below it could remove the files of all. The holder of a lock removes its file with it, so that the folder does
//! not grow with every container that ever was; a lock therefore counts only while its file is the one that has the
//! name.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{OFlags, StatVfsMountFlags};

use crate::report::error::{Code, Problem};
use crate::system::blocking::blocking;
use crate::system::complete_file;
use crate::system::digest::sha256_hex;
use crate::system::private_files::is_roots;
use crate::system::process_limits;

/// The folder if the system has a place for locks of all users, as Debian and its like do: in memory, so that creating and
/// removing several files for each sidecar costs little, and without a cleaner that removes old files.
const SYSTEM_LOCKS: &str = "/run/lock";
/// The folder on other systems.
const TEMPORARY_FILES: &str = "/tmp";
/// What the names of farrier's files in the folder begin with.
const PREFIX: &str = "farrier";
/// What the names of locks' files end with.
pub(super) const LOCK: &str = "@lock";
/// How long a text about a holder may be that is read, in bytes, and written, in characters.
const HOLDER_BYTES: u64 = 1024;
const HOLDER_CHARACTERS: usize = 200;
/// The name under which the lock of whoever makes a network is taken; no container's can be the same.
const NETWORK_LOCK: &str = "network:";
/// The same for the lock that launches share while they rely on a network that nothing may be on yet.
const NETWORK_USE_LOCK: &str = "network-use:";
/// With this begins the name of the lock of whoever finds out whether a network can go.
const NETWORK_REMOVAL_LOCK: &str = "network-removal:";
/// So often at most is a lock tried that somebody may have for a moment only, with these pauses.
const MOST_LOOKS: usize = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// So often at most is a lock's file opened anew because it was removed meanwhile. Each time somebody else had the lock.
const MOST_TRIES: usize = 10_000;

/// The folder, the same for all users of the host: the choice depends only on what is the same for all of them.
#[must_use]
pub fn folder() -> &'static Path {
    let system_locks = Path::new(SYSTEM_LOCKS);
    if is_for_all(system_locks) { system_locks } else { Path::new(TEMPORARY_FILES) }
}

/// Whether every user may create files in the folder, and only root may remove another user's.
fn is_for_all(path: &Path) -> bool {
    let is_writable = |mode: u32| mode & 0o1003 == 0o1003;
    let is_open = std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && is_writable(found.mode()) && is_roots(&found));
    is_open && rustix::fs::statvfs(path).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Another process that uses a sidecar or holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub process: u32,
    /// What it runs, shortened, without arguments.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {}, {}", self.process, self.command)
    }
}

/// The folder with one engine's locks.
#[derive(Clone, Debug)]
pub struct LockFolder {
    path: PathBuf,
    prefix: String,
    command: String,
}

/// How a lock is held.
#[derive(Clone, Copy)]
enum Mode {
    /// By one process.
    Exclusive,
    /// By any number of processes.
    Shared,
}

/// A lock; released when dropped.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: File,
    keeps_file: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody else has it, also not shared: whoever has the file open finds out that it is gone and takes
        // another. One of another user's cannot be removed, and stays.
        if !self.keeps_file && self.file.try_lock().is_ok() && has_name(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A lock that was released, whose file goes when this is dropped, if nobody has taken it meanwhile.
///
/// A file system may search long for room for a new file where others were just removed, so a launch that makes marks
/// removes its locks' files when all marks are made.
#[derive(Debug)]
pub struct DeferredUnlink(PathBuf);

impl Held {
    fn of(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file, keeps_file: false }
    }

    /// Lets others take the lock at once, and removes its file later.
    #[must_use]
    pub fn release(mut self) -> DeferredUnlink {
        self.keeps_file = true;
        // The next holder may be another user, who cannot write to the file: then nobody is named instead of the wrong one.
        if is_own(&self.file) {
            let _ = self.file.set_len(0);
        }
        DeferredUnlink(self.path.clone())
    }
}

impl Drop for DeferredUnlink {
    fn drop(&mut self) {
        LockFolder::sweep(&self.0);
    }
}

impl LockFolder {
    /// Opens the folder for this engine.
    ///
    /// # Errors
    /// When the engine has no id, or others could remove this user's files from the folder.
    pub fn open(engine_id: &str) -> Result<Self, Problem> {
        if engine_id.is_empty() {
            let message = "the engine does not report its ID, which launches need for their locks";
            return Err(Problem::error(Code::EngineFailed, message)
                .hint("See whether `docker info` shows an ID, and run the command again."));
        }
        Self::named(&format!("{PREFIX}-{}", &sha256_hex(engine_id)[..12]))
    }

    /// Opens the folder for files whose names begin so.
    ///
    /// # Errors
    /// If others could remove this user's files from the folder.
    pub(super) fn named(prefix: &str) -> Result<Self, Problem> {
        Self::open_at(folder(), prefix)
    }

    pub(super) fn open_at(path: &Path, prefix: &str) -> Result<Self, Problem> {
        let shown = path.display();
        let unusable = |reason: String, hint: String| {
            Problem::error(Code::StateUnusable, format!("the lock folder {shown} {reason}")).hint(hint)
        };
        let repair = || format!("Run `chmod 1777 {shown}` as root.");
        // Not of the link: `/tmp` is one on some systems, in a folder of root's.
        let found = std::fs::metadata(path).map_err(|error| {
            unusable(format!("cannot be used: {error}"), format!("Create {shown} as root with mode 1777."))
        })?;
        if !found.is_dir() {
            return Err(unusable(
                "is not a folder".to_owned(),
                format!("Create {shown} as root with mode 1777."),
            ));
        }
        // The owner of a folder may remove every file in it, whatever its other bits say.
        if found.uid() != rustix::process::geteuid().as_raw() && !is_roots(&found) {
            let owner = format!("belongs to user {}, who could remove the locks of all others", found.uid());
            return Err(unusable(owner, format!("Run `chown root {shown}` as root.")));
        }
        // Without the sticky bit anyone could swap a lock file for another.
        if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 {
            return Err(unusable("is writable by others but not sticky".to_owned(), repair()));
        }
        Ok(Self { path: path.to_owned(), prefix: prefix.to_owned(), command: PREFIX.to_owned() })
    }

    /// Names the command that holds the locks which are taken from now on, for those who wait for them.
    #[must_use]
    pub fn held_by(self, command: &str) -> Self {
        Self { command: command.to_owned(), ..self }
    }

    /// Removes the file of a lock that nobody holds.
    pub(super) fn sweep(path: &Path) {
        if let Ok(file) = open_existing(path) {
            drop(Held::of(path, file));
        }
    }

    /// Removes the files of all locks that nobody holds, whatever their engine, but for those that begin like this folder's.
    pub(super) fn sweep_others(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_own = name.starts_with(&format!("{}.", self.prefix));
            if name.starts_with(&format!("{PREFIX}-")) && name.ends_with(LOCK) && !is_own {
                Self::sweep(&entry.path());
            }
        }
    }

    /// Who holds a lock; `None` if nobody does.
    pub(super) fn holder(&self, name: &str) -> Option<Holder> {
        if self.is_free(name) { None } else { lock_holder(&self.lock_file(name)) }
    }

    /// Whether nobody holds a lock. What cannot be looked at counts as held, unless there is no file.
    pub(super) fn is_free(&self, name: &str) -> bool {
        match open_existing(&self.lock_file(name)) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn command(&self) -> &str {
        &self.command
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{}.{name}", self.prefix))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn try_lock(&self, name: &str) -> Result<Option<Held>, Problem> {
        self.try_lock_as(name, Mode::Exclusive)
    }

    fn try_lock_as(&self, name: &str, mode: Mode) -> Result<Option<Held>, Problem> {
        let path = self.lock_file(name);
        for _ in 0..MOST_TRIES {
            let mut file = open_lock_file(&path).map_err(|error| cannot_lock(&path, &error))?;
            let tried = match mode {
                Mode::Exclusive => file.try_lock(),
                Mode::Shared => file.try_lock_shared(),
            };
            if let Err(TryLockError::Error(error)) = &tried {
                return Err(cannot_lock(&path, error));
            }
            if has_name(&file, &path) {
                let is_taken = tried.is_ok();
                if is_taken {
                    sign(&mut file, mode, &self.command);
                }
                return Ok(is_taken.then(|| Held::of(&path, file)));
            }
        }
        Err(cannot_lock(&path, &replaced()))
    }

    /// Takes the lock; if another process holds it, calls `waiting` with the holder as far as it is known, and waits.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub async fn lock(&self, name: &str, waiting: impl FnOnce(Option<&Holder>)) -> Result<Held, Problem> {
        self.lock_as(name, Mode::Exclusive, waiting).await
    }

    /// The wait itself is on a thread of its own.
    async fn lock_as(
        &self,
        name: &str,
        mode: Mode,
        waiting: impl FnOnce(Option<&Holder>),
    ) -> Result<Held, Problem> {
        if let Some(held) = self.try_lock_as(name, mode)? {
            return Ok(held);
        }
        let path = self.lock_file(name);
        waiting(lock_holder(&path).as_ref());
        let (waited, command) = (path.clone(), self.command.clone());
        let locked = blocking("lock", move || {
            for _ in 0..MOST_TRIES {
                let mut file = open_lock_file(&waited)?;
                match mode {
                    Mode::Exclusive => file.lock()?,
                    Mode::Shared => file.lock_shared()?,
                }
                if has_name(&file, &waited) {
                    sign(&mut file, mode, &command);
                    return Ok(Held::of(&waited, file));
                }
            }
            Err(replaced())
        });
        match locked.await {
            Ok(result) => result.map_err(|error: io::Error| cannot_lock(&path, &error)),
            Err(error) => Err(cannot_lock(&path, &error)),
        }
    }

    pub(super) fn lock_file(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}{LOCK}"))
    }

    /// Takes the lock of a network, which its creator holds; waits as [`LockFolder::lock`] does.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub async fn lock_network(
        &self,
        network: &str,
        waiting: impl FnOnce(Option<&Holder>),
    ) -> Result<Held, Problem> {
        self.lock(&of_network(NETWORK_LOCK, network), waiting).await
    }

    /// Keeps a network from being removed until the result is dropped; waits while it is being removed.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub async fn keep_network(
        &self,
        network: &str,
        waiting: impl FnOnce(Option<&Holder>),
    ) -> Result<Held, Problem> {
        self.lock_as(&of_network(NETWORK_USE_LOCK, network), Mode::Shared, waiting).await
    }

    /// Lets nobody begin to rely on a network until the result is dropped; `None` if a launch relies on it. Waits for another
    /// command that has such a claim: it may have looked before the last sidecar left the network, and keep it.
    ///
    /// # Errors
    /// When a lock file cannot be opened.
    pub async fn claim_network(&self, network: &str) -> Result<Option<NetworkClaim>, Problem> {
        let removal = self.lock(&of_network(NETWORK_REMOVAL_LOCK, network), |_| ()).await?;
        for _ in 0..MOST_LOOKS {
            if let Some(usage) = self.try_lock(&of_network(NETWORK_USE_LOCK, network))? {
                return Ok(Some(NetworkClaim { _usage: usage, _removal: removal }));
            }
            // Somebody who only cleans the folder has it for a moment.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok(None)
    }
}

/// The claim on a network that may be removed; given up when dropped.
#[derive(Debug)]
pub struct NetworkClaim {
    // Dropped first: whoever waits for the removal's lock tries this one at once.
    _usage: Held,
    _removal: Held,
}

/// A network's lock. A harness may name its network by any text, which need not make a file's name.
fn of_network(lock: &str, network: &str) -> String {
    format!("{lock}{}", &sha256_hex(network)[..16])
}

/// Who holds a lock, if its file names a process that is still there.
fn lock_holder(path: &Path) -> Option<Holder> {
    let holder = read_holder(open_existing(path).ok()?)?;
    Path::new("/proc").join(holder.process.to_string()).exists().then_some(holder)
}

/// Names this process as the holder of a lock whose file was just opened. The file may be another user's: then nobody is
/// named.
fn sign(file: &mut File, mode: Mode, command: &str) {
    if matches!(mode, Mode::Exclusive) && is_own(file) {
        let _ = file.set_len(0).and_then(|()| write_holder(file, command));
    }
}

/// Whether it is a file that farrier made for this user: another user may put a link to any file in its place.
fn is_own(file: &File) -> bool {
    let user = rustix::process::geteuid().as_raw();
    file.metadata().is_ok_and(|found| found.is_file() && found.uid() == user && found.nlink() == 1)
}

pub(super) fn write_holder(file: &mut File, command: &str) -> io::Result<()> {
    let command: String = command.chars().take(HOLDER_CHARACTERS).collect();
    file.write_all(format!("{}\n{command}", std::process::id()).as_bytes())
}

pub(super) fn read_holder(file: File) -> Option<Holder> {
    let mut text = String::new();
    file.take(HOLDER_BYTES).read_to_string(&mut text).ok()?;
    let (process, command) = text.split_once('\n')?;
    Some(Holder { process: process.parse().ok()?, command: command.to_owned() })
}

/// Whether the open file is still the one of this name: its last holder, or who cleans the folder, may have
/// removed it while this process waited for the lock.
fn has_name(file: &File, path: &Path) -> bool {
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    let named = std::fs::symlink_metadata(path).map(identity);
    named.is_ok_and(|named| file.metadata().is_ok_and(|found| identity(found) == named))
}

/// Opens for writing too if the file is this user's; reading suffices for `flock`, so that another user's file serves
/// as well.
pub(super) fn open_existing(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    match options.clone().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path),
        opened => opened,
    }
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    for _ in 0..MOST_TRIES {
        match open_existing(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        match complete_file::create(path, |_| Ok(())) {
            // Somebody else made it, who may have removed it by now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(replaced())
}

fn replaced() -> io::Error {
    io::Error::other("it is replaced repeatedly")
}

pub(super) fn cannot_lock(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::error(Code::StateUnusable, format!("cannot lock {}: {error}", path.display()));
    process_limits::problem(error)
        .unwrap_or_else(|| problem.hint("Check who owns the file, and that its disk is not full."))
}

#[cfg(test)]
mod tests;
