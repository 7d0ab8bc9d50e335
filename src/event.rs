//! Everything that happens during a launch, as one stream of data. Producers know no terminal, sinks decide
//! nothing.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::elapsed::milliseconds;
use crate::engine::PullProgress;
use crate::error::Problem;
use crate::plan::SidecarPlan;
use crate::readiness::dossier::Dossier;

/// The version of the JSON form. Fields are only added within one version.
pub const SCHEMA: u32 = 1;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A problem was found; warnings let the launch go on.
    Problem(&'a Problem),
    /// Another launch holds a lock that this one waits for.
    WaitingForLaunch {
        /// Whose container is locked.
        sidecar: &'a str,
    },
    /// What will be done with a sidecar.
    Planned(&'a SidecarPlan),
    /// The network was made.
    NetworkCreated(&'a str),
    /// A pull began.
    Pulling {
        /// For which sidecar.
        sidecar: &'a str,
        /// What.
        image: &'a str,
    },
    /// A pull went on.
    PullProgress {
        /// For which sidecar.
        sidecar: &'a str,
        /// How far.
        progress: PullProgress,
    },
    /// A container was started or resumed.
    Started {
        /// Whose.
        sidecar: &'a str,
        /// Its id.
        container: &'a str,
    },
    /// A probe answered.
    Answered {
        /// Whose.
        sidecar: &'a str,
        /// Which probe.
        probe: &'a str,
        /// The how-manieth answer.
        attempt: u32,
        /// In words.
        answer: &'a str,
        /// How long the poll took.
        took: Duration,
        /// Whether it differs from the answer before.
        changed: bool,
    },
    /// A probe wrote to the trace.
    Traced {
        /// Whose.
        sidecar: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A sidecar is ready.
    Ready {
        /// Which.
        sidecar: &'a str,
        /// Since its start, or since the wait began for one that ran already.
        after: Duration,
        /// Polls it took, of all its probes.
        attempts: u32,
        /// Of several probes, the one that said ready last.
        last: Option<&'a str>,
    },
    /// A sidecar will not be ready.
    NotReady(&'a Dossier),
    /// The harness takes over.
    HarnessStarting,
}

impl Event<'_> {
    /// The stable name and the data.
    #[must_use]
    pub fn to_json(&self) -> (&'static str, Value) {
        match self {
            Self::Problem(problem) => ("problem", problem_json(problem)),
            Self::WaitingForLaunch { sidecar } => ("waiting-for-launch", json!({"sidecar": sidecar})),
            Self::Planned(plan) => (
                "planned",
                json!({
                    "sidecar": plan.name,
                    "action": plan.action.to_string(),
                    "causes": plan.causes.iter().map(ToString::to_string).collect::<Vec<_>>(),
                }),
            ),
            Self::NetworkCreated(name) => ("network-created", json!({"network": name})),
            Self::Pulling { sidecar, image } => ("pulling", json!({"sidecar": sidecar, "image": image})),
            Self::PullProgress { sidecar, progress } => (
                "pull-progress",
                json!({"sidecar": sidecar, "current": progress.current, "total": progress.total}),
            ),
            Self::Started { sidecar, container } => {
                ("started", json!({"sidecar": sidecar, "container": container}))
            }
            Self::Answered { sidecar, probe, attempt, answer, took, .. } => (
                "answered",
                json!({
                    "sidecar": sidecar, "probe": probe, "attempt": attempt, "answer": answer,
                    "took_ms": milliseconds(*took),
                }),
            ),
            Self::Traced { sidecar, line } => ("traced", json!({"sidecar": sidecar, "line": line})),
            Self::Ready { sidecar, after, attempts, last } => (
                "ready",
                json!({
                    "sidecar": sidecar, "after_ms": milliseconds(*after), "attempts": attempts,
                    "last_probe": last,
                }),
            ),
            Self::NotReady(dossier) => ("not-ready", dossier.to_json()),
            Self::HarnessStarting => ("harness-starting", json!({})),
        }
    }
}

/// A problem as data.
#[must_use]
pub fn problem_json(problem: &Problem) -> Value {
    let place = problem.place.as_ref().map(|place| {
        let position = place.line_column();
        json!({
            "file": place.source.path.display().to_string(),
            "line": position.map(|(line, _)| line),
            "column": position.map(|(_, column)| column),
        })
    });
    json!({
        "code": problem.code.as_str(),
        "severity": if problem.is_error() { "error" } else { "warning" },
        "message": problem.message,
        "hints": problem.hints,
        "sidecar": problem.sidecar,
        "place": place,
    })
}

/// Something that shows or writes events.
pub trait Sink: Send {
    /// Takes one event; `at` is the time since the launch began.
    fn event(&mut self, at: Duration, event: &Event<'_>);
}

/// Hands events to all sinks, in order.
pub struct Reporter {
    begun: Instant,
    sinks: Mutex<Vec<Box<dyn Sink>>>,
}

impl Reporter {
    /// Begins the clock.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self { begun: Instant::now(), sinks: Mutex::new(sinks) }
    }

    /// Tells all sinks.
    pub fn tell(&self, event: &Event<'_>) {
        let at = self.begun.elapsed();
        for sink in self.sinks.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            sink.event(at, event);
        }
    }
}
