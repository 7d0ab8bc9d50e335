//! Runs a command in a container that runs: one process enters its namespaces and waits, and may so end the command whoever
//! that became; its child, which is in the container's namespace of processes, becomes the command.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fd::AsFd;
use rustix::process::{DumpableBehavior, PidfdFlags, pidfd_open, set_dumpable_behavior};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::process_one::container_of;
use super::program::{execute, exit_code};
use super::specification::ContainerSpecification;
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::processes::Process;
use crate::engine::native::roles::{ENTERED, Failure};
use crate::system::own_program::OWN_PROGRAM;

/// What the exit code is if the container cannot be entered.
const NOT_ENTERED: u8 = 126;
/// What is added to the number of a signal that ended a command.
const SIGNALLED: i32 = 128;

/// Enters the container in this folder, and runs a command there to its end.
pub fn enter(folder: &Path, arguments: &[OsString]) -> u8 {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM] {
        signals.add(signal);
    }
    let entered = signals.thread_block().map_err(io::Error::from).and_then(|()| begin(folder, arguments));
    match entered {
        Ok(command) => wait(&command, &signals),
        Err(error) => tell(&error),
    }
}

fn tell(error: &io::Error) -> u8 {
    // Nobody may be left who wants to know.
    let _ = writeln!(io::stderr(), "cannot execute it in the container: {error}");
    NOT_ENTERED
}

/// The first process of the container in this folder, and what the container is.
fn process_of(folder: &InstanceFolder) -> io::Result<(Process, ContainerSpecification)> {
    let (container, _) = container_of(folder)?;
    let process = folder.state().and_then(|state| state.program);
    Ok((process.ok_or_else(|| io::Error::other("it does not run"))?, container))
}

fn begin(folder: &Path, arguments: &[OsString]) -> io::Result<Child> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let instance = InstanceFolder(folder.to_owned());
    let (process, container) = process_of(&instance)?;
    // Before its users are those of the container: whoever enters uses what the container may use.
    instance.control_group().join()?;
    if container.isolation.is_isolated() {
        let held = process.hold().ok_or_else(|| io::Error::other("it does not run any more"))?;
        let mut spaces = ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::PROCESS_ID;
        if container.isolation.has_users() {
            spaces |= ThreadNameSpaceType::USER;
        }
        move_into_thread_name_spaces(held.as_fd(), spaces)
            .map_err(|error| Failure::doing("enter its namespaces")(error.into()))?;
    }
    // The namespace of mounts is the child's to enter: here, this program and its libraries are found.
    Command::new(OWN_PROGRAM)
        .arg0("farrier")
        .arg(ENTERED)
        .arg(folder)
        .args(arguments)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
}

/// Waits for the command, and ends it if this process is asked to end.
fn wait(command: &Child, signals: &SigSet) -> u8 {
    let command = Pid::from_raw(i32::try_from(command.id()).unwrap_or_default());
    loop {
        match signals.wait() {
            Ok(Signal::SIGTERM) => {
                let _ = kill(Pid::from_raw(-command.as_raw()), Signal::SIGKILL);
                let _ = kill(command, Signal::SIGKILL);
            }
            _ => match waitpid(command, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code).unwrap_or(u8::MAX),
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    return u8::try_from(SIGNALLED + signal as i32).unwrap_or(u8::MAX);
                }
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return NOT_ENTERED,
            },
        }
    }
}

/// Becomes the command, in the root of the container. It comes back only if it cannot.
pub fn become_command(folder: &Path, arguments: &[OsString]) -> u8 {
    let Err(error) = become_entered(folder, arguments);
    tell(&error);
    exit_code(&error)
}

/// Becomes the health test, as which the container's supervisor started this process. It comes back only if it cannot.
pub fn become_test(folder: &Path, arguments: &[OsString]) -> u8 {
    match InstanceFolder(folder.to_owned()).control_group().join() {
        Ok(()) => become_command(folder, arguments),
        Err(error) => tell(&error),
    }
}

fn become_entered(folder: &Path, arguments: &[OsString]) -> io::Result<std::convert::Infallible> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let folder = InstanceFolder(folder.to_owned());
    let (container, specification) = container_of(&folder)?;
    if container.isolation.is_isolated() {
        // In the container's namespace of processes, the first one has this number.
        let held = pidfd_open(rustix::process::Pid::INIT, PidfdFlags::empty())?;
        move_into_thread_name_spaces(held.as_fd(), ThreadNameSpaceType::MOUNT)
            .map_err(|error| Failure::doing("enter its root")(error.into()))?;
    } else {
        let root = super::filesystem::root_of(&folder);
        rustix::process::chroot(root).map_err(|error| Failure::doing("change the root")(error.into()))?;
    }
    std::env::set_current_dir("/")?;
    let words: Option<Vec<String>> = arguments.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let words = words.ok_or_else(|| io::Error::other("the command is not UTF-8"))?;
    execute(&container, &specification.env, &words)
}
