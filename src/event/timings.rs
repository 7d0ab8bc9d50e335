//! Where a launch's start-up went: folded from events, pure.

use std::time::Duration;

use crate::definition::order::{After, Reached};
use crate::event::Event;
use crate::report::elapsed::human;

pub mod history;
pub mod page;
pub mod spans;
pub mod trace_events;

/// Distinct answers of one sidecar that are kept; more are counted.
const ANSWERS: usize = 50;

/// Where the time of a launch went, in its own terms. All moments are since farrier started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// When the engine answered.
    pub connected: Option<Duration>,
    /// When it was known what to do.
    pub planned: Option<Duration>,
    /// How long people thought about approvals.
    pub asked: Duration,
    /// When all were ready.
    pub all_ready: Option<Duration>,
    /// Each sidecar, in the order of names.
    pub sidecars: Vec<SidecarTimings>,
}

/// Where the time of one sidecar went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarTimings {
    /// Its name.
    pub name: String,
    /// Its container's name, by which earlier launches of the same definition are known.
    pub container: String,
    /// What was done with it.
    pub action: String,
    /// Whether it ends by itself.
    pub is_job: bool,
    /// What its probes answered, without repetitions.
    pub answers: Vec<Answer>,
    /// Distinct answers that are not kept.
    pub more_answers: usize,
    /// Why it did not become ready.
    pub failure: Option<String>,
    planned: Duration,
    /// What it comes after.
    after: Vec<After>,
    held: Option<Duration>,
    released: Option<Duration>,
    pull_began: Option<Duration>,
    pulled: Option<Duration>,
    created: Option<Duration>,
    started: Option<Duration>,
    waiting: Option<Duration>,
    ready: Option<Duration>,
    failed: Option<Duration>,
}

/// An answer of a probe that differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it came.
    pub at: Duration,
    /// The probe.
    pub probe: String,
    /// In words.
    pub text: String,
}

/// How long each part took; none where there was no such part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Waiting for others that it comes after.
    pub held: Option<Duration>,
    /// Pulling the image.
    pub pull: Option<Duration>,
    /// Making the container, the removal of an old one included.
    pub create: Option<Duration>,
    /// Joining further networks and starting it.
    pub start: Option<Duration>,
    /// From then on until every probe said ready.
    pub ready: Option<Duration>,
    /// All of it, without the wait for others.
    pub total: Option<Duration>,
}

impl Timings {
    /// Takes an event in.
    pub fn note(&mut self, at: Duration, event: &Event<'_>) {
        match event {
            Event::Connected => self.connected = Some(at),
            Event::Asked { took, .. } => self.asked += *took,
            Event::Planned(plan) => {
                self.planned = Some(at);
                self.sidecars.push(SidecarTimings {
                    name: plan.name().to_owned(),
                    container: plan.sidecar.container.clone(),
                    action: plan.action.to_string(),
                    planned: at,
                    is_job: plan.sidecar.definition.job().is_some(),
                    after: plan.sidecar.definition.after.clone(),
                    ..SidecarTimings::default()
                });
            }
            Event::Held { sidecar, .. } => self.mark(sidecar, |found| &mut found.held, at),
            Event::Released { sidecar } => self.mark(sidecar, |found| &mut found.released, at),
            Event::Pulling { sidecar, .. } => self.mark(sidecar, |found| &mut found.pull_began, at),
            Event::Pulled { sidecar, .. } => self.mark(sidecar, |found| &mut found.pulled, at),
            Event::Created { sidecar, .. } => self.mark(sidecar, |found| &mut found.created, at),
            Event::Started { sidecar, .. } => self.mark(sidecar, |found| &mut found.started, at),
            Event::Ready { sidecar, .. } | Event::Succeeded { sidecar, .. } => {
                self.mark(sidecar, |found| &mut found.ready, at);
            }
            Event::Waiting { sidecar, .. } => self.mark(sidecar, |found| &mut found.waiting, at),
            Event::Answered { sidecar, probe, answer, changed: true, .. } => {
                self.answered(sidecar, Answer { at, probe: (*probe).to_owned(), text: (*answer).to_owned() });
            }
            Event::NotReady(failure) => {
                self.mark(&failure.sidecar, |found| &mut found.failed, at);
                if let Some(found) = self.find(&failure.sidecar) {
                    found.failure = Some(failure.reason.clone());
                }
            }
            Event::AllReady => self.all_ready = Some(at),
            _ => {}
        }
    }

    fn mark(
        &mut self,
        name: &str,
        moment: impl Fn(&mut SidecarTimings) -> &mut Option<Duration>,
        at: Duration,
    ) {
        if let Some(found) = self.find(name) {
            *moment(found) = Some(at);
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut SidecarTimings> {
        self.sidecars.iter_mut().find(|sidecar| sidecar.name == name)
    }

    fn answered(&mut self, name: &str, answer: Answer) {
        let Some(found) = self.find(name) else { return };
        if found.answers.len() < ANSWERS {
            found.answers.push(answer);
        } else {
            found.more_answers += 1;
        }
    }

    /// What came before the first sidecar, in words.
    #[must_use]
    pub fn before_sidecars(&self) -> String {
        let planned = self.planned.unwrap_or_default();
        let connected = self.connected.unwrap_or_default();
        let looked = planned.saturating_sub(connected).saturating_sub(self.asked);
        let mut text = format!(
            "before the sidecars: {} for checks and connecting, {} for the engine's state",
            human(connected),
            human(looked)
        );
        if !self.asked.is_zero() {
            text.push_str(&format!(", {} for your answers", human(self.asked)));
        }
        text
    }

    /// The sidecar that was ready last: what would have to be faster for the launch to be.
    #[must_use]
    pub fn critical(&self) -> Option<&SidecarTimings> {
        self.sidecars.iter().filter(|sidecar| sidecar.ready.is_some()).max_by_key(|sidecar| sidecar.ready)
    }
}

impl Timings {
    /// The sidecars that decided how long the launch took, in the order of their starts: the one that was ready last, before
    /// it the one that released it last, and so on.
    #[must_use]
    pub fn critical_path(&self) -> Vec<&SidecarTimings> {
        let mut path = Vec::new();
        let mut next = self.critical();
        while let Some(found) = next {
            path.push(found);
            let before = found.after.iter().filter(|_| found.released.is_some());
            let before = before.filter_map(|after| {
                let other = self.sidecars.iter().find(|other| other.name == after.sidecar)?;
                Some((other.reached(after.until)?, other))
            });
            next = before.max_by_key(|(reached, _)| *reached).map(|(_, other)| other);
        }
        path.reverse();
        path
    }
}

impl SidecarTimings {
    fn reached(&self, until: Reached) -> Option<Duration> {
        match until {
            Reached::Started => self.started,
            Reached::Ready | Reached::Succeeded => self.ready,
        }
    }

    /// How long each part took.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let between = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        let begun = self.released.unwrap_or(self.planned);
        let made_from = self.pulled.max(Some(begun));
        let waited_from = self.started.or(Some(begun));
        Parts {
            held: between(self.held, self.released),
            pull: between(self.pull_began, self.pulled),
            create: between(made_from, self.created),
            start: between(self.created.or(Some(begun)), self.started),
            ready: between(waited_from, self.ready),
            total: between(Some(begun), self.ready),
        }
    }
}
