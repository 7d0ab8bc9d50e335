//! Every process that came of a program: its group, and whatever left it. The supervisor is the parent of all that lost
//! theirs, so none is left once it has no child any more. Where the kernel does not make it their parent (early gVisor), those
//! are found by the mark that they were started with, and end with the program.

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::process::{Pid, Signal, child_subreaper, getpid, kill_process_group};

use crate::engine::native::processes::{Process, descendants, marked};
use crate::engine::native::specification::MARK;

/// What the exit code of a program is that a signal ended, without the signal's number.
const SIGNALLED: i64 = 128;

/// Any child, to the kernel.
const ANY: nix::unistd::Pid = nix::unistd::Pid::from_raw(-1);

/// The processes.
pub struct Family {
    /// The program itself, which leads its group.
    program: i32,
    /// How it ended.
    exit_code: Option<i64>,
    /// Who else has ended since somebody asked, and how.
    ended: Vec<(i32, i64)>,
}

impl Family {
    /// Of a program that was just started.
    pub const fn of(program: u32) -> Self {
        Self { program: program.cast_signed(), exit_code: None, ended: Vec::new() }
    }

    /// Whether the program itself has ended.
    pub const fn has_ended(&self) -> bool {
        self.exit_code.is_some()
    }

    /// The program's exit code; as if it was killed if it has none.
    pub fn exit_code(&self) -> i64 {
        self.exit_code.unwrap_or_else(|| signalled(Signal::KILL.as_raw()))
    }

    /// Takes in who has ended. Whether nobody is left.
    pub fn reap(&mut self) -> bool {
        loop {
            let (ended, exit_code) = match waitpid(ANY, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(ended, code)) => (ended, i64::from(code)),
                Ok(WaitStatus::Signaled(ended, signal, _)) => (ended, signalled(signal as i32)),
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return true,
            };
            if ended.as_raw() == self.program {
                self.exit_code = Some(exit_code);
            } else {
                self.ended.push((ended.as_raw(), exit_code));
            }
        }
    }

    /// Who else has ended since the last call, and how.
    pub fn take_ended(&mut self) -> Vec<(i32, i64)> {
        std::mem::take(&mut self.ended)
    }

    /// Asks the program's group to end.
    pub fn ask(&self, signal: Signal) {
        match Pid::from_raw(self.program).filter(|_| !self.has_ended()) {
            Some(group) => {
                let _ = kill_process_group(group, signal);
                // A stopped program would never hear it.
                let _ = kill_process_group(group, Signal::CONT);
            }
            None => Self::ask_others(signal),
        }
    }

    /// Asks those to end that outlived the program.
    pub fn ask_others(signal: Signal) {
        for process in others() {
            process.signal(signal);
            process.signal(Signal::CONT);
        }
    }

    /// Ends everybody.
    pub fn kill() {
        kill_all(others);
    }

    /// Ends those of this instance whom the kernel did not give to this process, when everybody else has ended.
    pub fn end_strays(instance: &str) {
        if !matches!(child_subreaper(), Ok(Some(_))) {
            kill_all(|| marked(MARK, instance));
        }
    }
}

/// They are stopped first, so that none that forks escapes between two looks.
fn kill_all(found: impl Fn() -> Vec<Process>) {
    for signal in [Signal::STOP, Signal::KILL] {
        for process in found() {
            process.signal(signal);
        }
    }
}

fn signalled(signal: i32) -> i64 {
    SIGNALLED + i64::from(signal)
}

fn others() -> Vec<Process> {
    descendants(getpid().as_raw_nonzero().get())
}
