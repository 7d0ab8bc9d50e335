//! When to poll next: as often as it costs little, never so often that it slows down what it waits for.

use std::time::{Duration, Instant};

use crate::definition::model::Readiness;

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
/// What this program works around a poll: the timer, its wake-up, the pause.
const AROUND: Duration = Duration::from_micros(30);
/// Of the time by the clock, this part counts as work even where no other was seen.
const CLOCK_PART: u32 = 4;
/// A last poll begins this long before the end, or twice what one costs.
const LAST_POLL: Duration = Duration::from_millis(10);
/// A probe may not put its next poll off further than this.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// What a poll took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// By the clock.
    pub clock: Duration,
    /// Of a processor, by this program alone.
    pub worked: Duration,
    /// Whether nobody else worked for it.
    pub alone: bool,
}

/// The cost of polls, one after the other.
#[derive(Debug)]
pub struct Pace {
    before: Duration,
    alone: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { before: Duration::MAX, alone: false }
    }
}

impl Pace {
    /// What a poll costs, after it took this.
    ///
    /// Where others worked for it, their time is what it took by the clock. Where nobody did, it is what this program
    /// worked, and what comes around that; of the clock then a part only counts, since most of it is a processor that wakes
    /// up, unless the machine is busy. One poll that was slow says nothing about the next: the smaller of two counts.
    /// Polls that execute commands always count.
    pub fn cost(&mut self, took: Took, executes: bool) -> Duration {
        let cost = if took.alone { (took.worked + AROUND).max(took.clock / CLOCK_PART) } else { took.clock };
        if executes {
            return cost;
        }
        let before = std::mem::replace(&mut self.before, cost);
        if std::mem::replace(&mut self.alone, took.alone) == took.alone { cost.min(before) } else { cost }
    }
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
        let waiting = u32::try_from(waiting.max(1)).unwrap_or(u32::MAX);
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
        let deadline = (begun + terms.timeout).max(Instant::now() + due);
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
        Instant::now() >= self.deadline
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
        let later = (Instant::now() + asked?).min(latest);
        (later > self.deadline).then(|| {
            self.deadline = later;
            later - self.begun
        })
    }

    /// The pause after a poll that took this, where so many sidecars are waited for. Successes are an interval apart.
    pub fn pause(&mut self, took: Took, waiting: usize, executes: bool, asked: Option<Duration>) -> Duration {
        let cost = self.pace.cost(took, executes);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let (asked, least) = match self.in_a_row {
            0 => (asked, Duration::ZERO),
            _ => (Some(self.terms.interval), self.terms.interval),
        };
        until_next(pause(cost, waiting, executes, asked).max(least), asked, cost, left)
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
        let took = Took { clock: Duration::from_millis(1), worked: Duration::ZERO, alone: false };
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
        let took = |clock, worked, alone| {
            let (clock, worked) = (Duration::from_micros(clock), Duration::from_micros(worked));
            Took { clock, worked, alone }
        };
        let alone = |clock, worked| took(clock, worked, true);
        let served = |clock| took(clock, 50, false);
        let table: [(&str, &[Took], u64); 8] = [
            ("a refused dial", &[alone(500, 170)], 200),
            ("on a busy machine", &[alone(20_000, 170)], 5_000),
            ("busy for a moment", &[alone(500, 170), alone(20_000, 170)], 200),
            ("a clock that stands still", &[alone(20, 0)], 30),
            ("a server that answers", &[served(900)], 900),
            ("slow once", &[served(900), served(80_000)], 900),
            ("refused, then a slow server", &[alone(500, 170), served(300_000)], 300_000),
            ("a slow server, then refused", &[served(300_000), alone(500, 170)], 200),
        ];
        for (name, polls, expected) in table {
            let mut pace = Pace::default();
            let costs: Vec<Duration> = polls.iter().map(|took| pace.cost(*took, false)).collect();
            assert_eq!(costs.last(), Some(&Duration::from_micros(expected)), "{name}");
        }
        let mut pace = Pace::default();
        assert_eq!(pace.cost(served(80_000), true), pace.cost(served(80_000), true));
        assert_eq!(pace.cost(served(90_000), true), Duration::from_micros(90_000), "each execution counts");
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
