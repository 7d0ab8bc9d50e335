//! Confines a program of this host to what its definition lists. Three layers of the kernel do it, because none does
//! all of it: Landlock closes files, and keeps signals and debuggers from other processes; read-only mounts keep what
//! Landlock does not look at, such as modes and times; and a filter of system calls closes sockets with names, and what
//! else reaches other processes. Whatever of this the kernel lacks ends the program before it begins.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::mount_bind_recursive;
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, ThreadNameSpaceType, move_into_thread_name_spaces, set_capabilities,
    set_no_new_privs,
};
use serde::{Deserialize, Serialize};

use super::container::confinement::drop_all_but;
use super::container::filesystem::on;
use super::container::mounting::{make_read_only, mount_points, open_source};
use super::container::seccomp;
use super::instance_folder::InstanceFolder;
use super::isolation::Isolation;
use super::namespaces;
use super::roles::Failure;
use crate::definition::{ConfinedNetwork, Definition};
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::own_program::OWN_PROGRAM;

/// The kernel's version of Landlock that also keeps signals from other processes: Linux 6.12.
const LANDLOCK: ABI = ABI::V6;
/// Folders of programs and libraries, which every program may read and execute.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// Settings that libraries read, none of which is secret.
const SETTINGS: [&str; 26] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/etc/tzdata",
];
/// What the kernel tells of processes and of the machine. It lets nobody see another process's environment, memory or files who
/// could not debug it.
const KERNEL: [&str; 5] = [
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];
/// Devices that hold nothing.
const DEVICES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// What a program is confined to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The files and folders that it may read; no links.
    read: Vec<PathBuf>,
    /// Those that it may also write.
    write: Vec<PathBuf>,
    /// Whether its network is one of its own.
    pub has_own_network: bool,
    /// How its namespaces are made.
    isolation: Isolation,
    /// Who started farrier. In a namespace of users, the program has these numbers, too.
    user: u32,
    group: u32,
}

impl Confinement {
    /// Of a definition's program; `None` if it is not confined.
    ///
    /// # Errors
    /// The first path that cannot be used.
    pub fn of(definition: &Definition) -> Result<Option<Self>, Problem> {
        let paths = definition.confined_paths().map_err(|problems| {
            let unusable = || Problem::error(Code::FileUnusable, "a path of `confine` cannot be used");
            problems.into_iter().next().unwrap_or_else(unusable)
        })?;
        let network = definition.container.confine.as_ref().map(|declared| declared.network);
        Ok(paths.map(|paths| Self {
            read: paths.read,
            write: paths.write,
            ..Self::of_this_user(network == Some(ConfinedNetwork::Loopback))
        }))
    }

    /// Without any files.
    fn of_this_user(has_own_network: bool) -> Self {
        let (user, group) = (geteuid(), getegid().as_raw());
        let isolation = if user.is_root() { Isolation::Privileged } else { Isolation::OneId };
        Self { read: Vec::new(), write: Vec::new(), has_own_network, isolation, user: user.as_raw(), group }
    }

    /// Enters its namespaces but that of mounts.
    pub fn separate(&self) -> io::Result<()> {
        namespaces::separate_program(self.isolation, self.has_own_network)
    }

    /// Enters a namespace of mounts in which only what the program may write can be written. Its current folder is not
    /// one of it.
    pub fn separate_mounts(&self, own: &Path) -> io::Result<()> {
        namespaces::separate_mounts()?;
        let writable: Vec<&Path> = self.writable(own).collect();
        for path in &writable {
            let place = opened(path)?;
            mount_bind_recursive(on(&place), on(&place))
                .map_err(|error| Failure::doing(format!("mount {}", path.display()))(error.into()))?;
        }
        // A process's users are written in `/proc`, where modes do not change.
        let is_kept =
            |point: &PathBuf| point == "/proc" || writable.iter().any(|path| point.starts_with(path));
        for point in mounted()?.into_iter().filter(|point| !is_kept(point)) {
            let made = open_source(&point).and_then(|place| make_read_only(&place));
            match made {
                // Nobody reaches it by its path: it is hidden by another mount, or in a folder that is closed to this user.
                Err(error) if is_out_of_reach(&error) => {}
                // It is gone: whoever removes the folder of a mount ends the mount in all namespaces.
                Err(_) if !mounted()?.contains(&point) => {}
                made => made.map_err(Failure::doing(format!("make {} read-only", point.display())))?,
            }
        }
        Ok(())
    }

    /// Enters the namespaces of the program of this instance, which runs.
    pub fn enter(&self, folder: &InstanceFolder) -> io::Result<()> {
        let state = folder.state();
        let process =
            state.as_ref().and_then(|state| Some((state.supervisor.hold()?, state.program?.hold()?)));
        let (supervisor, program) = process.ok_or_else(|| io::Error::other("it does not run any more"))?;
        let mut spaces = ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION;
        if self.has_own_network {
            spaces |= ThreadNameSpaceType::NETWORK;
        }
        if self.isolation.has_users() {
            spaces |= ThreadNameSpaceType::USER;
        }
        let step = |error: rustix::io::Errno| Failure::doing("enter its namespaces")(error.into());
        move_into_thread_name_spaces(supervisor.as_fd(), spaces).map_err(step)?;
        move_into_thread_name_spaces(program.as_fd(), ThreadNameSpaceType::MOUNT).map_err(step)
    }

    /// Opens everything that the program may use, while this user may still find it.
    pub fn rules(&self, file: &Path, own: &Path) -> io::Result<Rules> {
        let said = |error: RulesetError| {
            io::Error::from(Failure::said(format!(
                "restrict it by Landlock, which needs Linux 6.12: {error}"
            )))
        };
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LANDLOCK))
            .and_then(|rules| rules.scope(Scope::from_all(LANDLOCK)))
            .and_then(Ruleset::create)
            .map_err(said)?;
        let mut allow = |place: OwnedFd, access: BitFlags<AccessFs>| -> io::Result<()> {
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
            let of_file = AccessFs::from_file(LANDLOCK);
            let access = if kind == FileType::Directory { access } else { access & of_file };
            (&mut rules).add_rule(PathBeneath::new(place, access)).map(drop).map_err(said)
        };
        let read = AccessFs::from_read(LANDLOCK);
        for path in SYSTEM.iter().chain(&SETTINGS).chain(&KERNEL) {
            // Systems differ in what they have.
            if let Ok(place) = of_system(path) {
                allow(place, read)?;
            }
        }
        for path in DEVICES {
            if let Ok(place) = of_system(path) {
                allow(place, AccessFs::ReadFile | AccessFs::WriteFile)?;
            }
        }
        for path in &self.read {
            allow(opened(path)?, read)?;
        }
        allow(of_system(file).map_err(Failure::doing(format!("open {}", file.display())))?, read)?;
        // Devices would be ways around everything else.
        let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
        for path in self.writable(own) {
            allow(opened(path)?, AccessFs::from_all(LANDLOCK) & !devices)?;
        }
        Ok(Rules { rules, filters: seccomp::filters_of_program()? })
    }

    /// Is the user who started farrier once more, if a namespace of users made that one root.
    pub fn become_starter(&self) -> io::Result<()> {
        if self.isolation.has_users() { namespaces::enter_as(self.user, self.group) } else { Ok(()) }
    }

    fn writable<'a>(&'a self, own: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.write.iter().map(PathBuf::as_path).chain([own])
    }
}

/// What a program may use, opened.
pub struct Rules {
    rules: RulesetCreated,
    filters: seccomp::Filters,
}

impl Rules {
    /// Gives up everything else for good, in this process and in all that it executes.
    pub fn apply(self) -> io::Result<()> {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        let dropped = set_capabilities(None, sets).and_then(|()| set_no_new_privs(true));
        dropped.map_err(|error| Failure::doing("drop capabilities")(error.into()))?;
        let said = |error: RulesetError| Failure::said(format!("restrict it by Landlock: {error}"));
        self.rules.restrict_self().map_err(|error| io::Error::from(said(error)))?;
        seccomp::apply(&self.filters)
    }
}

/// What makes it possible.
pub const WAY_OUT: &str =
    "This needs Linux 6.12 or later with Landlock, and user namespaces if farrier does not run as root.";

/// Refuses to start a program that is to be confined where that is not possible.
pub fn refusal(sidecar: &Sidecar, why: &Failure) -> Option<Problem> {
    let definition = &sidecar.definition;
    definition.container.confine.as_ref()?;
    let problem = Problem::error(Code::EngineLacks, format!("this host cannot confine a program: {why}"));
    let problem = problem.of(sidecar.name()).at(definition.place("confine"));
    Some(problem.hint(WAY_OUT).hint("Or remove `confine`, if the program may do everything that you can do."))
}

/// Gives up what executed programs could get of capabilities, while this process may.
pub fn drop_capabilities() -> io::Result<()> {
    drop_all_but(CapabilitySet::empty()).map_err(Failure::doing("drop capabilities"))
}

/// Tries all of it out, in a process of its own.
pub fn attempt() -> io::Result<()> {
    let own = std::env::temp_dir().canonicalize()?;
    let confinement = Confinement::of_this_user(true);
    confinement.separate()?;
    confinement.separate_mounts(&own)?;
    let rules = confinement.rules(Path::new(OWN_PROGRAM), &own)?;
    confinement.become_starter()?;
    drop_capabilities()?;
    rules.apply()
}

/// Opens what a definition names. Its path has no links, or it is not what was found before.
fn opened(path: &Path) -> io::Result<OwnedFd> {
    open_source(path).map_err(Failure::doing(format!("open {}", path.display())))
}

/// Opens what belongs to the system, whose links are its own affair.
fn of_system(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Where something is mounted in this namespace.
fn mounted() -> io::Result<Vec<PathBuf>> {
    Ok(mount_points(&std::fs::read("/proc/self/mountinfo")?))
}

fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}
