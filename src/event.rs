//! Everything that happens during a launch, as one stream of data. Producers know no terminal, sinks decide
//! nothing. Problems, which other commands have too, are in `report`.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::record::ProblemRecord;
use crate::engine::{Progress, PullProgress};
use crate::event::failure::evidence::FailureReport;
use crate::event::failure::sidecar_end::SidecarEnd;
use crate::event::failure::until::Until;
use crate::plan::SidecarPlan;
use crate::report::error::Problem;
use crate::system::lock::Holder;

pub mod failure;
pub mod record;
pub mod sinks;
pub mod timings;

/// The version of the JSON form. Fields are only added within one version.
pub const SCHEMA: u32 = 1;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A problem was found; warnings let the launch go on.
    Problem(&'a Problem),
    /// The engine answered.
    Connected,
    /// Somebody was asked about a sidecar of the workspace, and answered.
    Asked {
        /// Which sidecar.
        sidecar: &'a str,
        /// How long the answer took.
        took: Duration,
    },
    /// Another process holds the lock of a sidecar that this one waits for.
    WaitingForLaunch {
        /// Whose container is locked.
        sidecar: &'a str,
        /// The other process; `None` if it is unknown.
        holder: Option<&'a Holder>,
    },
    /// Another process creates or removes the network that this one waits for.
    WaitingForNetwork {
        /// The network's name.
        network: &'a str,
        /// The other process; `None` if it is unknown.
        holder: Option<&'a Holder>,
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
    /// A pull ended, and the image is there.
    Pulled {
        /// For which sidecar.
        sidecar: &'a str,
        /// What.
        image: &'a str,
    },
    /// A container that is recreated was asked to end.
    Stopping {
        /// Whose.
        sidecar: &'a str,
        /// Its id.
        container: &'a str,
        /// How long it may take before it is killed.
        grace: Duration,
    },
    /// A container was made, and has its name.
    Created {
        /// Whose.
        sidecar: &'a str,
        /// Its id.
        container: &'a str,
    },
    /// A container was started or resumed.
    Started {
        /// Whose.
        sidecar: &'a str,
        /// Its id.
        container: &'a str,
    },
    /// The wait for one readiness condition begins.
    Waiting {
        /// Whose.
        sidecar: &'a str,
        /// Which probe decides.
        probe: &'a str,
        /// What it waits for, in words.
        until: &'a Until,
        /// How long it may take.
        timeout: Duration,
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
    /// A sidecar that was ready is waited for again: its container restarted before all others were ready.
    NoLongerReady {
        /// Which.
        sidecar: &'a str,
    },
    /// A sidecar will not be ready.
    NotReady(&'a FailureReport),
    /// Every sidecar is ready.
    AllReady,
    /// The harness takes over.
    HarnessStarting,
    /// A sidecar ended while the harness ran; told again if it runs again when the harness has ended.
    SidecarEnded(&'a SidecarEnd),
    /// The harness has ended.
    HarnessEnded {
        /// Its exit code, which is farrier's too.
        exit_code: u8,
    },
}

impl<'a> From<Progress<'a>> for Event<'a> {
    fn from(progress: Progress<'a>) -> Self {
        match progress {
            Progress::NetworkCreated(name) => Self::NetworkCreated(name),
            Progress::Pulling { sidecar, image } => Self::Pulling { sidecar, image },
            Progress::PullProgress { sidecar, progress } => Self::PullProgress { sidecar, progress },
            Progress::Pulled { sidecar, image } => Self::Pulled { sidecar, image },
            Progress::Stopping { sidecar, instance, grace } => {
                Self::Stopping { sidecar, container: instance, grace }
            }
            Progress::Created { sidecar, instance } => Self::Created { sidecar, container: instance },
            Progress::Started { sidecar, instance } => Self::Started { sidecar, container: instance },
        }
    }
}

/// A problem as data.
#[must_use]
pub fn problem_json(problem: &Problem) -> Value {
    serde_json::to_value(ProblemRecord::from(problem)).unwrap_or_default()
}

/// Something that shows or writes events.
pub trait Sink: Send {
    /// Takes one event; `at` is the time since the launch began.
    fn event(&mut self, at: Duration, event: &Event<'_>);

    /// That it can take no more, once; the other sinks tell it.
    fn lost(&mut self) -> Option<Problem> {
        None
    }
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
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.iter_mut().for_each(|sink| sink.event(at, event));
        let lost: Vec<Problem> = sinks.iter_mut().filter_map(|sink| sink.lost()).collect();
        for problem in &lost {
            sinks.iter_mut().for_each(|sink| sink.event(at, &Event::Problem(problem)));
        }
    }
}
