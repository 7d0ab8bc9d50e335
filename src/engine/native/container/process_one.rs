//! Process 1 of a container: it mounts the root, starts the program, and stays. It reaps what loses its parent, passes
//! signals on, and ends with the program. It dies with its supervisor, and with it everything in the container: the program
//! itself as process 1 would outlive both, because it changes its user.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, set_parent_process_death_signal};

use super::filesystem;
use super::specification::ContainerSpecification;
use crate::engine::native::control_group::ControlGroup;
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::namespaces;
use crate::engine::native::processes::Process;
use crate::engine::native::roles::{Failure, PROGRAM};
use crate::engine::native::specification::{MARK, Specification};
use crate::system::job_control::begin_session;
use crate::system::own_program::OWN_PROGRAM;

/// What the exit code is of a container whose program was never started.
const NOT_STARTED: u8 = 126;
/// What is added to the number of a signal that ended a program.
const SIGNALLED: i32 = 128;
/// What the exit code is of a program that ended in a way that nobody knows.
const KILLED: u8 = 137;

/// Says to whoever waits at the other end of standard input why something failed; nothing, if it did not.
pub struct Report(Option<File>);

impl Report {
    /// Takes standard input for it, in whose place nothing is read.
    pub fn take() -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self(Some(file)))
    }

    /// Tells a failure, and nothing more.
    pub fn fail(&mut self, error: &io::Error) {
        if let Some(mut file) = self.0.take() {
            let line = serde_json::to_vec(&Failure::of(error)).unwrap_or_default();
            // Nobody may be left who wants to know.
            let _ = file.write_all(&line);
        }
    }

    /// For a child that goes on.
    fn for_child(&self) -> io::Result<Stdio> {
        let file = self.0.as_ref().ok_or_else(|| io::Error::other("everything is told"))?;
        Ok(Stdio::from(file.try_clone()?))
    }
}

/// Is process 1 of the container in this folder, to its end, within these limits.
pub fn run(folder: &Path, limits: &ControlGroup) -> u8 {
    let Ok(mut report) = Report::take() else { return NOT_STARTED };
    let folder = InstanceFolder(folder.to_owned());
    let signals = signals();
    match limits.join().and_then(|()| begin(&folder, &report, &signals)) {
        Ok(program) => {
            drop(report);
            stay(&program, &signals)
        }
        Err(error) => {
            report.fail(&error);
            NOT_STARTED
        }
    }
}

/// Those that are waited for. Real-time ones have no names, and cannot be a stop signal either.
fn signals() -> SigSet {
    let mut signals = SigSet::empty();
    Signal::iterator().for_each(|signal| signals.add(signal));
    signals
}

/// The container of the instance in this folder.
pub fn container_of(folder: &InstanceFolder) -> io::Result<(ContainerSpecification, Specification)> {
    let specification =
        folder.specification().ok_or_else(|| io::Error::other("its specification cannot be read"))?;
    let container = specification.container().cloned();
    Ok((container.ok_or_else(|| io::Error::other("it is no container"))?, specification))
}

fn begin(folder: &InstanceFolder, report: &Report, signals: &SigSet) -> io::Result<Child> {
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have died before that. Its number is one of this host's, whose `/proc` is still the one here.
    let supervisor = folder.state().map(|state| state.supervisor);
    if !supervisor.is_some_and(Process::is_listed) {
        return Err(io::Error::other("its supervisor has ended"));
    }
    // Nothing in the container reads or writes this process's memory, or its program's file by it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    begin_session();
    // Before there is a child: what comes to process 1 and is neither blocked nor handled is lost.
    signals.thread_block()?;
    let (container, _) = container_of(folder)?;
    rustix::system::sethostname(container.hostname.as_bytes())
        .map_err(|error| Failure::doing("name the host")(error.into()))?;
    container.surroundings.apply_sysctls(container.isolation.is_isolated())?;
    namespaces::separate_mounts()?;
    filesystem::build(folder, &container)?;
    let id = folder.id();
    // Before the root is changed: in an image, neither this program nor its libraries are found. It changes the root of this
    // process, too.
    let program = Command::new(OWN_PROGRAM)
        .arg0("farrier")
        .arg(PROGRAM)
        .arg(&folder.0)
        .env_clear()
        .env(MARK, &*id)
        .stdin(report.for_child()?)
        .spawn()
        .map_err(Failure::doing("start the program"))?;
    // What the program writes to ends with the program.
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&nothing)?;
    nix::unistd::dup2_stderr(&nothing)?;
    Ok(program)
}

/// Passes signals on and reaps, until the program has ended.
fn stay(program: &Child, signals: &SigSet) -> u8 {
    let program = Pid::from_raw(i32::try_from(program.id()).unwrap_or_default());
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(program) {
                    return code;
                }
            }
            Ok(signal) => {
                let _ = kill(program, signal);
            }
            Err(_) => {}
        }
    }
}

/// Takes in who has ended; the program's exit code, once it is one of them.
fn reap(program: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        let (ended, with) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(ended, with)) => (ended, with),
            Ok(WaitStatus::Signaled(ended, signal, _)) => (ended, SIGNALLED + signal as i32),
            Ok(WaitStatus::StillAlive) => return code,
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return code.or(Some(KILLED)),
        };
        if ended == program {
            code = u8::try_from(with).ok();
        }
    }
}
