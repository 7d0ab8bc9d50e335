//! Sessions and process groups: beginning a session, which group has the terminal, who sent a signal, and who could continue a
//! stopped job.

use std::os::fd::AsFd;

use nix::unistd;
use rustix::process::{Pid, getpid};
use rustix::termios::tcgetpgrp;

/// How many generations of processes are looked at: more than any real chain of shells has.
const MOST_GENERATIONS: usize = 64;

/// Whether this process's group has the terminal; `None` if the file is not its controlling terminal.
#[must_use]
pub fn has_terminal(terminal: impl AsFd) -> Option<bool> {
    tcgetpgrp(terminal).ok().map(|foreground| Some(numbered(foreground)) == group_of(None))
}

/// The process group of a process, or of this one. `None` if the process has ended.
///
/// A group that was made outside of this namespace of processes has no number here, and the first process of a system
/// may have none: the kernel says 0 for both. rustix holds that to be impossible (it panics, or worse); nix hands it on.
#[must_use]
pub fn group_of(process: Option<Pid>) -> Option<unistd::Pid> {
    unistd::getpgid(process.map(numbered)).ok()
}

/// The session of a process, or of this one; `None` and 0 as for [`group_of`]. Nobody in a namespace begins a session
/// without a number there, so two of them without one are in the same.
fn session_of(process: Option<Pid>) -> Option<unistd::Pid> {
    unistd::getsid(process.map(numbered)).ok()
}

/// Makes this process the leader of a session of its own, without a terminal; nothing if it leads a group already.
///
/// gVisor answers 0 instead of the session's number, at which rustix would panic.
pub fn begin_session() {
    let _ = unistd::setsid();
}

/// A process, group or session by its number, as nix has it.
#[must_use]
pub fn numbered(process: Pid) -> unistd::Pid {
    unistd::Pid::from_raw(process.as_raw_pid())
}

/// Whether this process leads its session: the kernel tells it alone that the terminal is gone.
#[must_use]
pub fn leads_session() -> bool {
    session_of(None) == Some(numbered(getpid()))
}

/// Whether a shell could continue this process's group after a stop: an ancestor in the same session but another
/// group. The kernel itself never stops a group without one.
#[must_use]
pub fn can_be_continued() -> bool {
    let (group, session) = (group_of(None), session_of(None));
    let outside = ancestors(getpid()).find(|ancestor| group_of(Some(*ancestor)) != group);
    outside.is_some_and(|shell| session.is_some() && session_of(Some(shell)) == session)
}

/// Whether the process is `ancestor` or one of its descendants. False if it has ended already.
#[must_use]
pub fn descends_from(process: Pid, ancestor: Pid) -> bool {
    process == ancestor || ancestors(process).any(|found| found == ancestor)
}

/// Whether the process is stopped; `None` if the system does not tell.
#[must_use]
pub fn is_stopped(process: Pid) -> Option<bool> {
    status(process).map(|(state, _)| state == 'T')
}

/// Whether the process has ended, waited for or not.
#[must_use]
pub fn has_ended(process: Pid) -> bool {
    status(process).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

fn ancestors(process: Pid) -> impl Iterator<Item = Pid> {
    let parent = |child: &Pid| status(*child).and_then(|(_, parent)| parent);
    std::iter::successors(parent(&process), parent).take(MOST_GENERATIONS)
}

/// The state and the parent of a process, as Linux tells them.
fn status(process: Pid) -> Option<(char, Option<Pid>)> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok().and_then(Pid::from_raw);
    Some((state, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_descends_from_its_parent_and_not_the_other_way_round() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let (process, own) = (Pid::from_child(&child), getpid());
        assert!(descends_from(process, own) && descends_from(process, process));
        assert!(!descends_from(own, process));
        assert!(!has_ended(process));
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        assert!(has_ended(process) && !descends_from(process, own));
    }
}
