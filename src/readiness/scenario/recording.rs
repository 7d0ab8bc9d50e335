//! A scenario made of what a probe did with a real server.

use std::time::Duration;

use crate::definition::grants::DialGrant;
use crate::definition::scenario::{Command, Dial, Expected, Health, Outcome, Poll, Scenario};
use crate::engine::dialler::DialError;
use crate::plan::instance::HealthStatus;
use crate::probe::guest::Verdict;
use crate::probe::randomness::{Randomness, Seeded};
use crate::readiness::dry_run::{Deed, brief};

/// A scenario while its polls are made.
#[derive(Debug)]
pub struct Recording {
    scenario: Scenario,
    /// How many lines of the log are recorded.
    lines: usize,
    health: Option<Health>,
}

impl Recording {
    /// A recording that begins with this, which has no polls yet.
    #[must_use]
    pub const fn new(scenario: Scenario) -> Self {
        Self { scenario, lines: 0, health: None }
    }

    /// The random numbers of a poll, counted from 1: those that it will have when it is played.
    #[must_use]
    pub const fn randomness(&self, attempt: u32) -> Randomness {
        Randomness::Seeded(Seeded::of_poll(self.scenario.seed, attempt))
    }

    /// Adds a poll that began so long after the beginning. The log is all that the container has written by then.
    pub fn add(
        &mut self,
        at: Duration,
        verdict: &Verdict,
        deeds: Vec<Deed>,
        commands: Vec<Command>,
        health: Option<Option<HealthStatus>>,
        log: &[String],
    ) {
        let now = health.map(recorded);
        let fresh = log.get(self.lines..).unwrap_or_default().to_vec();
        self.lines = self.lines.max(log.len());
        let dials = deeds.into_iter().map(|deed| self.dial(deed)).collect();
        let poll = Poll {
            at: Some(at),
            health: now.filter(|_| now != self.health),
            log: fresh,
            dials,
            commands,
            expected: expected(verdict),
            ..Poll::default()
        };
        self.health = now;
        match self.scenario.polls.last_mut() {
            Some(before) if is_alike(before, &poll) => {
                before.times += 1;
                let span = at.saturating_sub(before.at.unwrap_or_default());
                let every = span / (before.times - 1);
                before.every = Some(Duration::from_millis(every.as_millis().try_into().unwrap_or(u64::MAX)));
            }
            _ => self.scenario.polls.push(poll),
        }
    }

    /// The whole.
    #[must_use]
    pub fn finish(self) -> Scenario {
        self.scenario
    }

    fn dial(&self, deed: Deed) -> Dial {
        let Deed { place, took, error, steps, .. } = deed;
        let to = match place {
            place if place.host != self.scenario.sidecar => {
                DialGrant::Sidecar { name: place.host, port: place.port }
            }
            place if Some(place.port) == self.scenario.port => DialGrant::This(None),
            place => DialGrant::This(Some(place.port)),
        };
        let outcome = match error {
            None => Outcome::Connected(steps),
            Some(DialError::Refused) => Outcome::Refused,
            Some(DialError::TimedOut) => Outcome::TimedOut,
            Some(DialError::Other(reason)) => Outcome::Fails(reason),
        };
        let takes = if outcome == Outcome::TimedOut { Duration::ZERO } else { brief(took) };
        Dial { to, takes, outcome }
    }
}

/// Whether a poll repeats the one before: it did the same and saw the same, and nothing happened between them.
fn is_alike(before: &Poll, poll: &Poll) -> bool {
    poll.log.is_empty()
        && poll.health.is_none()
        && (&before.dials, &before.commands, &before.expected)
            == (&poll.dials, &poll.commands, &poll.expected)
}

const fn recorded(health: Option<HealthStatus>) -> Health {
    match health {
        None => Health::None,
        Some(HealthStatus::Starting) => Health::Starting,
        Some(HealthStatus::Healthy) => Health::Healthy,
        Some(HealthStatus::Unhealthy) => Health::Unhealthy,
    }
}

fn expected(verdict: &Verdict) -> Expected {
    match verdict {
        Verdict::Ready => Expected::Ready,
        Verdict::Pending { reason, retry_after, extend } => {
            Expected::Pending { reason: Some(reason.clone()), retry_after: *retry_after, extend: *extend }
        }
        Verdict::Failed(reason) => Expected::Failed(Some(reason.clone())),
        Verdict::Crashed(reason) => Expected::Crashed(Some(reason.clone())),
        Verdict::TimedOut => Expected::TimedOut,
    }
}
