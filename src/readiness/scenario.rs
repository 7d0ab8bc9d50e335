//! A scenario played for a probe: polls as a launch makes them, in a world that answers as the scenario says, on a clock that
//! does not wait.
//!
//! The probe runs in the host of launches, with its limits, grants and schedule. Only what is outside is played: the network
//! and TLS (`network`, `conversation`), the container (`container`), random numbers and the clock. What the probe sends is
//! compared with what the scenario expects (`differences`), as its answers are. `recording` makes a scenario of what a probe
//! did with a real server, and `writing` its text.

mod container;
mod conversation;
mod differences;
mod network;
mod recording;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::container::Container;
pub use self::differences::answer;
use self::differences::{Differences, compare, compare_time};
use self::network::{Network, PlayedHandshakes};
pub use self::recording::Recording;
pub use self::writing::{TooLong, write};
use crate::definition::Limits;
use crate::definition::grants::Grants;
use crate::definition::scenario::{Poll, Scenario};
use crate::engine::dialler::Sockets;
use crate::probe::context::ProbeContext;
use crate::probe::guest::{Context, Verdict};
use crate::probe::host::LoadedProbe;
use crate::probe::memory::Memory;
use crate::probe::randomness::{Randomness, Seeded};
use crate::probe::usage::UsageTotal;
use crate::readiness::schedule::{Course, Terms};
use crate::report::elapsed::limit;
use crate::system::clock;

/// How long one scenario may take in fact. What takes longer computes too much, or is made to.
const REAL_TIME: Duration = Duration::from_mins(1);

/// Of how many polls the traces are kept. Those of all polls could fill the memory.
pub const KEPT_TRACES: usize = 100;

/// A scenario and the probe that plays it.
pub struct Play<'a> {
    /// The probe.
    pub probe: &'a LoadedProbe,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What the probe may do.
    pub grants: Arc<Grants>,
    /// What one poll may use up.
    pub limits: Limits,
    /// Whether it may execute commands, after which a launch pauses longer.
    pub executes: bool,
}

/// What a played scenario came to.
#[derive(Debug)]
pub struct Played {
    /// Every poll that was made.
    pub polls: Vec<PlayedPoll>,
    /// Where the scenario and the probe differ: nowhere, or in the last poll that was made.
    pub differences: Vec<Difference>,
    /// How long the wait took by its own clock.
    pub took: Duration,
}

/// One poll that was made.
#[derive(Debug)]
pub struct PlayedPoll {
    /// When it began, since the beginning of the wait.
    pub at: Duration,
    /// How long it took by its own clock.
    pub took: Duration,
    /// What the probe answered.
    pub verdict: Verdict,
    /// What it wrote to the trace; `None` if [`KEPT_TRACES`] polls followed.
    pub trace: Option<Vec<String>>,
}

/// Something that differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which of the scenario's tables, counted from 0.
    pub poll: usize,
    /// At which poll of the wait, counted from 1.
    pub attempt: usize,
    /// What differs, in words.
    pub what: String,
}

impl Play<'_> {
    /// Plays it until the first poll that differs, in a runtime whose clock is stopped.
    pub async fn run(&self) -> Played {
        let mut stage = Stage::new(self.scenario);
        let mut played = Played { polls: Vec::new(), differences: Vec::new(), took: Duration::ZERO };
        'polls: for (index, poll) in self.scenario.polls.iter().enumerate() {
            for time in 0..poll.times {
                let attempt = played.polls.len() + 1;
                let found = self.poll(&mut stage, poll, time, &mut played.polls).await;
                if !found.is_empty() {
                    let difference = |what| Difference { poll: index, attempt, what };
                    played.differences.extend(found.into_iter().map(difference));
                    break 'polls;
                }
            }
        }
        played.took = clock::since(stage.begun);
        played
    }

    /// Makes one poll, and returns where it differs.
    async fn poll(
        &self,
        stage: &mut Stage,
        poll: &Poll,
        time: u32,
        polls: &mut Vec<PlayedPoll>,
    ) -> Vec<String> {
        let at = match stage.begin(poll, time).await {
            Ok(at) => at,
            Err(what) => return vec![what],
        };
        let differences = Differences::default();
        let (network, targets) = Network::of(self.scenario, &self.grants.dial, poll, &differences);
        let left =
            stage.course.deadline().saturating_duration_since(clock::now()).max(Duration::from_millis(1));
        let limits = Limits { poll: self.limits.poll.min(left), ..self.limits };
        stage.attempt += 1;
        let asked = clock::now();
        let probe_context = ProbeContext {
            grants: Arc::clone(&self.grants),
            targets,
            tls: self.grants.tls.as_ref().map(|_| Arc::new(PlayedHandshakes) as _),
            dialler: Some(Arc::new(network.clone())),
            sockets: Sockets::Played,
            subject: stage.container.at(poll, time == 0, &differences),
            commands: self.grants.exec.clone(),
            declared: self.scenario.readiness.command.clone(),
            environment: self.environment(),
            folders: None,
            memory: stage.memory.clone(),
            randomness: Randomness::Seeded(Seeded::of_poll(self.scenario.seed, stage.attempt)),
            used: UsageTotal::default(),
            stopped_at: Some((stage.begun, self.scenario.date)),
        };
        let polled = self.probe.poll(self.context(stage.attempt, at, left), probe_context, limits).await;
        let took = clock::since(asked);
        compare(&poll.expected, &polled.verdict, &differences);
        compare_time(poll.took, took, &differences);
        network.end();
        stage.container.end(&differences);
        stage.end(&polled.verdict, took, self.executes);
        polls.push(PlayedPoll { at, took, verdict: polled.verdict, trace: Some(polled.trace) });
        if let Some(index) = polls.len().checked_sub(KEPT_TRACES + 1)
            && let Some(old) = polls.get_mut(index)
        {
            old.trace = None;
        }
        differences.take()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let granted = self.grants.env.iter().filter_map(|name| self.scenario.env.get_key_value(name));
        granted.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn context(&self, attempt: u32, at: Duration, left: Duration) -> Context {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Context {
            sidecar: self.scenario.sidecar.clone(),
            host: self.scenario.sidecar.clone(),
            port: self.scenario.port,
            attempt,
            elapsed_ms: milliseconds(at),
            remaining_ms: milliseconds(left),
            settings: serde_json::Value::Object(self.scenario.readiness.settings.clone()).to_string(),
        }
    }
}

/// What lasts from poll to poll.
struct Stage {
    begun: Instant,
    /// When it began in fact.
    begun_in_fact: Instant,
    course: Course,
    container: Container,
    memory: Memory,
    attempt: u32,
    /// When a launch would poll next, since the beginning.
    next: Duration,
    /// When the first of the polls that are alike began.
    first: Duration,
    /// Why a launch would not poll again.
    over: Option<&'static str>,
}

impl Stage {
    fn new(scenario: &Scenario) -> Self {
        let begun = clock::now();
        Self {
            begun,
            begun_in_fact: Instant::now(),
            course: Course::new(begun, Terms::of(&scenario.readiness), Duration::ZERO),
            container: Container::new(scenario),
            memory: Memory::default(),
            attempt: 0,
            next: Duration::ZERO,
            first: Duration::ZERO,
            over: None,
        }
    }

    /// Waits for the moment of a poll, and returns it as the time since the beginning.
    ///
    /// # Errors
    /// Why a launch would not make this poll then.
    async fn begin(&mut self, poll: &Poll, time: u32) -> Result<Duration, String> {
        if let Some(over) = self.over {
            return Err(format!("a launch would not poll again: {over}"));
        }
        if self.begun_in_fact.elapsed() > REAL_TIME {
            return Err(format!("the scenario takes more than {} of real time", limit(REAL_TIME)));
        }
        let at = match (time, poll.at, poll.every) {
            (0, Some(at), _) => at,
            (1.., _, Some(every)) => self.first.saturating_add(every.saturating_mul(time)),
            _ => self.next,
        };
        if time == 0 {
            self.first = at;
        }
        let now = whole(clock::since(self.begun));
        if at + SLACK < now {
            return Err(format!(
                "the poll begins at {}, but the one before ended at {}",
                limit(at),
                limit(now)
            ));
        }
        let moment = self.begun + at;
        if moment >= self.course.deadline() {
            let end = self.course.deadline().saturating_duration_since(self.begun);
            return Err(format!("a launch would not poll again: the wait was over at {}", limit(whole(end))));
        }
        tokio::time::sleep_until(moment.into()).await;
        Ok(at)
    }

    /// Notes what a poll means for the next one.
    fn end(&mut self, verdict: &Verdict, took: Duration, executes: bool) {
        let (asked, extend) = match verdict {
            Verdict::Pending { retry_after, extend, .. } => (*retry_after, *extend),
            _ => (None, None),
        };
        self.over = match verdict {
            Verdict::Failed(_) => Some("the probe said `failed`"),
            Verdict::Crashed(_) => Some("the probe crashed"),
            _ => None,
        };
        if self.course.count(*verdict == Verdict::Ready) {
            self.over = Some("the probe said `ready`");
        }
        self.course.extend(extend);
        let pause = self.course.pause(took, 1, executes, asked);
        self.next = whole(clock::since(self.begun).saturating_add(pause).saturating_add(ROUNDED_UP));
    }
}

/// How much later than it says a poll may begin. A recorded time is a little shorter than what was waited for, and timers are
/// rounded up.
const SLACK: Duration = Duration::from_millis(50);
/// The rest of a millisecond, which timers do not know.
const ROUNDED_UP: Duration = Duration::from_nanos(999_999);

/// Whole milliseconds, as a probe is told times.
fn whole(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
}
