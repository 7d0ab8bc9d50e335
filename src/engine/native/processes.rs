//! Processes by more than their numbers, which the kernel uses again: a process is meant only if it also started at the
//! same moment, in the same boot and the same namespace of processes.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Interval, MissedTickBehavior};

/// Lets a file be waited for until something can be read from it.
#[expect(
    deprecated,
    reason = "unsound for a type whose descriptor may change or close; its successor is unsafe code"
)]
pub fn awaited(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(file, Interest::READABLE)
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub id: i32,
    /// When it started, in the kernel's ticks since the boot.
    pub start: u64,
}

/// What `/proc` tells of a process.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether it has ended, and only its number is left.
    pub has_ended: bool,
    /// Its parent's number.
    pub parent: i32,
    /// When it started.
    pub start: u64,
}

/// A boot of this machine and a namespace of processes; empty if the system does not tell.
pub fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok().filter(|link| is_a_namespace(link));
    let namespace = namespace.unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// Whether Linux numbered the namespace (`PROC_IPC_INIT_INO` is its least number). Early gVisor gives a namespace
/// another, small number whenever a process looks.
fn is_a_namespace(link: &Path) -> bool {
    let number = link.to_str().and_then(|link| link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok());
    number.is_some_and(|number: u64| number >= 0xEFFF_FFF8)
}

/// What `/proc` tells of the process with this number.
pub fn facts(id: i32) -> Option<Facts> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let state = fields.first()?;
    let parent = i32::try_from(number(1)?).ok()?;
    Some(Facts { has_ended: matches!(*state, "Z" | "X"), parent, start: number(19)? })
}

/// The numbers of all processes that this one sees.
pub fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes that descend from the one with this number, which is none of them.
pub fn descendants(ancestor: i32) -> Vec<Process> {
    let known: Vec<(Process, i32)> = all().into_iter().filter_map(with_parent).collect();
    let mut found = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        let children = known.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child);
        for child in children {
            parents.push(child.id);
            found.push(child);
        }
    }
    found
}

fn with_parent(id: i32) -> Option<(Process, i32)> {
    let found = facts(id).filter(|found| !found.has_ended)?;
    Some((Process { id, start: found.start }, found.parent))
}

/// The processes that this user sees with this variable in the environment that they were started with.
pub fn marked(name: &str, value: &str) -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let others = all().into_iter().filter(|id| *id != own).filter_map(with_parent);
    others.map(|(process, _)| process).filter(|process| has_mark(process.id, name, value)).collect()
}

/// Whether the process with this number was started with this variable in its environment, as far as this user may see it.
pub fn has_mark(id: i32, name: &str, value: &str) -> bool {
    let mark = format!("{name}={value}");
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

/// A hold on the process with this number, which never means another one.
fn held(id: i32) -> Result<OwnedFd, Errno> {
    pidfd_open(Pid::from_raw(id).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

impl Process {
    /// The process with this number.
    pub fn of(id: u32) -> Option<Self> {
        let id = i32::try_from(id).ok()?;
        Some(Self { id, start: facts(id)?.start })
    }

    /// A hold on it; `None` if it has ended, or is out of sight, or if the kernel gives no holds.
    pub fn hold(self) -> Option<OwnedFd> {
        let hold = held(self.id).ok()?;
        self.is_listed().then_some(hold)
    }

    /// Its end, to be waited for; `None` if it has ended, or is out of sight. Within a tokio runtime.
    pub fn ending(self) -> Option<Ending> {
        let watched = match held(self.id) {
            Ok(hold) => Watched::Held(awaited(hold).ok()?),
            Err(Errno::NOSYS) => {
                let mut looks = tokio::time::interval(BETWEEN_LOOKS);
                looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Watched::Asked(self, looks)
            }
            Err(_) => return None,
        };
        self.is_listed().then_some(Ending(watched))
    }

    /// Whether `/proc` lists it as one that has not ended.
    pub fn is_listed(self) -> bool {
        facts(self.id).is_some_and(|found| found.start == self.start && !found.has_ended)
    }

    /// Sends it a signal. False if it has ended.
    pub fn signal(self, signal: Signal) -> bool {
        match held(self.id) {
            Ok(hold) => self.is_listed() && pidfd_send_signal(hold, signal).is_ok(),
            // Only a number that the kernel gives to another process between the two calls would mean that process.
            Err(Errno::NOSYS) => {
                let id = Pid::from_raw(self.id).filter(|_| self.is_listed());
                id.is_some_and(|id| kill_process(id, signal).is_ok())
            }
            Err(_) => false,
        }
    }
}

/// The end of a process.
#[derive(Debug)]
pub struct Ending(Watched);

#[derive(Debug)]
enum Watched {
    /// The kernel tells.
    Held(AsyncFd<OwnedFd>),
    /// gVisor gives no hold on a process, so `/proc` is asked again and again.
    Asked(Process, Interval),
}

/// The time between two looks into `/proc`: short beside what the end of a container takes, and a look takes some microseconds.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

impl Ending {
    /// Ready once it has ended.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Watched::Held(hold) => hold.poll_read_ready(context).map(drop),
            Watched::Asked(process, looks) => loop {
                std::task::ready!(looks.poll_tick(context));
                if !process.is_listed() {
                    return Poll::Ready(());
                }
            },
        }
    }

    /// Waits for it.
    pub async fn wait(mut self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::engine::native::container::seccomp::{apply, filter_without};

    #[test]
    fn a_process_is_known_by_its_start_and_its_mark() {
        let mut child =
            Command::new("sleep").arg("60").env("FARRIER_TEST_MARK", "one").spawn().expect("sleep starts");
        let process = Process::of(child.id()).expect("it runs");
        assert!(process.hold().is_some());
        let other = Process { start: process.start + 1, ..process };
        assert!(other.hold().is_none() && !other.signal(Signal::KILL));
        let own = i32::try_from(std::process::id()).expect("a number");
        assert!(descendants(own).contains(&process) && descendants(process.id).is_empty());
        // Between fork and exec it has the environment of this process.
        while !marked("FARRIER_TEST_MARK", "one").contains(&process) {
            std::thread::yield_now();
        }
        assert!(!marked("FARRIER_TEST_MARK", "two").contains(&process));
        assert!(process.signal(Signal::KILL));
        child.wait().expect("it ended");
        assert!(process.hold().is_none());
    }

    #[test]
    fn a_namespace_is_what_linux_numbers() {
        assert!(place().contains("pid:["), "{}", place());
        for (link, is_one) in
            [("pid:[4026531836]", true), ("pid:[4026532210]", true), ("pid:[111]", false), ("", false)]
        {
            assert_eq!(is_a_namespace(Path::new(link)), is_one, "{link}");
        }
    }

    /// In gVisor, the call is absent.
    #[test]
    fn a_process_is_signalled_and_waited_for_without_holds() {
        let without_holds = std::thread::spawn(|| {
            let filter = filter_without(libc::SYS_pidfd_open, Errno::NOSYS).expect("a filter");
            apply(&filter).expect("it is in force");
            let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
            let process = Process::of(child.id()).expect("it runs");
            let other = Process { start: process.start + 1, ..process };
            assert!(process.hold().is_none());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                assert!(other.ending().is_none() && !other.signal(Signal::KILL));
                let ending = process.ending().expect("it runs");
                assert!(process.signal(Signal::KILL));
                ending.wait().await;
                assert!(process.ending().is_none() && !process.signal(Signal::KILL));
            });
            child.wait().expect("it ended");
        });
        without_holds.join().expect("no assertion failed");
    }
}
