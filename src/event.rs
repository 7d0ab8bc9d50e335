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
use crate::probe::usage::Usage;
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
    /// The user answered the approval question for a workspace sidecar.
    Asked {
        /// The sidecar.
        sidecar: &'a str,
        /// How long the answer took.
        took: Duration,
    },
    /// Another process holds the lock of a sidecar that this one waits for.
    WaitingForLaunch {
        /// The sidecar whose container is locked.
        sidecar: &'a str,
        /// The other process; `None` if it is unknown.
        holder: Option<&'a Holder>,
    },
    /// Another process is creating or removing the network that this one waits for.
    WaitingForNetwork {
        /// The network's name.
        network: &'a str,
        /// The other process; `None` if it is unknown.
        holder: Option<&'a Holder>,
    },
    /// The plan for a sidecar.
    Planned(&'a SidecarPlan),
    /// farrier created the network that the harness and the sidecars share.
    NetworkCreated(&'a str),
    /// A pull began.
    Pulling {
        /// The sidecar that needs the image.
        sidecar: &'a str,
        /// The image.
        image: &'a str,
    },
    /// A pull made progress.
    PullProgress {
        /// The sidecar that needs the image.
        sidecar: &'a str,
        /// The progress so far.
        progress: PullProgress,
    },
    /// A pull ended, and the image is present.
    Pulled {
        /// The sidecar that needs the image.
        sidecar: &'a str,
        /// The image.
        image: &'a str,
    },
    /// farrier asked the engine to stop a container that farrier is recreating or removing.
    Stopping {
        /// The container's sidecar.
        sidecar: &'a str,
        /// The container's ID.
        container: &'a str,
        /// How long the container may take to stop before the engine kills it.
        grace: Duration,
    },
    /// A sidecar that farrier is starting takes long to start.
    Delayed {
        /// The sidecar.
        sidecar: &'a str,
        /// What the start waits for, in words.
        reason: &'a str,
    },
    /// farrier created a container and gave it its name.
    Created {
        /// The container's sidecar.
        sidecar: &'a str,
        /// The container's ID.
        container: &'a str,
    },
    /// farrier started or resumed a container.
    Started {
        /// The container's sidecar.
        sidecar: &'a str,
        /// The container's ID.
        container: &'a str,
    },
    /// The wait for one readiness condition begins.
    Waiting {
        /// The sidecar.
        sidecar: &'a str,
        /// The probe that decides.
        probe: &'a str,
        /// The condition, in words.
        until: &'a Until,
        /// The timeout.
        timeout: Duration,
    },
    /// A probe answered.
    Answered {
        /// The sidecar.
        sidecar: &'a str,
        /// The probe.
        probe: &'a str,
        /// The number of the answer.
        attempt: u32,
        /// The answer, in words.
        answer: &'a str,
        /// How long the poll took.
        took: Duration,
        /// Whether the answer differs from the one before.
        changed: bool,
    },
    /// A wait ended: what the sidecar's probes used of their grants meanwhile.
    Used {
        /// The sidecar.
        sidecar: &'a str,
        /// Each probe that used something.
        probes: &'a [(String, Usage)],
    },
    /// A probe wrote to the trace.
    Traced {
        /// The sidecar.
        sidecar: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A sidecar is ready.
    Ready {
        /// The sidecar.
        sidecar: &'a str,
        /// The time since the container's start, or since the wait began if the container was already running.
        after: Duration,
        /// The number of polls by all its probes.
        attempts: u32,
        /// If the sidecar has several probes, the last one to report ready.
        last: Option<&'a str>,
    },
    /// A job succeeded.
    Succeeded {
        /// The job.
        sidecar: &'a str,
        /// The time since its start, or since the wait began if it was already running; `None` if it had succeeded before this
        /// launch.
        after: Option<Duration>,
    },
    /// A sidecar is not started yet, because it comes after others.
    Held {
        /// The sidecar.
        sidecar: &'a str,
        /// The names of those that it waits for.
        after: &'a [String],
    },
    /// All that a sidecar comes after is as far as it has to be.
    Released {
        /// The sidecar.
        sidecar: &'a str,
    },
    /// farrier waits again for a sidecar that was ready, because its container restarted before all others were ready.
    NoLongerReady {
        /// The sidecar.
        sidecar: &'a str,
    },
    /// A sidecar did not become ready.
    NotReady(&'a FailureReport),
    /// Every sidecar is ready.
    AllReady,
    /// Where a sidecar is reached, once all are ready and no harness starts.
    Reachable {
        /// The sidecar.
        sidecar: &'a str,
        /// Its address with each of its ports, and its ports on the engine's host; empty if it has none.
        addresses: &'a [String],
    },
    /// The harness starts.
    HarnessStarting,
    /// A sidecar ended while the harness was running; reported again if it is running again when the harness has ended.
    SidecarEnded(&'a SidecarEnd),
    /// The harness has ended.
    HarnessEnded {
        /// Its exit code, which is farrier's too, unless a sidecar's end ended it.
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
            Progress::Delayed { sidecar, reason } => Self::Delayed { sidecar, reason },
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
