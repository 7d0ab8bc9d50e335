//! Runs the harness: in place of farrier where there is nothing to do, else in the foreground as its child.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::joining::Joining;
use super::on_exit::{GRACE, HarnessStop};
use super::signals::{CaughtSignals, Job};
use crate::report::error::{Code, Failure, Problem};

/// The exit code where the command cannot be run, and where it is not found: the shell's.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How long docker may take to kill a container, and its client to end then.
const CLIENT_ANSWER: Duration = Duration::from_secs(5);

fn cannot_run(program: &OsStr, error: &io::Error) -> Failure {
    let program = program.to_string_lossy();
    let (exit, problem) = if error.kind() == io::ErrorKind::NotFound {
        let problem = Problem::error(Code::HarnessNotFound, format!("there is no command `{program}`"));
        (NOT_FOUND, problem.hint("Check its spelling and PATH."))
    } else {
        let message = format!("the command `{program}` cannot be run: {error}");
        let problem = Problem::error(Code::HarnessNotExecutable, message);
        (NOT_EXECUTABLE, problem.hint("Check that it is a program and that you may execute it."))
    };
    Failure { exit, problems: vec![problem] }
}

/// Becomes the command, byte for byte; returns only when that fails.
#[must_use]
pub fn become_command(command: &[OsString]) -> Failure {
    let Some((program, arguments)) = command.split_first() else {
        return missing();
    };
    let error = Command::new(program).args(arguments).exec();
    cannot_run(program, &error)
}

fn missing() -> Failure {
    let problem = Problem::error(Code::Usage, "there is no command after `--`");
    Failure { exit: 2, problems: vec![problem.hint("Write it as `farrier launch -- docker run IMAGE`.")] }
}

/// Finds out whether a command can be run, before anything is started for it.
///
/// # Errors
/// The failure that running it would end in.
pub fn check(program: &OsStr) -> Result<(), Failure> {
    let executable = |path: &Path| match std::fs::metadata(path) {
        Ok(found) if found.is_file() => rustix::fs::access(path, Access::EXEC_OK).map_err(io::Error::from),
        Ok(_) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        Err(error) => Err(error),
    };
    if program.as_bytes().contains(&b'/') {
        return executable(Path::new(program)).map_err(|error| cannot_run(program, &error));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut denied = None;
    for folder in std::env::split_paths(&path) {
        let candidate: PathBuf = folder.join(program);
        match executable(&candidate) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(_) => {}
        }
    }
    Err(cannot_run(program, &denied.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound))))
}

/// The command and the environment that it gets in addition.
#[derive(Clone, Debug, Default)]
pub struct Foreground {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Variables that are set.
    pub set: Vec<(String, String)>,
    /// Prefixes of variables that are removed.
    pub remove: Vec<&'static str>,
    /// The further network that the container joins which the command creates.
    pub joining: Option<Joining>,
    /// The container that the command runs, if farrier may have to kill it.
    pub container: Option<HarnessContainer>,
}

/// A harness's container, which killing docker's client would leave running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HarnessContainer {
    /// `docker` with its own options.
    pub client: Vec<OsString>,
    /// A label, as `NAME=VALUE`, that no other container has.
    pub label: String,
}

impl HarnessContainer {
    /// Kills it as far as docker answers in time.
    async fn kill(&self) {
        let filter = format!("label={}", self.label);
        let Some(listed) = self.run(&["ps", "--quiet", "--filter", &filter]).await else { return };
        let ids: Vec<&str> = listed.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = self.run(&[&["kill"][..], &ids].concat()).await;
        }
    }

    async fn run(&self, words: &[&str]) -> Option<String> {
        let (program, options) = self.client.split_first()?;
        let running = tokio::process::Command::new(program)
            .args(options)
            .args(words)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(CLIENT_ANSWER, running).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Runs the command in the foreground and returns its exit code, 128 + N if signal N ended it.
///
/// The command is in farrier's process group, so the terminal signals both. A child gets the default for every signal
/// that is caught here, and ignores the signals that farrier was started to ignore. When `stop` asks for it, the command
/// gets SIGTERM, and is killed if it does not end in time.
///
/// # Errors
/// If the command cannot be run.
pub async fn in_foreground(
    harness: &Foreground,
    signals: &mut CaughtSignals,
    stop: &HarnessStop,
) -> Result<u8, Failure> {
    let program = harness.command.first().cloned().unwrap_or_default();
    run(harness, signals, stop).await.map(exit_code).map_err(|error| cannot_run(&program, &error))
}

async fn run(
    harness: &Foreground,
    signals: &mut CaughtSignals,
    stop: &HarnessStop,
) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = harness.command.split_first() else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if harness.remove.iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(&name);
        }
    }
    command.envs(harness.set.iter().map(|(name, value)| (name, value)));
    let mut child = tokio::process::Command::from(command).spawn()?;
    let process = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut job = process.map(Job::new);
    // It may have ended just now; its status tells.
    let send = |signal| {
        let _ = process.map(|process| kill_process(process, signal));
    };
    let mut ending = Ending::NotAsked;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = stop.asked(), if ending == Ending::NotAsked => {
                send(Signal::TERM);
                ending = Ending::Asked(Instant::now() + GRACE);
            }
            () = ending.is_over() => {
                stop.note_killed();
                ending = if let (Ending::Asked(_), Some(container)) = (ending, &harness.container) {
                    container.kill().await;
                    Ending::ContainerKilled(Instant::now() + CLIENT_ANSWER)
                } else {
                    send(Signal::KILL);
                    Ending::Killed
                };
            }
            origin = signals.next() => if let Some(job) = &mut job { job.take(&origin) },
        }
    }
}

/// How far the end of a harness is that was asked to end, and until when it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotAsked,
    Asked(Instant),
    ContainerKilled(Instant),
    Killed,
}

impl Ending {
    /// Waits until this took too long.
    async fn is_over(self) {
        match self {
            Self::Asked(until) | Self::ContainerKilled(until) => tokio::time::sleep_until(until).await,
            Self::NotAsked | Self::Killed => std::future::pending().await,
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|signal| 128 + signal);
    u8::try_from(status.code().or(signalled).unwrap_or(1)).unwrap_or(1)
}
