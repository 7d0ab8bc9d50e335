//! A scenario made of what a probe did with a real server.

use std::time::Duration;

use crate::definition::grants::DialGrant;
use crate::definition::scenario::{
    Command, CommandEnd, Dial, Expected, Health, MOST_BYTES, MOST_POLLS, Outcome, Pattern, Poll, Scenario,
    Step,
};
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
    polls: u64,
    /// How much what was recorded is at least, in bytes of the file.
    bytes: usize,
    /// Whether something is missing, because a scenario has no room for it.
    is_cut: bool,
}

impl Recording {
    /// A recording that begins with this, which has no polls yet.
    #[must_use]
    pub const fn new(scenario: Scenario) -> Self {
        Self { scenario, lines: 0, health: None, polls: 0, bytes: 0, is_cut: false }
    }

    /// The random numbers of a poll, counted from 1: those that it will have when it is played.
    #[must_use]
    pub const fn randomness(&self, attempt: u32) -> Randomness {
        Randomness::Seeded(Seeded::of_poll(self.scenario.seed, attempt))
    }

    /// Notes that something is missing, because a scenario has no room for it.
    pub const fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whether a scenario cannot have more.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_cut || self.has_all_polls() || self.bytes as u64 > MOST_BYTES
    }

    /// Whether it has as many polls as a scenario can have.
    #[must_use]
    pub const fn has_all_polls(&self) -> bool {
        self.polls >= MOST_POLLS
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
        self.polls += 1;
        match self.scenario.polls.last_mut() {
            Some(before) if is_alike(before, &poll) => {
                before.times += 1;
                let span = at.saturating_sub(before.at.unwrap_or_default());
                let every = span / (before.times - 1);
                before.every = Some(Duration::from_millis(every.as_millis().try_into().unwrap_or(u64::MAX)));
            }
            _ => {
                self.bytes = self.bytes.saturating_add(size(&poll));
                self.scenario.polls.push(poll);
            }
        }
    }

    /// The whole; `None` if something is missing.
    #[must_use]
    pub fn finish(self) -> Option<Scenario> {
        Some(self.scenario).filter(|_| !self.is_cut)
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

/// How much of the file a poll takes at least, in bytes.
fn size(poll: &Poll) -> usize {
    let step = |step: &Step| match step {
        Step::Expects(Pattern::Bytes(bytes)) | Step::Sends(bytes) => bytes.len(),
        _ => 1,
    };
    let dial = |dial: &Dial| match &dial.outcome {
        Outcome::Connected(steps) => steps.iter().map(step).sum(),
        _ => 1,
    };
    let command = |command: &Command| match &command.end {
        CommandEnd::Exits { stdout, stderr, .. } => stdout.len() + stderr.len(),
        CommandEnd::CannotRun(reason) => reason.len(),
    };
    let log: usize = poll.log.iter().map(|line| line.len() + 1).sum();
    log + poll.dials.iter().map(dial).sum::<usize>() + poll.commands.iter().map(command).sum::<usize>()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test")]

    use std::sync::Arc;

    use super::*;
    use crate::definition::scenario::parse;
    use crate::report::error::Source;

    fn recording() -> Recording {
        let text = "[[poll]]\nexpect = 'ready'".to_owned();
        let read = parse(&Arc::new(Source { path: "it.toml".into(), text })).expect("a scenario").scenario;
        Recording::new(Scenario { polls: Vec::new(), ..read })
    }

    fn add(recording: &mut Recording, log: &[String]) {
        let reason = recording.polls.to_string();
        let pending = Verdict::Pending { reason, retry_after: None, extend: None };
        recording.add(Duration::from_secs(recording.polls), &pending, Vec::new(), Vec::new(), None, log);
    }

    #[test]
    fn it_has_at_most_the_polls_of_a_scenario() {
        let mut full = recording();
        while !full.is_full() {
            add(&mut full, &[]);
        }
        assert!(full.has_all_polls() && full.polls == MOST_POLLS);
        assert_eq!(full.finish().map(|whole| whole.polls.len() as u64), Some(MOST_POLLS));
    }

    #[test]
    fn it_ends_with_the_poll_that_is_too_much() {
        let mut full = recording();
        let mut log = Vec::new();
        while !full.is_full() {
            log.push("x".repeat(1 << 18));
            add(&mut full, &log);
        }
        assert_eq!((full.polls, full.has_all_polls()), (4, false));
    }
}
