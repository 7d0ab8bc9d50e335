//! Limits of memory, processors and processes: control groups of the kernel's, in either of their versions, where this user may
//! make some.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::processes::Process;
use super::roles::Failure;
use crate::definition::ContainerKeys;

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";
/// The folder of all groups of farrier's.
const FOLDER: &str = "farrier";
/// The controllers, as the kernel names them and their hierarchies.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// The length of a period in which processors are counted, in microseconds: as Docker has it.
const PERIOD: u64 = 100_000;
/// Parts of a processor in which definitions count.
const PARTS: u64 = 1_000_000_000;

/// How much a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Processors, in billionths of one.
    pub processors: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

impl Limits {
    /// What a definition says.
    pub const fn of(keys: &ContainerKeys) -> Self {
        Self { memory: keys.memory, processors: keys.cpus, processes: keys.pids }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The controllers that they need.
    fn controllers(&self) -> impl Iterator<Item = &'static str> {
        let wanted = [self.memory, self.processors, self.processes].map(|limit| limit.is_some());
        CONTROLLERS
            .into_iter()
            .zip(wanted)
            .filter(|(_, is_wanted)| *is_wanted)
            .map(|(controller, _)| controller)
    }

    /// In words, what is limited.
    fn words(&self) -> String {
        let words = [
            ("memory", self.memory.is_some()),
            ("processors", self.processors.is_some()),
            ("processes", self.processes.is_some()),
        ];
        words
            .into_iter()
            .filter(|(_, is_limited)| *is_limited)
            .map(|(word, _)| word)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Microseconds of each period.
    fn quota(&self) -> Option<u64> {
        self.processors.map(|parts| (parts.saturating_mul(PERIOD) / PARTS).max(1_000))
    }
}

/// The groups of one instance: a folder in each hierarchy that limits it.
#[derive(Clone, Debug)]
pub struct ControlGroup {
    folders: Vec<PathBuf>,
}

impl ControlGroup {
    /// Makes the groups of an instance, which nothing is in yet.
    pub fn make(instance: &str, limits: &Limits) -> io::Result<Self> {
        if limits.is_none() {
            return Ok(Self::none());
        }
        let all = Path::new(GROUPS);
        let made = if all.join("cgroup.controllers").exists() {
            Self::unified(all, instance, limits)
        } else {
            Self::of_each(all, instance, limits)
        };
        made.map_err(|error| {
            Self::remove_left(instance);
            Failure::doing(format!("limit {} by a control group", limits.words()))(error)
        })
    }

    /// In version 1, each controller has a hierarchy of its own.
    fn of_each(all: &Path, instance: &str, limits: &Limits) -> io::Result<Self> {
        let folders = limits.controllers().map(|controller| {
            let hierarchy = all.join(controller);
            if !hierarchy.exists() {
                return Err(io::Error::from(io::ErrorKind::NotFound));
            }
            let folder = hierarchy.join(FOLDER).join(instance);
            fs::create_dir_all(&folder)?;
            let write = |file: &str, value: String| fs::write(folder.join(file), value);
            match controller {
                "memory" => {
                    let bytes = limits.memory.unwrap_or_default().to_string();
                    write("memory.limit_in_bytes", bytes.clone())?;
                    // Swap would let it have more. Not every kernel counts it.
                    let _ = write("memory.memsw.limit_in_bytes", bytes);
                }
                "cpu" => {
                    write("cpu.cfs_period_us", PERIOD.to_string())?;
                    write("cpu.cfs_quota_us", limits.quota().unwrap_or_default().to_string())?;
                }
                _ => write("pids.max", limits.processes.unwrap_or_default().to_string())?,
            }
            Ok(folder)
        });
        Ok(Self { folders: folders.collect::<io::Result<_>>()? })
    }

    /// In version 2, a group that has others has no process: so it is made beside this process's own, as far up as this user
    /// may.
    fn unified(root: &Path, instance: &str, limits: &Limits) -> io::Result<Self> {
        let own = own_group(root);
        let mut ancestors: Vec<&Path> = own.ancestors().take_while(|path| path.starts_with(root)).collect();
        ancestors.reverse();
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for parent in ancestors {
            match Self::beneath(parent, instance, limits) {
                Ok(made) => return Ok(made),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn beneath(parent: &Path, instance: &str, limits: &Limits) -> io::Result<Self> {
        let all = parent.join(FOLDER);
        let enable = |group: &Path| {
            let file = group.join("cgroup.subtree_control");
            let enabled = fs::read_to_string(&file)?;
            let is_enabled = |controller: &str| enabled.split_whitespace().any(|found| found == controller);
            let mut missing = limits.controllers().filter(|controller| !is_enabled(controller));
            missing.try_for_each(|controller| fs::write(&file, format!("+{controller}")))
        };
        enable(parent)?;
        let folder = all.join(instance);
        fs::create_dir_all(&all)?;
        enable(&all)?;
        fs::create_dir_all(&folder)?;
        if let Some(bytes) = limits.memory {
            fs::write(folder.join("memory.max"), bytes.to_string())?;
            let _ = fs::write(folder.join("memory.swap.max"), "0");
        }
        if let Some(quota) = limits.quota() {
            fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD}"))?;
        }
        if let Some(most) = limits.processes {
            fs::write(folder.join("pids.max"), most.to_string())?;
        }
        Ok(Self { folders: vec![folder] })
    }

    /// Removes the groups of an instance whose supervisor was killed.
    pub fn remove_left(instance: &str) {
        let all = Path::new(GROUPS);
        let own = own_group(all);
        let parents = own.ancestors().filter(|path| path.starts_with(all)).map(Path::to_owned);
        let hierarchies = CONTROLLERS.into_iter().map(|controller| all.join(controller));
        let folders = parents.chain(hierarchies).map(|parent| parent.join(FOLDER).join(instance));
        Self { folders: folders.filter(|folder| folder.exists()).collect() }.remove();
    }

    /// Of what is not limited.
    pub const fn none() -> Self {
        Self::at(Vec::new())
    }

    /// The groups in these folders.
    pub const fn at(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Those of an instance whose program runs, as the kernel tells them.
    pub fn of_program(program: Process, instance: &str) -> Self {
        let told = fs::read_to_string(format!("/proc/{}/cgroup", program.id)).unwrap_or_default();
        Self { folders: Self::told(&told, instance).collect() }
    }

    fn told<'a>(text: &'a str, instance: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let is_its = move |path: &&str| Path::new(path).ends_with(Path::new(FOLDER).join(instance));
        // The number of a hierarchy, its controllers (none in version 2), and the group.
        text.lines().filter_map(move |line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next().filter(is_its)?);
            Some(Path::new(GROUPS).join(controllers).join(path.trim_start_matches('/')))
        })
    }

    /// Their folders.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Puts this process into them, and all that it starts.
    pub fn join(&self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| {
            fs::write(folder.join("cgroup.procs"), "0").map_err(Failure::doing("join a control group"))
        })
    }

    /// Whether the kernel ended a process in it because the memory did not suffice.
    pub fn was_exhausted(&self) -> bool {
        let files = self
            .folders
            .iter()
            .flat_map(|folder| ["memory.events", "memory.oom_control"].map(|file| folder.join(file)));
        files.into_iter().any(|file| {
            let events = fs::read_to_string(file).unwrap_or_default();
            let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
        })
    }

    /// Removes them, once nothing is in them any more.
    pub fn remove(&self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
            // The last one takes the folder of all with it.
            let _ = folder.parent().map(fs::remove_dir);
        }
    }
}

/// The group of this process in version 2.
fn own_group(root: &Path) -> PathBuf {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    root.join(own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_groups_of_a_program() {
        let text = "12:pids:/farrier/id\n11:cpu,cpuacct:/farrier/id\n1:name=systemd:/\n0::/user/farrier/id\n3:memory:/farrier/other\n";
        let found: Vec<PathBuf> = ControlGroup::told(text, "id").collect();
        let all = ["pids/farrier/id", "cpu,cpuacct/farrier/id", "user/farrier/id"];
        assert_eq!(found, all.map(|path| Path::new(GROUPS).join(path)));
    }

    #[test]
    fn limits_name_their_controllers() {
        let limits = Limits { processors: Some(500_000_000), processes: Some(7), ..Limits::default() };
        assert_eq!(limits.controllers().collect::<Vec<_>>(), ["cpu", "pids"]);
        assert_eq!((limits.words().as_str(), limits.quota()), ("processors, processes", Some(50_000)));
        let little = Limits { processors: Some(1), ..Limits::default() };
        assert_eq!(little.quota(), Some(1_000), "the kernel takes no less");
        assert!(Limits::default().is_none() && !little.is_none());
    }
}
