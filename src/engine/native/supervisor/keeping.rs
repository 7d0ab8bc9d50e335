//! The keeper of an instance that is started again when its program ends, by Docker's rules: a process that starts a supervisor
//! for each run. It is apart from them because a supervisor enters namespaces that it cannot leave.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::definition::RestartPolicy;
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::roles::SUPERVISE_RUN;
use crate::engine::native::state::RunState;
use crate::system::job_control::begin_session;
use crate::system::own_program::OWN_PROGRAM;

/// The first pause before a restart, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run that took so long begins the pauses again.
const LONG_RUN: Duration = Duration::from_secs(10);

impl RunState {
    /// Whether another run follows the one that has ended, as far as this policy tells.
    pub fn is_followed(&self, policy: &RestartPolicy) -> bool {
        let Some(end) = self.end.as_ref().filter(|_| !self.stopping) else { return false };
        match policy {
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => end.exit_code != 0 && (*most == 0 || self.restarts < *most),
        }
    }
}

/// Starts supervisors until no further run follows.
pub fn keep(folder: &InstanceFolder, policy: &RestartPolicy) -> io::Result<()> {
    // Neither a terminal nor who started this tells it to end.
    begin_session();
    std::env::set_current_dir("/")?;
    let mut run = Command::new(OWN_PROGRAM);
    run.arg0("farrier").arg(SUPERVISE_RUN).arg(&folder.0);
    let mut began = Instant::now();
    // The first one says itself how the start went.
    let mut supervisor = run.spawn()?;
    nix::unistd::dup2_stdout(io::stdin())?;
    run.stdout(Stdio::null());
    if !supervisor.wait()?.success() {
        return Ok(());
    }
    let (mut pause, mut restarts) = (FIRST_PAUSE, 0);
    while folder.state().is_some_and(|state| state.restarts == restarts && state.is_followed(policy)) {
        if began.elapsed() >= LONG_RUN {
            pause = FIRST_PAUSE;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        restarts += 1;
        began = Instant::now();
        // One that cannot start its program has written that down.
        run.spawn()?.wait()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::processes::Process;
    use crate::engine::native::state::End;

    #[test]
    fn runs_follow_as_docker_has_it() {
        use RestartPolicy::{Always, OnFailure, UnlessStopped};
        for (policy, exit_code, restarts, stopping, is_followed) in [
            (Always, 0, 9, false, true),
            (Always, 1, 9, true, false),
            (UnlessStopped, 0, 0, false, true),
            (OnFailure(0), 0, 0, false, false),
            (OnFailure(0), 1, 1000, false, true),
            (OnFailure(2), 1, 1, false, true),
            (OnFailure(2), 1, 2, false, false),
            (OnFailure(2), 1, 0, true, false),
        ] {
            let mut state = RunState {
                place: String::new(),
                supervisor: Process { id: 1, start: 1 },
                program: None,
                started_at: String::new(),
                stopping,
                end: None,
                restarts,
                keeper: None,
            };
            assert!(!state.is_followed(&policy), "it goes on");
            state.end = Some(End { exit_code, ..End::default() });
            assert_eq!(state.is_followed(&policy), is_followed, "{policy:?} {exit_code} {restarts}");
        }
    }
}
