//! A limit of memory: a control group of the kernel's, in either of its versions, where this user may make one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::roles::Failure;

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";
/// The folder of all groups of farrier's.
const FOLDER: &str = "farrier";

/// A group with a limit of memory.
#[derive(Clone, Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Makes the group of an instance, which nothing is in yet.
    pub fn make(instance: &str, bytes: u64) -> io::Result<Self> {
        let all = Path::new(GROUPS);
        let made = if all.join("cgroup.controllers").exists() {
            Self::unified(all, instance, bytes)
        } else {
            Self::of_memory(&all.join("memory"), instance, bytes)
        };
        made.map_err(Failure::doing("limit memory by a control group"))
    }

    /// In version 1, memory has a hierarchy of its own.
    fn of_memory(root: &Path, instance: &str, bytes: u64) -> io::Result<Self> {
        let folder = root.join(FOLDER).join(instance);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("memory.limit_in_bytes"), bytes.to_string())?;
        // Swap would let it have more. Not every kernel counts it.
        let _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), bytes.to_string());
        Ok(Self { folder })
    }

    /// In version 2, a group that has others has no process: so it is made beside this process's own, as far up as this user
    /// may.
    fn unified(root: &Path, instance: &str, bytes: u64) -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let own = root.join(own);
        let mut ancestors: Vec<&Path> = own.ancestors().take_while(|path| path.starts_with(root)).collect();
        ancestors.reverse();
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for parent in ancestors {
            match Self::beneath(parent, instance, bytes) {
                Ok(made) => return Ok(made),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn beneath(parent: &Path, instance: &str, bytes: u64) -> io::Result<Self> {
        let all = parent.join(FOLDER);
        let enable = |group: &Path| {
            let enabled = fs::read_to_string(group.join("cgroup.subtree_control"))?;
            if enabled.split_whitespace().any(|controller| controller == "memory") {
                return Ok(());
            }
            fs::write(group.join("cgroup.subtree_control"), "+memory")
        };
        enable(parent)?;
        let folder = all.join(instance);
        fs::create_dir_all(&all)?;
        enable(&all)?;
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("memory.max"), bytes.to_string())?;
        let _ = fs::write(folder.join("memory.swap.max"), "0");
        Ok(Self { folder })
    }

    /// Removes the group of an instance whose supervisor was killed.
    pub fn remove_left(instance: &str) {
        let all = Path::new(GROUPS);
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let own = all.join(own);
        let parents = own.ancestors().filter(|path| path.starts_with(all)).map(Path::to_owned);
        for parent in parents.chain([all.join("memory")]) {
            let folder = parent.join(FOLDER).join(instance);
            if folder.exists() {
                Self { folder }.remove();
            }
        }
    }

    /// The group in this folder.
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts this process into it, and all that it starts.
    pub fn join(&self) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), "0").map_err(Failure::doing("join a control group"))
    }

    /// Whether the kernel ended a process in it because the memory did not suffice.
    pub fn was_exhausted(&self) -> bool {
        ["memory.events", "memory.oom_control"].iter().any(|file| {
            let events = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
            let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
        })
    }

    /// Removes it, once nothing is in it any more.
    pub fn remove(&self) {
        let _ = fs::remove_dir(&self.folder);
        // The last one takes the folder of all with it.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}
