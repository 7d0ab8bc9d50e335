//! How far a container can be kept apart from this host. That is found out by trying in a child, step by step: what settings
//! of the kernel say is not the whole truth.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, MountPropagationFlags};
use serde::{Deserialize, Serialize};

use super::namespaces;
use super::roles::{Failure, Helper, TRY, TRY_INSIDE, TRY_NEIGHBOURS};
use crate::engine::Finding;
use crate::system::own_program::OWN_PROGRAM;

/// How a container is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Namespaces of everything but users, made by root.
    Privileged,
    /// Namespaces of everything: the users within are this user and the subordinate ones.
    MappedIds,
    /// Namespaces of everything: the only user within is this one.
    OneId,
    /// None: only the root directory is another one.
    None,
}

impl Isolation {
    const ALL: [Self; 4] = [Self::Privileged, Self::MappedIds, Self::OneId, Self::None];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::MappedIds => "mapped-ids",
            Self::OneId => "one-id",
            Self::None => "none",
        }
    }

    /// The one with this name.
    pub fn parse(word: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|isolation| OsStr::new(isolation.word()) == word)
    }

    /// Whether a container has namespaces of its own.
    pub const fn is_isolated(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether a container has a namespace of users of its own.
    pub const fn has_users(self) -> bool {
        matches!(self, Self::MappedIds | Self::OneId)
    }

    /// What would make it possible.
    const fn way_out(self) -> &'static str {
        match self {
            Self::Privileged => {
                "this needs the capabilities SYS_ADMIN and NET_ADMIN, and no seccomp filter that forbids namespaces"
            }
            Self::MappedIds => {
                "this needs user namespaces (sysctl `user.max_user_namespaces`, \
                 `kernel.apparmor_restrict_unprivileged_userns=0`), `newuidmap`, and a line for you in /etc/subuid and /etc/subgid"
            }
            Self::OneId => {
                "this needs user namespaces (sysctl `user.max_user_namespaces`, \
                 `kernel.apparmor_restrict_unprivileged_userns=0`)"
            }
            Self::None => "this needs the capability SYS_CHROOT",
        }
    }

    /// Those that may be possible for this user, the best first.
    fn candidates(is_root: bool) -> &'static [Self] {
        if is_root {
            &[Self::Privileged, Self::MappedIds, Self::None]
        } else {
            &[Self::MappedIds, Self::OneId]
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Privileged => "namespaces, made by root",
            Self::MappedIds => "namespaces, with subordinate user IDs",
            Self::OneId => "namespaces, with one user ID",
            Self::None => "no isolation",
        })
    }
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The best that is possible; `None` if not even the root directory can be another one.
    pub best: Option<Isolation>,
    /// What is not possible, and why.
    pub failed: Vec<(Isolation, Failure)>,
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.best {
            Some(best) => write!(formatter, "images run without Docker: {best}")?,
            None => formatter.write_str("images cannot be run without Docker")?,
        }
        for (isolation, failure) in &self.failed {
            write!(formatter, "; not {isolation} ({failure}): {}", isolation.way_out())?;
        }
        Ok(())
    }
}

/// Tries the isolations of this user out, the best first, until one works. Blocks.
pub fn find(helper: &Helper) -> io::Result<Findings> {
    let folder = tempfile::tempdir()?;
    let mut failed = Vec::new();
    for isolation in Isolation::candidates(rustix::process::geteuid().is_root()) {
        let arguments = [TRY.as_ref(), isolation.word().as_ref(), folder.path().as_os_str()];
        match helper.run(arguments, None) {
            Ok(()) => return Ok(Findings { best: Some(*isolation), failed }),
            Err(error) => failed.push((*isolation, Failure::of(&error))),
        }
    }
    Ok(Findings { best: None, failed })
}

/// Tries out whether containers that are kept apart like this reach each other by name. Blocks.
pub fn find_names(helper: &Helper, isolation: Isolation) -> Finding {
    match helper.run([TRY_NEIGHBOURS.as_ref(), isolation.word().as_ref()], None) {
        Ok(()) => Finding { text: "containers reach other sidecars by name".to_owned(), way_out: None },
        Err(error) => Finding {
            text: format!("containers cannot reach other sidecars by name: {}", Failure::of(&error)),
            way_out: Some("This needs a kernel that supports `veth` network interfaces."),
        },
    }
}

/// Tries one, in a process of its own.
pub fn attempt(isolation: Isolation, folder: &Path) -> io::Result<()> {
    if isolation == Isolation::None {
        return rustix::process::chroot("/")
            .map_err(io::Error::from)
            .map_err(Failure::doing("change the root"));
    }
    namespaces::separate(isolation)?;
    let output = Command::new(OWN_PROGRAM)
        .arg0("farrier")
        .arg(TRY_INSIDE)
        .arg(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(Failure::doing("start process 1 of a namespace"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = serde_json::from_slice::<Failure>(&output.stdout);
    Err(told.unwrap_or_else(|_| Failure::said("process 1 ended")).into())
}

/// Tries what process 1 does.
pub fn attempt_inside(folder: &Path) -> io::Result<()> {
    namespaces::separate_mounts()?;
    let step = |what: &'static str| move |error: rustix::io::Errno| Failure::doing(what)(error.into());
    rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::NOSUID, None)
        .map_err(step("mount a tmpfs"))?;
    let proc = folder.join("proc");
    std::fs::create_dir(&proc)?;
    rustix::mount::mount("proc", &proc, "proc", MountFlags::NOSUID, None).map_err(step("mount /proc"))?;
    std::env::set_current_dir(folder)?;
    namespaces::change_root()
}

/// Keeps mounts of a namespace from others.
pub fn make_private() -> rustix::io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}
