//! When to poll next: as often as it costs little, never so often that it slows down what it waits for.

use std::time::{Duration, Instant};

use crate::definition::model::Readiness;
use crate::system::clock;

/// No pause is shorter.
const SHORTEST: Duration = Duration::from_millis(1);
/// No pause between dials is longer, until very many sidecars are waited for.
const LONGEST_DIAL: Duration = Duration::from_millis(250);
/// Times the number of sidecars, the pause may grow to this: 200 dials a second in all, what a twentieth of a slow core
/// does.
const LEAST_APART: Duration = Duration::from_millis(5);
/// A poll's cost times this is the pause, so that polling takes at most a twentieth of a core.
const COST_FACTOR: u32 = 20;
/// The same where several are waited for: it is more because the looks at each of them come beside their polls.
const COST_FACTOR_OF_MANY: u32 = 32;
/// What this program works around a dial of its own: the timer, its wake-up, the pause.
const AROUND: Duration = Duration::from_micros(30);
/// While farrier dials itself, the guest is polled this often all the same: it may have something else to say by then.
const STRETCH: Duration = Duration::from_millis(250);
/// Times the number of sidecars, that may grow to this.
const STRETCH_OF_EACH: Duration = Duration::from_millis(10);
/// Below this, rounding to whole milliseconds shows.
const EXACT_BELOW: Duration = Duration::from_millis(10);
/// A last poll begins this long before the end, or twice what one costs.
const LAST_POLL: Duration = Duration::from_millis(10);
/// What a built-in probe that executes commands may take for one poll: Docker's default for health tests.
const EXECUTING_POLL: Duration = Duration::from_secs(30);
/// A probe may not put its next poll off further than this.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// The cost of polls or dials, one after the other.
#[derive(Debug)]
pub struct Pace {
    before: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { before: Duration::MAX }
    }
}

impl Pace {
    /// What a poll costs, after it took this by the clock: others work for it too.
    ///
    /// One poll that was slow says nothing about the next: the smaller of two counts. Polls that execute commands always
    /// count.
    pub fn cost(&mut self, took: Duration, executes: bool) -> Duration {
        if executes {
            return took;
        }
        took.min(std::mem::replace(&mut self.before, took))
    }
}

/// When farrier dials itself while nothing listens.
///
/// The pause is 20 times what a dial took with what comes around it, or 32 times × waiting, between 1 ms and 250 ms, or
/// 5 ms × waiting where that is more; for several it is at least 1 ms for each of them.
#[derive(Debug, Default)]
pub struct Redials {
    pace: Pace,
    cost: Duration,
}

impl Redials {
    /// Notes how long dialling took.
    pub fn note(&mut self, took: Duration) {
        self.cost = self.pace.cost(took, false);
    }

    /// The pause before the next dial.
    #[must_use]
    pub fn pause(&self, waiting: usize) -> Duration {
        let each = SHORTEST.saturating_mul(count(waiting));
        pause(self.cost.saturating_add(AROUND), waiting, false, None).max(each)
    }
}

/// Whether a pause is so short that it takes an exact timer. Few sidecars have such pauses at the same time, so that few
/// such timers are open.
#[must_use]
pub fn is_short(pause: Duration) -> bool {
    pause < EXACT_BELOW
}

fn count(waiting: usize) -> u32 {
    u32::try_from(waiting.max(1)).unwrap_or(u32::MAX)
}

/// The pause after a poll that cost this much.
///
/// Dials: 20 × cost, or 32 × cost × waiting, between 1 ms and 250 ms, or 5 ms × waiting where that is more. Polls that execute
/// commands: as long as they took, so that the engine is busy with them at most half of the time. A probe may ask
/// for a longer pause.
#[must_use]
pub fn pause(cost: Duration, waiting: usize, executes: bool, asked: Option<Duration>) -> Duration {
    let own = if executes {
        cost.max(SHORTEST)
    } else {
        let waiting = count(waiting);
        let longest = LONGEST_DIAL.max(LEAST_APART.saturating_mul(waiting));
        let factor = if waiting > 1 { COST_FACTOR_OF_MANY } else { COST_FACTOR };
        cost.saturating_mul(factor).saturating_mul(waiting).clamp(SHORTEST, longest)
    };
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

/// The time to the next poll, where `left` is left of the wait.
///
/// What would come too late comes shortly before the end instead, so that a server that opened meanwhile is found. A
/// pause that the probe asked for is not cut short: then, and where the last poll has been, it is the end.
#[must_use]
pub fn until_next(pause: Duration, asked: Option<Duration>, cost: Duration, left: Duration) -> Duration {
    let last = left.saturating_sub(cost.saturating_mul(2).max(LAST_POLL));
    let may_come_early = last >= SHORTEST && asked.is_none_or(|asked| asked <= last);
    if pause < left {
        pause
    } else if may_come_early {
        last
    } else {
        left
    }
}

/// How long one poll may take, of a built-in probe that executes commands or of any other.
#[must_use]
pub const fn poll_limit(readiness: &Readiness, is_executing: bool) -> Duration {
    if is_executing && !readiness.has_poll_limit { EXECUTING_POLL } else { readiness.limits.poll }
}

/// What a definition says of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it takes at most.
    pub timeout: Duration,
    /// How long it takes at most if the probe asks for more time.
    pub max_timeout: Duration,
    /// How many polls in a row have to say ready.
    pub successes: u32,
    /// How far apart these are at least.
    pub interval: Duration,
}

impl Terms {
    /// The terms of a readiness condition.
    #[must_use]
    pub const fn of(readiness: &Readiness) -> Self {
        let Readiness { timeout, max_timeout, successes, interval, .. } = readiness;
        Self { timeout: *timeout, max_timeout: *max_timeout, successes: *successes, interval: *interval }
    }
}

/// The course of one wait: when it ends, when it polls next, and how many polls in a row said ready.
#[derive(Debug)]
pub struct Course {
    begun: Instant,
    deadline: Instant,
    terms: Terms,
    in_a_row: u32,
    pace: Pace,
}

impl Course {
    /// A wait that began then. `due` is left to it at least, whatever time has passed.
    #[must_use]
    pub fn new(begun: Instant, terms: Terms, due: Duration) -> Self {
        let deadline = (begun + terms.timeout).max(clock::now() + due);
        Self { begun, deadline, terms, in_a_row: 0, pace: Pace::default() }
    }

    /// When the wait ends.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        clock::now() >= self.deadline
    }

    /// How many polls in a row said ready.
    #[must_use]
    pub const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Counts a poll, and returns whether no further one is needed.
    pub fn count(&mut self, ready: bool) -> bool {
        self.in_a_row = if ready { self.in_a_row + 1 } else { 0 };
        ready && self.in_a_row >= self.terms.successes
    }

    /// Moves the deadline as far away as a probe asked, at most to the latest one. Returns the new one as the time since
    /// the beginning, or `None` if it was later already.
    pub fn extend(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let latest = self.begun + self.terms.max_timeout.max(self.terms.timeout);
        let later = (clock::now() + asked?).min(latest);
        (later > self.deadline).then(|| {
            self.deadline = later;
            later - self.begun
        })
    }

    /// The pause after a poll that took this, where so many sidecars are waited for. Successes are an interval apart.
    pub fn pause(
        &mut self,
        took: Duration,
        waiting: usize,
        executes: bool,
        asked: Option<Duration>,
    ) -> Duration {
        let cost = self.pace.cost(took, executes);
        let left = self.deadline.saturating_duration_since(clock::now());
        let (asked, least) = match self.in_a_row {
            0 => (asked, Duration::ZERO),
            _ => (Some(self.terms.interval), self.terms.interval),
        };
        until_next(pause(cost, waiting, executes, asked).max(least), asked, cost, left)
    }

    /// How long farrier dials itself after a poll that took this and was refused, unless somebody accepts before. What
    /// polls cost from then on is another matter.
    pub fn stretch(&mut self, took: Duration, waiting: usize) -> Duration {
        self.pace = Pace::default();
        let left = self.deadline.saturating_duration_since(clock::now());
        let stretch = STRETCH.max(STRETCH_OF_EACH.saturating_mul(count(waiting)));
        until_next(stretch, None, took, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(successes: u32) -> Terms {
        let seconds = Duration::from_secs;
        Terms { timeout: seconds(10), max_timeout: seconds(20), successes, interval: seconds(3) }
    }

    #[test]
    fn a_probe_moves_the_deadline_up_to_the_latest() {
        let (seconds, begun) = (Duration::from_secs, Instant::now());
        let mut course = Course::new(begun, terms(1), Duration::ZERO);
        assert_eq!(course.extend(None), None);
        assert_eq!(course.extend(Some(seconds(5))), None, "it is later already");
        assert!(course.extend(Some(seconds(15))).is_some_and(|later| later >= seconds(15)));
        assert_eq!(course.extend(Some(Duration::from_hours(1))), Some(seconds(20)));
        assert_eq!(course.deadline(), begun + seconds(20));
        assert_eq!(course.extend(Some(Duration::from_hours(1))), None, "only up to the latest");
    }

    #[test]
    fn successes_count_in_a_row_and_are_an_interval_apart() {
        let mut course = Course::new(Instant::now(), terms(2), Duration::ZERO);
        let took = Duration::from_millis(1);
        let enough: Vec<bool> = [true, false, true, true].map(|ready| course.count(ready)).to_vec();
        assert_eq!(enough, [false, false, false, true]);
        assert!(Course::new(Instant::now(), terms(1), Duration::ZERO).count(true));
        let mut course = Course::new(Instant::now(), terms(2), Duration::ZERO);
        assert!(course.pause(took, 1, false, None) < terms(2).interval);
        course.count(true);
        assert_eq!(course.pause(took, 1, false, None), terms(2).interval);
    }

    #[test]
    fn the_last_poll_comes_before_the_end() {
        let milliseconds = Duration::from_millis;
        let asked = |pause| Some(milliseconds(pause));
        let table = [
            ("time enough", 250, None, 1, 1000, 250),
            ("just enough", 250, None, 1, 251, 250),
            ("the next would be too late", 250, None, 1, 200, 190),
            ("after the last", 250, None, 1, 9, 9),
            ("a slow one", 40, None, 40, 100, 40),
            ("a slow one that would be too late", 120, None, 40, 110, 30),
            ("after a slow one", 40, None, 40, 30, 30),
            ("asked for more than is left", 500, asked(500), 1, 200, 200),
            ("asked for less than is left", 250, asked(100), 1, 200, 190),
        ];
        for (name, pause, asked, cost, left, expected) in table {
            let found = until_next(milliseconds(pause), asked, milliseconds(cost), milliseconds(left));
            assert_eq!(found, milliseconds(expected), "{name}");
        }
    }

    #[test]
    fn costs() {
        let table: [(&str, &[u64], u64); 3] = [
            ("a server that answers", &[900], 900),
            ("slow once", &[900, 80_000], 900),
            ("slow twice", &[900, 80_000, 90_000], 80_000),
        ];
        for (name, polls, expected) in table {
            let mut pace = Pace::default();
            let costs = polls.iter().map(|took| pace.cost(Duration::from_micros(*took), false));
            assert_eq!(costs.last(), Some(Duration::from_micros(expected)), "{name}");
        }
        let (mut pace, milliseconds) = (Pace::default(), Duration::from_millis);
        assert_eq!(pace.cost(milliseconds(80), true), milliseconds(80));
        assert_eq!(pace.cost(milliseconds(90), true), milliseconds(90), "each execution counts");
    }

    #[test]
    fn dials_of_farriers_own() {
        let milliseconds = Duration::from_millis;
        let table: [(&str, &[u64], usize, u64); 8] = [
            ("the first", &[], 1, 1_000),
            ("a dial", &[24], 1, 1_080),
            ("a slow machine", &[100, 100], 1, 2_600),
            ("a busy moment", &[24, 20_000], 1, 1_080),
            ("ten", &[24, 24], 10, 17_280),
            ("a hundred", &[24, 24], 100, 172_800),
            ("a thousand on a slow machine", &[100, 100], 1000, 4_160_000),
            ("a machine that is always busy", &[20_000, 20_000], 1, 250_000),
        ];
        for (name, took, waiting, expected) in table {
            let mut redials = Redials::default();
            for each in took {
                redials.note(Duration::from_micros(*each));
            }
            assert_eq!(redials.pause(waiting), Duration::from_micros(expected), "{name}");
        }
        let stretch =
            |waiting| Course::new(Instant::now(), terms(1), Duration::ZERO).stretch(milliseconds(1), waiting);
        assert_eq!(stretch(1), milliseconds(250));
        assert_eq!(stretch(100), milliseconds(1_000));
        let terms = Terms { timeout: milliseconds(100), ..terms(1) };
        let last = Course::new(Instant::now(), terms, Duration::ZERO).stretch(milliseconds(1), 1);
        assert!(last < milliseconds(91), "the last poll comes before the end: {last:?}");
        let mut course = Course::new(Instant::now(), terms, Duration::from_secs(10));
        course.pause(milliseconds(1), 1, false, None);
        course.stretch(milliseconds(1), 1);
        let slow = course.pause(milliseconds(10), 1, false, None);
        assert_eq!(slow, milliseconds(200), "a server that answers slowly at its first poll");
    }

    #[test]
    fn pauses() {
        let milliseconds = Duration::from_millis;
        let table = [
            ("a cheap dial", Duration::from_micros(20), 1, false, None, milliseconds(1)),
            ("an ordinary dial", Duration::from_micros(150), 1, false, None, milliseconds(3)),
            ("ten of them", Duration::from_micros(150), 10, false, None, milliseconds(48)),
            ("a slow dial", milliseconds(900), 1, false, None, milliseconds(250)),
            ("fifty slow ones", milliseconds(1), 50, false, None, milliseconds(250)),
            ("a hundred slow ones", milliseconds(1), 100, false, None, milliseconds(500)),
            ("a thousand", milliseconds(1), 1000, false, None, milliseconds(5000)),
            ("an execution", milliseconds(70), 1, true, None, milliseconds(70)),
            ("a long execution", milliseconds(900), 4, true, None, milliseconds(900)),
            ("asked for more", milliseconds(1), 1, false, Some(milliseconds(500)), milliseconds(500)),
            ("asked for less", milliseconds(70), 1, true, Some(milliseconds(1)), milliseconds(70)),
            ("asked for ever", milliseconds(1), 1, false, Some(Duration::MAX), LONGEST_ASKED),
        ];
        for (name, cost, waiting, executes, asked, expected) in table {
            assert_eq!(pause(cost, waiting, executes, asked), expected, "{name}");
        }
    }
}
