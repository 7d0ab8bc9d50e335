//! The wait for a job: until its instance has ended, with 0 or not.

use std::time::Instant;

use super::super::look::{Ended, ended, find_with_cause};
use super::{ENGINE_PAUSE, Wait};
use crate::engine::EngineResult;
use crate::event::Event;
use crate::event::failure::evidence::FailureReport;
use crate::event::failure::phase::Phase;
use crate::plan::instance::{Instance, Status};
use crate::report::elapsed::limit;
use crate::report::error::Code;

impl Wait<'_> {
    /// Waits until the job has succeeded, and returns its instance. `known` is its instance if the launch has just inspected
    /// it.
    ///
    /// # Errors
    /// The evidence, if it fails, or does not end in time.
    pub async fn until_succeeded(&self, known: Option<Instance>) -> Result<Instance, Box<FailureReport>> {
        let had_before = known.as_ref().is_some_and(|known| known.status == Status::Exited);
        match self.run_to_end(known).await {
            Ok(instance) => {
                self.shared.phases.note(self.sidecar.name(), Phase::Ready);
                let after = (!had_before).then(|| self.begun.elapsed());
                self.shared.reporter.tell(&Event::Succeeded { sidecar: self.sidecar.name(), after });
                Ok(instance)
            }
            Err(ended) => Err(self.failed(ended).await),
        }
    }

    async fn run_to_end(&self, mut known: Option<Instance>) -> Result<Instance, Ended> {
        let shared = self.shared;
        let (timeout, mut woken) = (self.sidecar.definition.job_timeout, None);
        let deadline = self.begun + timeout;
        loop {
            let found = match known.take() {
                Some(instance) => Ok(Some(instance)),
                None => find_with_cause(shared.engine.as_ref(), &shared.watch, &self.sidecar.container).await,
            };
            if found.is_err() && Instant::now() < deadline {
                tokio::time::sleep(ENGINE_PAUSE).await;
                continue;
            }
            let running = match self.judge_job(found)? {
                Ran::ToItsEnd(instance) => return Ok(instance),
                Ran::NotYet(instance) => instance,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ended(Code::NotReady, format!("it did not end within {}", limit(timeout))));
            }
            let Some(woken) = &woken else {
                // It may have ended before anybody was to be woken.
                shared.watch.want();
                woken = Some(shared.watch.subscribe(&running.id));
                continue;
            };
            let _ = tokio::time::timeout(shared.safety_look().min(left), woken.notified()).await;
        }
    }

    fn judge_job(&self, found: EngineResult<Option<Instance>>) -> Result<Ran, Ended> {
        let instance = match found {
            Ok(Some(instance)) => instance,
            Ok(None) => {
                let ended = ended(Code::SidecarExited, "its container was removed before it ended");
                return Err(Ended { is_gone: true, ..ended });
            }
            Err(error) => return Err(ended(Code::EngineFailed, format!("the engine failed: {error}"))),
        };
        if !instance.is_of(self.sidecar) {
            return Err(ended(Code::SidecarExited, "its container was replaced by another one"));
        }
        let code = instance.exit_code;
        match instance.status {
            Status::Starting | Status::Running | Status::Restarting => Ok(Ran::NotYet(instance)),
            Status::Paused => Err(ended(Code::SidecarExited, "its container was paused")),
            Status::Exited if code == 0 => Ok(Ran::ToItsEnd(instance)),
            _ if instance.oom_killed => {
                let limit = instance.memory >> 20;
                let reason = format!("it was killed because it ran out of memory (limit {limit} MiB)");
                Err(ended(Code::JobFailed, reason))
            }
            _ if self.shared.watch.was_killed(&instance.id) => {
                Err(ended(Code::JobFailed, format!("somebody stopped it; it exited with code {code}")))
            }
            _ => Err(ended(Code::JobFailed, format!("it exited with code {code}"))),
        }
    }
}

/// How far a job is.
enum Ran {
    ToItsEnd(Instance),
    NotYet(Instance),
}
