//! Use of containers on this host: marks say which launches use one, and a claim keeps new marks away while one is
//! changed or removed. Both go by the container's id, which is random and never used again, so that nobody has to know
//! which engine it is on.
//!
//! A launch makes its mark first and looks for a claim then; whoever changes a container takes the claim first and looks
//! for marks then. So one of both always sees the other.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::complete_file;
use super::digest::sha256_hex;
use super::lock::{Held, Holder, LockFolder, cannot_lock, open_existing, read_holder, write_holder};
use crate::report::error::Problem;

/// What the names of these files begin with.
const PREFIX: &str = "farrier-container";
/// Stands between a container and a process that uses it.
const USE: &str = "@use.";
/// Stands between a container and the network on which it is used; no id contains it.
const ON: char = '+';

/// The marks and claims of all containers.
#[derive(Clone, Debug)]
pub struct Leases {
    folder: LockFolder,
    /// The newest mark of this launch. All its marks are names of one file, whose lock says that the launch is alive: a
    /// further name takes one call of the system, a further file six.
    newest: Arc<Mutex<Option<Newest>>>,
}

#[derive(Debug)]
struct Newest {
    path: PathBuf,
    file: Weak<File>,
}

/// The mark that this launch uses a container; taken away when dropped.
#[derive(Debug)]
pub struct InUse {
    path: PathBuf,
    _file: Arc<File>,
}

impl Newest {
    /// Its file under one more name; `None` if it has no name any more, or the file system gives a file no second one.
    fn named(&self, path: &Path) -> Option<Arc<File>> {
        let file = self.file.upgrade()?;
        std::fs::hard_link(&self.path, path).ok()?;
        Some(file)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // A file that stays behind is harmless: nobody holds its lock.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The name under which the use of a container on a network is marked.
fn on_network(container: &str, network: &str) -> String {
    format!("{container}{ON}{}", &sha256_hex(network)[..16])
}

impl Leases {
    /// Opens the folder. `command` is what others read who wait for this process, or ask who uses a container.
    ///
    /// # Errors
    /// If others could remove this user's files from the folder.
    pub fn open(command: &str) -> Result<Self, Problem> {
        Ok(Self::of(LockFolder::named(PREFIX)?.held_by(command)))
    }

    /// What others read who ask who uses a container.
    #[must_use]
    pub fn command(&self) -> &str {
        self.folder.command()
    }

    fn of(folder: LockFolder) -> Self {
        Self { folder, newest: Arc::default() }
    }

    /// Marks a container as used by this process on a network. The container must be this launch's own alone: just made,
    /// or claimed.
    ///
    /// # Errors
    /// If the mark cannot be written.
    pub fn mark(&self, container: &str, network: &str) -> Result<InUse, Problem> {
        let mut random = [0_u8; 4];
        let _ = getrandom::fill(&mut random);
        let (place, process) = (on_network(container, network), std::process::id());
        let path = self.folder.file(&format!("{place}{USE}{process}.{:08x}", u32::from_ne_bytes(random)));
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match newest.as_ref().and_then(|newest| newest.named(&path)) {
            Some(file) => file,
            None => Arc::new(self.create(&path).map_err(|error| cannot_lock(&path, &error))?),
        };
        *newest = Some(Newest { path: path.clone(), file: Arc::downgrade(&file) });
        drop(newest);
        Ok(InUse { path, _file: file })
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        complete_file::create(path, |file| {
            file.try_lock()?;
            write_holder(file, self.folder.command())
        })
    }

    /// Marks a container as used by this process on a network; `None` if another command is about to change it.
    ///
    /// # Errors
    /// If the mark cannot be written.
    pub fn share(&self, container: &str, network: &str) -> Result<Option<InUse>, Problem> {
        let mark = self.mark(container, network)?;
        Ok((!self.is_claimed(container)).then_some(mark))
    }

    /// Keeps others from beginning to use a container until the result is dropped. If another process has the claim, calls
    /// `waiting` with it as far as it is known, and waits.
    ///
    /// # Errors
    /// If the claim's file cannot be opened.
    pub async fn claim(
        &self,
        container: &str,
        waiting: impl FnOnce(Option<&Holder>),
    ) -> Result<Held, Problem> {
        self.folder.lock(container, waiting).await
    }

    /// Whether another command holds the claim on a container. What cannot be looked at counts as held.
    #[must_use]
    pub fn is_claimed(&self, container: &str) -> bool {
        match open_existing(&self.folder.lock_file(container)) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Removes the marks of processes that are gone.
    pub fn sweep(&self) {
        // Whichever container is asked about.
        let _ = self.holders_of([""]);
    }

    /// Other processes that use a container.
    #[must_use]
    pub fn holders(&self, container: &str) -> Vec<Holder> {
        self.holders_of([container]).remove(container).unwrap_or_default()
    }

    /// Those of these containers that no other process uses on the network beside them. The folder is read once.
    #[must_use]
    pub fn unused_on<'a>(&self, places: Vec<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let names: Vec<String> =
            places.iter().map(|(container, network)| on_network(container, network)).collect();
        let holders = self.holders_of(names.iter().map(String::as_str));
        let is_unused = |name: &String| holders.get(name).is_none_or(Vec::is_empty);
        places.into_iter().zip(&names).filter(|(_, name)| is_unused(name)).map(|(place, _)| place).collect()
    }

    /// By container, or by its place on a network: other processes that use it. The folder is read once, and what is
    /// left of processes that were killed goes, whichever container it is about: nobody may ever ask about that one
    /// again.
    #[must_use]
    pub fn holders_of<'a>(
        &self,
        containers: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<String, Vec<Holder>> {
        let mut all: BTreeMap<String, Vec<Holder>> =
            containers.into_iter().map(|container| (container.to_owned(), Vec::new())).collect();
        if all.is_empty() {
            return all;
        }
        let begin = format!("{PREFIX}.");
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(&begin) else { continue };
            let Some((place, _)) = rest.split_once(USE) else {
                LockFolder::sweep(&entry.path());
                continue;
            };
            let Some(holder) =
                live_holder(&entry.path()).filter(|holder| holder.process != std::process::id())
            else {
                continue;
            };
            let container = place.split_once(ON).map_or(place, |(container, _)| container);
            let asked = if all.contains_key(place) { place } else { container };
            if let Some(holders) = all.get_mut(asked) {
                holders.push(holder);
            }
        }
        for holders in all.values_mut() {
            holders.sort_by_key(|holder| holder.process);
        }
        all
    }
}

/// Reads a mark whose lock is held; removes one whose process is gone.
fn live_holder(path: &Path) -> Option<Holder> {
    let file = match open_existing(path) {
        Ok(file) => file,
        // What cannot be looked at counts: its name tells whose it is.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let name = path.file_name()?.to_string_lossy().into_owned();
            let process = name.rsplit_once(USE)?.1.split('.').next()?.parse().ok()?;
            return Some(Holder { process, command: "another user's command".to_owned() });
        }
        Err(_) => return None,
    };
    if file.try_lock_shared().is_ok() {
        let _ = std::fs::remove_file(path);
        return None;
    }
    read_holder(file)
}

#[cfg(test)]
mod tests;
