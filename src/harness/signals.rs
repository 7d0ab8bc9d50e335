//! Signals while the harness runs.
//!
//! The terminal signals the whole foreground process group, so its signals reach the harness by themselves. A signal
//! that somebody sends to farrier alone is forwarded. Who sent it tells the two apart.

use std::fs::File;
use std::io;

use rustix::process::{Pid, Signal, getpid, kill_process};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use signal_hook::consts::{SIGBUS, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP};
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::{Cause, Chld, Origin};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::system::ignored_signals::ignored_signals;
use crate::system::job_control::{self, numbered};

/// The highest signal number of Linux.
const HIGHEST: i32 = 64;
/// Signals that cannot be caught, and those by which the processor reports a fault of farrier's own.
const NOT_CAUGHT: [i32; 6] = [SIGKILL, SIGSTOP, SIGILL, SIGFPE, SIGSEGV, SIGBUS];

/// Every signal that farrier can catch, from its creation until it is dropped. Afterwards they are ignored.
#[derive(Debug)]
pub struct CaughtSignals {
    received: UnboundedReceiver<Origin>,
    handle: Handle,
}

impl CaughtSignals {
    /// Catches all signals. A signal that was ignored when farrier started stays ignored, for the harness too: that
    /// is what `nohup` asks for.
    ///
    /// # Errors
    /// If the system has no threads or files left.
    pub fn catch() -> io::Result<Self> {
        let ignored = ignored_signals();
        // Rust itself ignores SIGPIPE, so the mask says nothing about what the caller asked for.
        let is_ignored = |number: i32| number != SIGPIPE && ignored & (1 << (number - 1)) != 0;
        let caught = (1..=HIGHEST).filter(|number| {
            !NOT_CAUGHT.contains(number) && !is_ignored(*number) && signal_of(*number).is_some()
        });
        let mut source = SignalsInfo::<WithOrigin>::new(caught)?;
        let handle = source.handle();
        let (sender, received) = unbounded_channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            pass_on(&mut source, &sender);
            // Never closed: a handler that writes to a closed socket raises SIGPIPE, whose own handler writes there, too, and
            // raises it again, without end.
            std::mem::forget(source);
        })?;
        Ok(Self { received, handle })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Origin {
        match self.received.recv().await {
            Some(origin) => origin,
            None => std::future::pending().await,
        }
    }
}

impl Drop for CaughtSignals {
    fn drop(&mut self) {
        self.handle.close();
        // With its handler still in place, a write of farrier's to a terminal that it does not have would be tried
        // again for ever. Blocked, the signal lets the write pass.
        let writes = nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGTTOU);
        let _ = writes.thread_block();
    }
}

/// Passes signals on until they are closed, or until nobody receives them any more.
fn pass_on(source: &mut SignalsInfo<WithOrigin>, sender: &UnboundedSender<Origin>) {
    while !source.is_closed() {
        let mut batch: Vec<Origin> = source.wait().collect();
        // Signals of one batch have lost their order. Whoever stops and continues a job at once wants it to run.
        batch.sort_by_key(|origin| origin.signal == SIGCONT);
        for origin in batch {
            if sender.send(origin).is_err() {
                return;
            }
        }
    }
}

/// The signal of a number; `None` if there is none, or the C library keeps it for itself.
fn signal_of(number: i32) -> Option<Signal> {
    Signal::from_named_raw(number).or_else(|| real_time(number))
}

#[cfg(target_os = "linux")]
fn real_time(number: i32) -> Option<Signal> {
    rustix_libc_wrappers::process::SignalExt::from_raw(number)
}

/// Other systems have none.
#[cfg(not(target_os = "linux"))]
const fn real_time(_: i32) -> Option<Signal> {
    None
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// The kernel, mostly for the terminal.
    Kernel,
    /// farrier itself: a write to a closed pipe.
    Farrier,
    /// The harness or a descendant of it, mostly to its whole process group.
    Harness,
    /// Any other process.
    Other,
}

impl Sender {
    fn of(origin: &Origin, harness: Pid) -> Self {
        let Cause::Sent(_) = origin.cause else { return Self::Kernel };
        let process = origin.process.as_ref().and_then(|process| Pid::from_raw(process.pid));
        match process {
            Some(process) if process == getpid() => Self::Farrier,
            Some(process) if job_control::descends_from(process, harness) => Self::Harness,
            // A sender in another namespace of processes has no number here.
            _ => Self::Other,
        }
    }

    /// Whether the harness gets the signal from farrier, because nobody else sends it there.
    fn needs_forwarding(self, signal: i32, leads_session: bool) -> bool {
        match self {
            // When its terminal is gone, the kernel tells the leader of the session alone.
            Self::Kernel => leads_session && matches!(signal, SIGHUP | SIGCONT),
            Self::Farrier | Self::Harness => false,
            Self::Other => true,
        }
    }
}

/// The harness as a job: what becomes of each signal, and whether farrier stops with it.
#[derive(Debug)]
pub(super) struct Job {
    harness: Pid,
    leads_session: bool,
    /// Whether farrier was asked to stop since it last continued.
    is_asked_to_stop: bool,
    /// Whether farrier stopped, and no signal has said yet that it continues.
    has_stopped: bool,
}

impl Job {
    pub(super) fn new(harness: Pid) -> Self {
        let leads_session = job_control::leads_session();
        Self { harness, leads_session, is_asked_to_stop: false, has_stopped: false }
    }

    /// Does what a signal asks for.
    pub(super) fn take(&mut self, origin: &Origin) {
        let number = origin.signal;
        // Whoever continued the whole job has continued the harness too.
        let is_continued = number == SIGCONT && std::mem::take(&mut self.has_stopped) && !self.is_stopped();
        if !is_continued
            && Sender::of(origin, self.harness).needs_forwarding(number, self.leads_session)
            && let Some(signal) = signal_of(number)
        {
            // The harness may have ended just now; its status tells.
            let _ = kill_process(self.harness, signal);
        }
        match number {
            SIGTSTP | SIGTTIN | SIGTTOU => self.is_asked_to_stop = true,
            SIGCONT => self.is_asked_to_stop = false,
            _ => {}
        }
        self.stop_with_harness(matches!(origin.cause, Cause::Chld(Chld::Stopped)));
    }

    fn is_stopped(&self) -> bool {
        job_control::is_stopped(self.harness) == Some(true)
    }

    /// Stops farrier if the harness has stopped, so that the shell sees its job stopped; comes back when the shell
    /// continues it. A harness that was stopped without farrier, and not at the terminal, is somebody else's business.
    fn stop_with_harness(&mut self, has_just_stopped: bool) {
        if !(self.is_asked_to_stop || has_just_stopped) || !self.is_stopped() {
            return;
        }
        let terminal = Terminal::of(self.harness);
        if !(self.is_asked_to_stop || terminal.is_some()) || !job_control::can_be_continued() {
            return;
        }
        (self.is_asked_to_stop, self.has_stopped) = (false, true);
        let _ = kill_process(getpid(), Signal::STOP);
        if let Some(terminal) = terminal {
            terminal.give_back();
        }
    }
}

/// The terminal, while farrier or the harness is its foreground job.
struct Terminal {
    file: File,
    holder: Pid,
}

impl Terminal {
    fn of(harness: Pid) -> Option<Self> {
        let file = File::open("/dev/tty").ok()?;
        let holder = tcgetpgrp(&file).ok()?;
        let is_ours = [None, Some(harness)]
            .iter()
            .any(|process| job_control::group_of(*process) == Some(numbered(holder)));
        is_ours.then_some(Self { file, holder })
    }

    /// A shell gives the terminal to farrier's process group. A harness that made one of its own had it before.
    fn give_back(&self) {
        if job_control::has_terminal(&self.file) == Some(true)
            && job_control::group_of(None) != Some(numbered(self.holder))
        {
            let _ = tcsetpgrp(&self.file, self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGWINCH};

    use super::*;

    #[test]
    fn every_signal_that_can_be_caught_has_a_name_to_forward_it_by() {
        let named = (1..=HIGHEST).filter(|number| signal_of(*number).is_some()).count();
        // The C library keeps two or three for itself.
        assert!(cfg!(not(target_os = "linux")) || named >= 61, "{named}");
    }

    #[test]
    fn what_reaches_the_harness_by_itself_is_not_forwarded() {
        for (sender, signal, leads_session, expected) in [
            (Sender::Other, SIGUSR1, false, true),
            (Sender::Other, SIGINT, false, true),
            (Sender::Other, SIGTSTP, false, true),
            (Sender::Kernel, SIGINT, false, false),
            (Sender::Kernel, SIGWINCH, true, false),
            (Sender::Kernel, SIGHUP, false, false),
            (Sender::Kernel, SIGHUP, true, true),
            (Sender::Harness, SIGTERM, true, false),
            (Sender::Farrier, SIGPIPE, false, false),
        ] {
            let forwards = sender.needs_forwarding(signal, leads_session);
            assert_eq!(forwards, expected, "{sender:?} {signal} {leads_session}");
        }
    }
}
