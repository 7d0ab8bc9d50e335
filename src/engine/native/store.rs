//! The folder with everything that the engine knows: one folder for each instance, and who has which name. It is this
//! user's alone.
//!
//! ```text
//! instances/ID/specification.json   what it is; written once
//! instances/ID/state.json           how its run is going; absent before
//! instances/ID/health.json          what its health test said
//! instances/ID/lock                 locked by its supervisor, as long as that lives
//! instances/ID/log, log.1           what it wrote
//! instances/ID/work/                where its program starts
//! instances/ID/root/, upper/, …     the root of its container, and what the container writes (`container/filesystem`)
//! instances/.ID.SESSION             one that is being made or removed, and whose it is
//! images/                           the store of images (`images`)
//! names/NAME                        the id of the instance with this name
//! volumes/                          data that outlives containers (`volumes`)
//! networks/DIGEST                   the name of a network, which is nothing else
//! changes/TOKEN                     a pipe of somebody who watches for changes (`watchers`)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::container::filesystem;
use super::control_group::ControlGroup;
use super::health::HealthRecord;
use super::images::ImageStore;
use super::instance_folder::{InstanceFolder, MOST_BYTES, write_json};
use super::roles::Helper;
use super::specification::{Runs, Specification};
use super::state::RunState;
use super::volumes::{Volumes, is_anonymous};
use super::watchers;
use crate::engine::{EngineError, EngineErrorKind, EngineResult, Meaning};
use crate::plan::session::{Session, is_session_id};
use crate::system::digest::sha256_hex;
use crate::system::private_files::{
    create_private_file, create_private_folder, private_folder, read_private, write_atomically,
};

/// How many specifications one process remembers.
const MOST_KNOWN: usize = 1024;
/// Whoever makes an instance gives it its name sooner.
const ABANDONED: Duration = Duration::from_mins(10);

/// The folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    helper: Helper,
    specifications: Specifications,
}

/// What instances are, by their ids, as far as this process has read it: it is written once.
type Specifications = Arc<Mutex<BTreeMap<String, Arc<Specification>>>>;

/// An instance as it stands on the disk.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// What it is.
    pub specification: Arc<Specification>,
    /// Whether its supervisor lives.
    pub is_supervised: bool,
    /// How its run is going; `None` if it has not begun.
    pub state: Option<RunState>,
    /// What its health test said; `None` if it has none, or never began.
    pub health: Option<HealthRecord>,
}

impl Store {
    /// The engine's folder at this path, which need not be there.
    pub fn at(root: PathBuf, helper: Helper) -> Self {
        Self { root, helper, specifications: Arc::default() }
    }

    /// Whoever does in a process of its own what this one cannot.
    pub const fn helper(&self) -> &Helper {
        &self.helper
    }

    /// The store of images.
    pub fn images(&self) -> ImageStore {
        ImageStore::at(self.root.join("images"), self.helper.clone())
    }

    /// The volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes::of(&self.root, self.helper.clone())
    }

    /// The volumes that instances have, those that have no name included.
    pub fn volumes_in_use(&self) -> BTreeSet<String> {
        let all = self.ids().into_iter().filter_map(|id| self.instance(&id).specification());
        all.flat_map(|found| found.volumes().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Whether an instance has a volume that is more than what a killed launch left.
    pub fn has_volume(&self, volume: &str) -> bool {
        let mut named = self.names().into_iter().filter_map(|name| self.find(&name));
        named.any(|stored| stored.specification.volumes().any(|own| own == volume))
    }

    /// Removes the volumes of an instance that never ran, which no definition names and no other instance has: nothing was
    /// written to them.
    pub fn remove_unused_volumes(&self, specification: &Specification) {
        let used = self.volumes_in_use();
        let unused = specification.volumes().filter(|name| is_anonymous(name) && !used.contains(*name));
        for name in unused {
            let _ = self.volumes().remove(name);
        }
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder in which changes are told.
    pub fn changes(&self) -> PathBuf {
        self.root.join("changes")
    }

    /// Makes the folder, or checks that nobody else can have written to it.
    pub fn make(&self) -> EngineResult<()> {
        for folder in ["", "instances", "names", "networks", "changes"] {
            let path = self.root.join(folder);
            private_folder(&path).map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }

    /// Refuses a folder that others can write to. One that is not there is empty.
    pub fn check(&self) -> EngineResult<()> {
        match std::fs::symlink_metadata(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => private_folder(&self.root).map_err(|error| unusable(&self.root, &error)),
        }
    }

    /// The folder of the instance with this id.
    pub fn instance(&self, id: &str) -> InstanceFolder {
        InstanceFolder(self.root.join("instances").join(id))
    }

    /// The id of the instance with this name.
    pub fn id_of(&self, name: &str) -> Option<String> {
        let text = read_private(&self.name_file(name)?, MOST_BYTES)?;
        String::from_utf8(text).ok().filter(|id| is_id(id))
    }

    /// Gives an instance a name, which another one may have had.
    pub fn name(&self, name: &str, id: &str) -> EngineResult<()> {
        let path = self.name_file(name).ok_or_else(|| refused(format!("`{name}` cannot be a name")))?;
        write_atomically(&path, &[id.as_bytes()]).map_err(|error| unusable(&path, &error))
    }

    fn name_file(&self, name: &str) -> Option<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_name =
            name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_plain);
        is_name.then(|| self.root.join("names").join(name))
    }

    /// The names of all instances.
    pub fn names(&self) -> Vec<String> {
        entries(&self.root.join("names"))
    }

    /// The ids of all instances, those that have no name included.
    pub fn ids(&self) -> Vec<String> {
        entries(&self.root.join("instances")).into_iter().filter(|id| is_id(id)).collect()
    }

    /// The instance with this name or id.
    pub fn find(&self, instance: &str) -> Option<Stored> {
        let id = self.id_of(instance).or_else(|| is_id(instance).then(|| instance.to_owned()))?;
        self.read(&id)
    }

    /// The instance with this id.
    pub fn read(&self, id: &str) -> Option<Stored> {
        let folder = self.instance(id);
        let specification = self.specification(&folder);
        // In this order: a supervisor that is gone has written its last state.
        let Some((specification, is_supervised)) = specification.zip(folder.is_locked()) else {
            self.known().remove(id);
            return None;
        };
        let state = folder.state();
        let has_test = specification.container().is_some_and(|container| container.health.is_some());
        let health = if has_test { folder.health() } else { None };
        Some(Stored { id: id.to_owned(), specification, is_supervised, state, health })
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Specification>>> {
        self.specifications.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn specification(&self, folder: &InstanceFolder) -> Option<Arc<Specification>> {
        let id = folder.id();
        if let Some(known) = self.known().get(id.as_ref()) {
            return Some(Arc::clone(known));
        }
        let read = Arc::new(folder.specification()?);
        let mut known = self.known();
        // A process that lives long must not remember what was removed long ago.
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(id.into_owned(), Arc::clone(&read));
        Some(read)
    }

    /// Where an instance is while it is made or removed. Its name says to which session it belongs: nothing in it may be
    /// written yet, or there any more.
    fn unfinished(&self, id: &str, session: Option<&Session>) -> InstanceFolder {
        let session = session.map(|session| format!("{}.{}", session.id, session.host)).unwrap_or_default();
        InstanceFolder(self.root.join("instances").join(format!(".{id}.{session}")))
    }

    /// Makes an instance, which has no name yet and does not run.
    pub fn create(&self, id: &str, specification: &Specification) -> EngineResult<()> {
        let folder = self.unfinished(id, Session::of(&specification.labels).as_ref());
        let inner = || match &specification.runs {
            Runs::Program(_) => create_private_folder(&folder.file("work")),
            Runs::Container(container) => filesystem::make_folders(&folder, container),
        };
        let made = create_private_folder(&folder.0)
            .and_then(|()| inner())
            .and_then(|()| create_private_file(&folder.file("lock")).map(drop))
            .and_then(|()| write_json(&folder.file("specification.json"), specification))
            .and_then(|()| std::fs::rename(&folder.0, self.instance(id).0));
        made.map_err(|error| {
            let _ = std::fs::remove_dir_all(&folder.0);
            unusable(&folder.0, &error)
        })
    }

    /// Removes an instance that does not run, and its name if the name is still its own.
    pub fn remove(&self, stored: &Stored) -> EngineResult<()> {
        let name = &stored.specification.name;
        if self.id_of(name).is_some_and(|id| id == stored.id)
            && let Some(path) = self.name_file(name)
        {
            std::fs::remove_file(&path).map_err(|error| unusable(&path, &error))?;
        }
        self.remove_folder(&stored.id)
    }

    /// Removes an instance's folder, and lets everybody know who waits for it.
    pub fn remove_folder(&self, id: &str) -> EngineResult<()> {
        let folder = self.instance(id);
        let specification = folder.specification();
        if specification.as_ref().is_some_and(|found| !found.limits().is_none()) {
            ControlGroup::remove_left(id);
        }
        let session = specification.and_then(|found| Session::of(&found.labels));
        let unfinished = self.unfinished(id, session.as_ref());
        match std::fs::rename(&folder.0, &unfinished.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|error| unusable(&folder.0, &error))?,
        }
        self.helper.remove_tree(&unfinished.0).map_err(|error| unusable(&folder.0, &error))?;
        watchers::tell(&self.changes(), id);
        Ok(())
    }

    /// The images that instances are made of, those that have no name included.
    pub fn images_in_use(&self) -> BTreeSet<String> {
        let specifications = self.ids().into_iter().filter_map(|id| self.instance(&id).specification());
        let images = specifications.filter_map(|found| Some(found.container()?.image.clone()));
        images.collect()
    }

    /// Removes what launches left that were killed while they made an instance: it has no name, and never ran.
    pub fn sweep(&self) {
        self.volumes().sweep();
        let named: Vec<String> = self.names().iter().filter_map(|name| self.id_of(name)).collect();
        let is_old = |path: &Path| {
            let age = std::fs::metadata(path).and_then(|found| found.modified()).ok();
            age.and_then(|since| since.elapsed().ok()).is_some_and(|age| age > ABANDONED)
        };
        for (path, _) in self.nameless() {
            let is_unfinished =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if is_unfinished && is_old(&path) {
                let _ = self.helper.remove_tree(&path);
            }
        }
        for id in self.ids().into_iter().filter(|id| !named.contains(id)) {
            let folder = self.instance(&id);
            if is_old(&folder.0) && folder.is_locked() != Some(true) {
                let never_ran = folder.specification().filter(|_| folder.state().is_none());
                let _ = self.remove_folder(&id);
                if let Some(specification) = never_ran {
                    self.remove_unused_volumes(&specification);
                }
            }
        }
    }

    /// The instances that were being made or removed, with the session that each belongs to: folders, and ids that have no
    /// name.
    fn nameless(&self) -> Vec<(PathBuf, Option<Session>)> {
        let folder = self.root.join("instances");
        let all = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let all = all.filter_map(|entry| entry.file_name().into_string().ok());
        let named: BTreeSet<String> = self.names().iter().filter_map(|name| self.id_of(name)).collect();
        let of = |entry: String| {
            let path = folder.join(&entry);
            let session = match entry.strip_prefix('.') {
                Some(rest) => {
                    let mut parts = rest.splitn(3, '.').skip(1);
                    let (id, host) = (parts.next()?.to_owned(), parts.next().unwrap_or_default().to_owned());
                    is_session_id(&id).then_some(Session { id, host })
                }
                None if named.contains(&entry) => return None,
                None => {
                    let specification = self.instance(&entry).specification();
                    specification.and_then(|found| Session::of(&found.labels))
                }
            };
            Some((path, session))
        };
        all.filter_map(of).collect()
    }

    /// The sessions that have an instance that was being made or removed.
    pub fn nameless_sessions(&self) -> BTreeSet<Session> {
        self.nameless().into_iter().filter_map(|(_, session)| session).collect()
    }

    /// Removes the instances of a session that were being made or removed, none of which runs. Whether there were any.
    pub fn remove_nameless(&self, session: &Session) -> EngineResult<bool> {
        let own = self.nameless().into_iter().filter(|(_, found)| found.as_ref() == Some(session));
        let mut found = false;
        for (path, _) in own {
            found = true;
            self.helper.remove_tree(&path).map_err(|error| unusable(&path, &error))?;
        }
        let volumes = self.volumes().remove_unfinished(&session.id);
        volumes.map_err(|error| unusable(&self.root.join("volumes"), &error))?;
        Ok(found)
    }

    fn network_file(&self, name: &str) -> PathBuf {
        self.root.join("networks").join(&sha256_hex(name)[..32])
    }

    /// Whether there is such a network.
    pub fn has_network(&self, name: &str) -> bool {
        self.network_file(name).exists()
    }

    /// Makes a network. Whether it was not there.
    pub fn make_network(&self, name: &str) -> EngineResult<bool> {
        let path = self.network_file(name);
        let is_new = !path.exists();
        write_atomically(&path, &[name.as_bytes()]).map_err(|error| unusable(&path, &error))?;
        Ok(is_new)
    }

    /// The networks' names.
    pub fn networks(&self) -> Vec<String> {
        let folder = self.root.join("networks");
        let name = |entry: String| String::from_utf8(read_private(&folder.join(entry), MOST_BYTES)?).ok();
        entries(&folder).into_iter().filter_map(name).collect()
    }

    /// Removes a network. Whether it was there.
    pub fn remove_network(&self, name: &str) -> bool {
        std::fs::remove_file(self.network_file(name)).is_ok()
    }
}

/// An id that no other instance ever gets.
pub fn new_id() -> EngineResult<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|error| refused(format!("the system provides no random numbers: {error}")))?;
    Ok(hex::encode(random))
}

pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    // Files that are being written begin with a dot.
    let mut names: Vec<String> = entries.filter_map(name).filter(|name| !name.starts_with('.')).collect();
    names.sort_unstable();
    names
}

/// What the engine cannot do.
pub fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(EngineErrorKind::Refused, message)
}

fn unusable(path: &Path, error: &io::Error) -> EngineError {
    let mut failed = refused(format!("{}: {error}", path.display()));
    if error.kind() == io::ErrorKind::StorageFull {
        failed.meaning = Some(Meaning::DiskFull);
    }
    failed
        .hints
        .push("Check who owns the folder, that only you may write to it, and that its disk is not full.");
    failed
}
