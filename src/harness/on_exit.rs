//! What is done about a sidecar that ends while the harness runs, if its definition says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::definition::order::OnExit;
use crate::event::failure::sidecar_end::SidecarEnd;
use crate::plan::instance::Instance;
use crate::report::error::{Code, Failure, Problem};
use crate::report::{elapsed, exit};

/// How long a harness that is asked to end may take before it is killed: as long as Docker gives a container.
pub const GRACE: Duration = Duration::from_secs(10);
/// The pause before a sidecar is started again for the first time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: each is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Starts sidecars again.
#[async_trait]
pub trait Restarts: Send + Sync {
    /// Starts a sidecar that has ended as it is declared, and returns its new instance.
    ///
    /// # Errors
    /// If it cannot be started.
    async fn restart(&self, sidecar: &str) -> Result<Instance, Problem>;
}

/// Asks the harness to end, because of a sidecar that ended.
#[derive(Debug, Default)]
pub struct HarnessStop {
    asked: CancellationToken,
    end: Mutex<Option<(SidecarEnd, String)>>,
    was_killed: AtomicBool,
}

impl HarnessStop {
    /// Asks for it; the first end counts.
    pub fn ask(&self, end: &SidecarEnd, whole_log: &str) {
        let asked = || (end.clone(), whole_log.to_owned());
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(asked);
        self.asked.cancel();
    }

    /// Waits until somebody asks for it.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Notes that the harness did not end by itself, and is killed.
    pub fn note_killed(&self) {
        self.was_killed.store(true, Ordering::Relaxed);
    }

    /// Why the harness was asked to end; `None` if it was not.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let (end, whole_log) = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let mut message = format!("farrier ended the harness, because {}", end.sentence());
        if self.was_killed.load(Ordering::Relaxed) {
            let grace = elapsed::limit(GRACE);
            message.push_str(&format!(
                "; the harness had not ended {grace} after SIGTERM, so farrier killed it"
            ));
        }
        let problem =
            Problem::error(Code::SidecarEnded, message).of(end.sidecar.clone()).hint(whole_log).hint(
                "If the harness can go on without it, write `on_exit = \"warn\"` or `on_exit = \"restart\"`.",
            );
        Some(Failure { exit: exit::REFUSED, problems: vec![problem] })
    }
}

/// What is done about the end of a sidecar.
#[derive(Clone, Debug, Default)]
pub struct ExitAction {
    /// What its definition says.
    pub on_exit: OnExit,
    /// How to read everything that it wrote, in one sentence.
    pub whole_log: String,
}

/// What is done about the ends of sidecars, by their names.
#[derive(Clone)]
pub struct ExitActions {
    /// What their definitions say.
    pub of: BTreeMap<String, ExitAction>,
    /// Ends the harness.
    pub stop: Arc<HarnessStop>,
    /// Starts sidecars again.
    pub restarts: Arc<dyn Restarts>,
}

impl ExitActions {
    /// What is done about the end of a sidecar.
    #[must_use]
    pub fn about(&self, sidecar: &str) -> ExitAction {
        self.of.get(sidecar).cloned().unwrap_or_default()
    }

    /// Starts a sidecar again that has ended so many times before, however often that has to be tried: there is nobody to be
    /// told of a failure before the harness has ended.
    pub async fn restart(&self, sidecar: &str, ends: u32) -> Instance {
        let mut tries = ends;
        loop {
            tokio::time::sleep(pause(tries)).await;
            match self.restarts.restart(sidecar).await {
                Ok(instance) => return instance,
                Err(problem) => tracing::debug!("{sidecar} cannot be started again: {problem}"),
            }
            tries = tries.saturating_add(1);
        }
    }
}

fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let milliseconds = |tries| pause(tries).as_millis();
        assert_eq!(
            [0, 1, 2, 9, 10, 40, u32::MAX].map(milliseconds),
            [100, 200, 400, 51_200, 60_000, 60_000, 60_000]
        );
    }

    #[test]
    fn the_first_end_is_the_reason() {
        let stop = HarnessStop::default();
        assert!(stop.failure().is_none());
        let end = |sidecar: &str| SidecarEnd {
            sidecar: sidecar.to_owned(),
            container: format!("farrier-{sidecar}"),
            exit_code: Some(3),
            signal: None,
            runs_again: false,
            by_farrier: false,
            cause: None,
            log: vec!["last words".to_owned()],
        };
        stop.ask(&end("db"), "Read it.");
        stop.ask(&end("cache"), "Read that.");
        let failure = stop.failure().expect("a reason");
        assert_eq!(failure.exit, 125);
        assert_eq!(
            failure.problems[0].message,
            "farrier ended the harness, because db ended while the harness ran (exit code 3); last log line: last words"
        );
        assert_eq!(failure.problems[0].hints[0], "Read it.");
        stop.note_killed();
        let message = &stop.failure().expect("a reason").problems[0].message;
        assert!(
            message.ends_with("; the harness had not ended 10s after SIGTERM, so farrier killed it"),
            "{message}"
        );
    }
}
