//! What farrier executes itself as. Each is a process of its own, which begins before anything else of farrier is touched,
//! so that it is small and has one thread: namespaces want that.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::container::{entering, process_one, program};
use super::control_group::ControlGroup;
use super::images::unpacking;
use super::isolation::{self, Isolation};
use super::{confining, limited, namespaces, neighbours, supervisor};
use crate::system::own_program::OWN_PROGRAM;

/// Looks after an instance.
pub const SUPERVISE: &str = "--supervise-program";
/// Looks after one of its runs.
pub const SUPERVISE_RUN: &str = "--supervise-run";
/// Becomes a program of this host that is limited.
pub const LIMITED: &str = "--limited-program";
/// Becomes a command beside it.
pub const LIMITED_COMMAND: &str = "--limited-command";
/// Is process 1 of a container.
pub const PROCESS_ONE: &str = "--container-process-one";
/// Becomes the program of a container.
pub const PROGRAM: &str = "--container-program";
/// Enters a container, and waits there for a command.
pub const ENTER: &str = "--enter-container";
/// Becomes a command in a container.
pub const ENTERED: &str = "--container-command";
/// Becomes a container's health test, within the container's limits.
pub const TESTED: &str = "--container-health-test";
/// Maps the users of somebody else's namespace.
pub const MAP_IDS: &str = "--map-ids";
/// Tries an isolation out.
pub const TRY: &str = "--try-isolation";
/// Tries the rest of it out, within.
pub const TRY_INSIDE: &str = "--try-isolation-inside";
/// Tries out whether programs can be confined.
pub const TRY_CONFINING: &str = "--try-confining";
/// Tries out whether containers reach each other by name.
pub const TRY_NEIGHBOURS: &str = "--try-neighbours";
const UNPACK: &str = "--unpack-layer";
const REMOVE: &str = "--remove-tree";

/// Why something did not succeed, as it is told from one process to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The operating system's number for it, if it has one.
    pub errno: Option<i32>,
    /// Whether it was a step on the way that did not succeed, and not the whole.
    #[serde(default)]
    pub is_of_step: bool,
    /// In words.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// What an error tells.
    pub fn of(error: &io::Error) -> Self {
        let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        told.cloned().unwrap_or_else(|| Self {
            errno: error.raw_os_error(),
            is_of_step: false,
            message: error.to_string(),
        })
    }

    /// Without a number.
    pub fn said(message: impl Into<String>) -> Self {
        Self { errno: None, is_of_step: true, message: message.into() }
    }

    /// Adds what was being done to an error.
    pub fn doing(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> io::Error {
        move |error| {
            let Self { errno, message, .. } = Self::of(&error);
            Self { errno, is_of_step: true, message: format!("{what}: {message}") }.into()
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        let kind =
            failure.errno.map_or(io::ErrorKind::InvalidData, |errno| Self::from_raw_os_error(errno).kind());
        Self::new(kind, failure)
    }
}

/// Runs what these arguments ask of farrier itself, and gives the exit code; `None` if they are a user's.
pub fn run(arguments: &[OsString]) -> Option<u8> {
    let [_, role, rest @ ..] = arguments else { return None };
    let path = |index: usize| rest.get(index).map(PathBuf::from).unwrap_or_default();
    let limits = || ControlGroup::at(rest.iter().skip(1).map(PathBuf::from).collect());
    let isolation = |index: usize| rest.get(index).and_then(|word| Isolation::parse(word));
    let done = match role.to_str()? {
        SUPERVISE => supervisor::supervise(&path(0)),
        SUPERVISE_RUN => supervisor::supervise_run(&path(0)),
        LIMITED => return Some(limited::run(&path(0), &limits())),
        LIMITED_COMMAND => return Some(limited::run_command(&path(0), rest.get(1..).unwrap_or_default())),
        PROCESS_ONE => return Some(process_one::run(&path(0), &limits())),
        PROGRAM => return Some(program::run(&path(0), &limits())),
        ENTER => return Some(entering::enter(&path(0), rest.get(1..).unwrap_or_default())),
        ENTERED => return Some(entering::become_command(&path(0), rest.get(1..).unwrap_or_default())),
        TESTED => return Some(entering::become_test(&path(0), rest.get(1..).unwrap_or_default())),
        MAP_IDS => told(namespaces::map_ids(rest.first().and_then(|id| id.to_str()).unwrap_or_default())),
        TRY => told(isolation::attempt(isolation(0)?, &path(1))),
        TRY_INSIDE => told(isolation::attempt_inside(&path(0))),
        TRY_CONFINING => told(confining::attempt()),
        TRY_NEIGHBOURS => told(namespaces::separate(isolation(0)?).and_then(|()| neighbours::attempt())),
        UNPACK => told(namespaces::enter_users(isolation(1)?).and_then(|()| {
            rustix::process::umask(rustix::fs::Mode::empty());
            unpacking::unpack(io::stdin().lock(), &path(0), unpacking::LIMITS)
        })),
        REMOVE => {
            told(namespaces::enter_users(isolation(1)?).and_then(|()| std::fs::remove_dir_all(path(0))))
        }
        _ => return None,
    };
    Some(u8::from(done.is_err()))
}

/// Tells by standard output why something failed.
fn told(done: io::Result<()>) -> io::Result<()> {
    if let Err(error) = &done {
        let line = serde_json::to_vec(&Failure::of(error)).unwrap_or_default();
        // Nobody may be left who wants to know.
        let _ = io::stdout().write_all(&line);
    }
    done
}

/// Executes farrier in its smaller roles, and waits for each.
#[derive(Clone, Debug)]
pub struct Helper(pub PathBuf);

impl Helper {
    /// farrier itself.
    pub fn own() -> Self {
        Self(PathBuf::from(OWN_PROGRAM))
    }

    /// Unpacks a layer, which is read from its beginning to its end.
    pub fn unpack(&self, content: &mut dyn Read, folder: &Path, isolation: Isolation) -> io::Result<()> {
        self.run([UNPACK.as_ref(), folder.as_os_str(), isolation.word().as_ref()], Some(content))
    }

    /// Removes a folder with all that is in it; it may be gone. What belongs to users that only a namespace of users has is
    /// removed within one.
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let within = |isolation: Isolation| {
                    self.run([REMOVE.as_ref(), path.as_os_str(), isolation.word().as_ref()], None)
                };
                // Folders that forbid reading are this user's, or those of subordinate users.
                within(Isolation::MappedIds).or_else(|_| within(Isolation::OneId)).map_err(|_| error)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Runs a role to its end.
    pub fn run<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        input: Option<&mut dyn Read>,
    ) -> io::Result<()> {
        let mut child = Command::new(&self.0)
            .arg0("farrier")
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let copied = match (input, child.stdin.take()) {
            (Some(input), Some(mut pipe)) => io::copy(input, &mut pipe).map(drop),
            _ => Ok(()),
        };
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let failure = serde_json::from_slice::<Failure>(&output.stdout);
            let ended = || Failure::said(format!("a helper ended with {}", output.status));
            return Err(failure.unwrap_or_else(|_| ended()).into());
        }
        copied
    }
}
