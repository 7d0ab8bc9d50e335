//! A probe tried without an engine: what it is granted comes from options, and what it does is written down.

mod grant;
mod recorder;
mod stand_in;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use grant::{Address, Rehearsed, parse_address};
pub use recorder::{Deed, Recorder};

use super::host::{LoadedProbe, Verdict};
use super::interfaces::{Powers, Targets, types};
use crate::definition::Limits;
use crate::readiness::schedule::pause;

/// One try of a probe.
pub struct Rehearsal {
    /// The probe.
    pub probe: LoadedProbe,
    /// What stands for the sidecar.
    pub target: Address,
    /// What it may do.
    pub granted: Rehearsed,
    /// Its settings as JSON.
    pub settings: String,
    /// What one poll may use up.
    pub limits: Limits,
    /// How long it is polled; once where there is no time.
    pub timeout: Option<Duration>,
}

/// An answer that came once or several times in a row.
#[derive(Debug)]
pub struct Answer {
    /// The first poll that gave it, counted from 1.
    pub attempt: u32,
    /// How many polls in a row gave it.
    pub times: u32,
    /// When the first of them began, since the first poll.
    pub at: Duration,
    /// How long the first of them took.
    pub took: Duration,
    /// The answer.
    pub verdict: Verdict,
    /// What that poll did through its grants.
    pub deeds: Vec<Deed>,
    /// What it wrote to the trace.
    pub trace: Vec<String>,
}

impl Rehearsal {
    /// Polls once, or as a launch does until it is ready, failed, broken or out of time. `tell` gets each answer
    /// once the next differs from it.
    ///
    /// # Errors
    /// When the files that its grants name cannot be read.
    pub async fn run(&self, mut tell: impl FnMut(&Answer)) -> std::io::Result<Verdict> {
        let recorder = Recorder::default();
        let begun = Instant::now();
        let deadline = self.timeout.map(|timeout| begun + timeout);
        let mut last: Option<Answer> = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let powers = self.powers(&recorder).await?;
            let context = self.context(attempt, begun.elapsed(), left.unwrap_or(self.limits.poll));
            let asked = Instant::now();
            let polled = self.probe.poll(context, powers, self.limits).await;
            let took = asked.elapsed();
            let deeds = recorder.take();
            let (verdict, trace) = (polled.verdict, polled.trace);
            match &mut last {
                Some(answer) if answer.verdict == verdict => answer.times += 1,
                _ => {
                    let at = asked - begun;
                    let answer =
                        Answer { attempt, times: 1, at, took, verdict: verdict.clone(), deeds, trace };
                    if let Some(before) = last.replace(answer) {
                        tell(&before);
                    }
                }
            }
            // As in a launch: what is broken ends the wait, what is slow may become faster.
            let asked_for = match &verdict {
                Verdict::Pending { retry_after, .. } => *retry_after,
                _ => None,
            };
            let over = matches!(verdict, Verdict::Ready | Verdict::Failed(_) | Verdict::Crashed(_));
            let rest = pause(took, 1, false, asked_for);
            let late = deadline.is_none_or(|deadline| Instant::now() + rest >= deadline);
            if over || late {
                if let Some(answer) = &last {
                    tell(answer);
                }
                return Ok(verdict);
            }
            tokio::time::sleep(rest).await;
        }
    }

    fn context(&self, attempt: u32, elapsed: Duration, left: Duration) -> types::Context {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        types::Context {
            sidecar: self.target.host.clone(),
            host: self.target.host.clone(),
            port: Some(self.target.port),
            attempt,
            elapsed_ms: milliseconds(elapsed),
            remaining_ms: milliseconds(left),
            settings: self.settings.clone(),
        }
    }

    /// What one poll may do. Names are looked up each time: a server may move while it is watched.
    async fn powers(&self, recorder: &Recorder) -> std::io::Result<Powers> {
        let mut targets = Targets::default();
        for (name, address) in &self.granted.places {
            let found = address.resolve().await;
            recorder.name(found, name);
            targets.0.insert((name.host.clone(), name.port), found);
        }
        Ok(Powers {
            targets,
            dialler: Some(Arc::new(recorder.clone())),
            subject: stand_in::subject(&self.granted)?,
            commands: self.granted.commands.clone(),
            declared: self.granted.commands.first().cloned(),
            environment: self.granted.environment.clone(),
            ..Powers::default()
        })
    }
}
