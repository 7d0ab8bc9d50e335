//! Ending an instance: its supervisor is asked, and ends all that came of the program. If the supervisor is gone, or does not
//! do it, the processes are found by the mark that they were started with.

use std::fs::File;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::Instant;

use super::processes::{Ending, marked, place};
use super::specification::MARK;
use super::state::RunState;
use super::store::{Store, Stored, refused};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

/// How much longer than the grace period a supervisor may take.
const MARGIN: Duration = Duration::from_secs(10);
/// How long processes may take that were killed.
const KILLED: Duration = Duration::from_secs(10);
/// How long the end of those that one look found is waited for: meanwhile, one that was not found may have forked.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pauses between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// An instance of which nothing runs, and nothing begins to run as long as this is held: its lock, unless its folder is gone.
pub struct Ended {
    _lock: Option<File>,
}

/// Ends an instance's run, whatever its state.
pub async fn stop(store: &Store, stored: &Stored) -> EngineResult<Ended> {
    let name = &stored.specification.name;
    let folder = store.instance(&stored.id);
    let Ok(lock) = folder.lock_file() else { return Ok(Ended { _lock: None }) };
    let mut is_asked = false;
    let mut pause = Pause::default();
    while lock.try_lock().is_err() {
        match folder.state() {
            Some(state) if state.place != place() => return Err(elsewhere(name)),
            Some(state) if !is_asked => {
                is_asked = true;
                ask(&state, stored.specification.grace).await;
                pause = Pause::default();
            }
            // One that is about to begin, or somebody else who looks.
            _ => pause.take(name).await?,
        }
    }
    if let Some(state) = folder.state().filter(|state| state.keeper.is_some() && state.end.is_some()) {
        // It may be between two runs.
        let _ = folder.write_state(&RunState { stopping: true, ..state });
    }
    if let Some(state) = folder.state()
        && state.end.is_none()
        && state.place == place()
    {
        end_strays(&stored.id, name).await?;
    }
    Ok(Ended { _lock: Some(lock) })
}

/// Asks a supervisor to end its program, and ends the supervisor itself if it takes too long.
async fn ask(state: &RunState, grace: Duration) {
    let supervisor = state.supervisor;
    let Some(ending) = supervisor.ending() else { return };
    supervisor.signal(Signal::TERM);
    // A stopped supervisor would never hear it.
    supervisor.signal(Signal::CONT);
    if tokio::time::timeout(grace + MARGIN, ending.wait()).await.is_err() {
        supervisor.signal(Signal::KILL);
    }
}

/// Ends the processes of an instance whose supervisor was killed. They are stopped first, so that none that forks escapes
/// between two looks.
async fn end_strays(id: &str, name: &str) -> EngineResult<()> {
    let mut pause = Pause::default();
    loop {
        let strays = marked(MARK, id);
        if strays.is_empty() {
            return Ok(());
        }
        // A process that ends loses its mark before it closes its sockets, so its end is waited for, and not that it is found no
        // more.
        let endings: Vec<_> = strays.iter().filter_map(|stray| stray.ending()).collect();
        for signal in [Signal::STOP, Signal::KILL] {
            for stray in &strays {
                stray.signal(signal);
            }
        }
        let _ = tokio::time::timeout(PATIENCE, join_all(endings.into_iter().map(Ending::wait))).await;
        pause.take(name).await?;
    }
}

/// Pauses that grow, and have an end.
struct Pause {
    next: Duration,
    until: Instant,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST_PAUSE, until: Instant::now() + KILLED }
    }
}

impl Pause {
    async fn take(&mut self, name: &str) -> EngineResult<()> {
        if Instant::now() >= self.until {
            let message = format!("processes of `{name}` do not end");
            return Err(EngineError::new(EngineErrorKind::TimedOut, message));
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

fn elsewhere(name: &str) -> EngineError {
    let mut error = refused(format!("`{name}` runs in another PID namespace or on another machine"));
    error.hints.push("Remove it where it was started, with `farrier down`.");
    error
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::engine::native::processes::facts;

    #[tokio::test]
    async fn strays_have_ended_and_are_not_only_out_of_sight() {
        // The kernel takes a while to free this memory, and no file is closed before that.
        let mut child = Command::new("dd")
            .args(["if=/dev/zero", "of=/dev/null", "bs=512M"])
            .env(MARK, "a-stray-of-this-test")
            .stderr(Stdio::null())
            .spawn()
            .expect("dd is there");
        let id = i32::try_from(child.id()).expect("a number");
        let resident_kib = || {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse().unwrap_or(0_u64)
        };
        while resident_kib() < 400 << 10 {
            tokio::task::yield_now().await;
        }
        end_strays("a-stray-of-this-test", "stray").await.expect("it ends");
        assert!(facts(id).is_none_or(|found| found.has_ended), "it goes on");
        child.wait().expect("a child");
    }
}
