//! When a poll must be over, and the moment that a guest has left to say what it waited for in vain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::system::clock;

/// What a guest keeps of its poll, at most, for its answer after it waited in vain.
const ANSWER_TIME: Duration = Duration::from_millis(50);
/// How long it has at most for that answer, counted from the end of the call: on a busy machine, it may not run at once.
const MOMENT: Duration = Duration::from_millis(250);
/// How long a guest may compute in one poll while the clock is stopped, on which computing takes no time. Longer than any
/// guest needs on a busy machine, so that a scenario means the same everywhere.
const COMPUTING: Duration = Duration::from_secs(10);

/// The end of one poll, shared by the host's calls and the clock around the poll.
#[derive(Clone, Debug)]
pub struct Deadline(Arc<Mutex<End>>);

#[derive(Debug)]
struct End {
    begun: Instant,
    at: Instant,
    /// What of the poll stays with the guest for its answer.
    kept: Duration,
    /// How long the guest has for its answer, if a call took all the rest.
    moment: Duration,
    /// Whether the guest was given its moment to answer, which happens once.
    answering: bool,
    /// When the poll must be over by the system's clock, if the one for polls is stopped.
    computed: Option<Instant>,
}

impl Deadline {
    /// The end of a poll that begins now and may take this long.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let (begun, kept) = (clock::now(), ANSWER_TIME.min(limit / 10));
        let moment = limit.clamp(ANSWER_TIME, MOMENT);
        let end = End { begun, at: begun + limit, kept, moment, answering: false, computed: None };
        Self(Arc::new(Mutex::new(end)))
    }

    /// Ends a poll that computes too long by the system's clock, too.
    #[must_use]
    pub fn on_a_stopped_clock(self) -> Self {
        self.end().computed = Some(Instant::now() + COMPUTING);
        self
    }

    /// How long the poll has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        clock::since(self.end().begun)
    }

    /// Whether the poll must be over.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        let end = self.end();
        clock::now() >= end.at || end.computed.is_some_and(|computed| Instant::now() >= computed)
    }

    /// How long a call of the guest may take: nothing once only its time to answer is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        let end = self.end();
        if end.answering {
            return Duration::ZERO;
        }
        end.at.saturating_duration_since(clock::now()).saturating_sub(end.kept)
    }

    /// Leaves the guest its moment to answer if the call that just ended took all that was left, however late a busy machine
    /// ended it. Once: a guest that goes on to wait is ended.
    pub fn let_answer(&self) {
        let mut end = self.end();
        let now = clock::now();
        if !end.answering && now + end.kept >= end.at {
            (end.answering, end.at) = (true, end.at.max(now + end.moment));
        }
    }

    /// Whether a call of the guest took all that was left.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.end().answering
    }

    /// Waits until the poll must be over.
    pub async fn passed(&self) {
        loop {
            let at = self.end().at;
            if clock::now() >= at {
                return;
            }
            tokio::time::sleep_until(at.into()).await;
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_its_moment_once_however_late_its_call_ended() {
        let deadline = Deadline::after(Duration::ZERO);
        assert!(deadline.has_passed());
        deadline.let_answer();
        let first = deadline.end().at;
        assert!(!deadline.has_passed());
        deadline.let_answer();
        assert_eq!(deadline.end().at, first);
        assert!(deadline.left().is_zero(), "it is for the answer alone");
    }

    #[test]
    fn a_call_that_ends_by_its_own_limit_takes_nothing_of_the_poll() {
        for limit in [100, 200, 600_000].map(Duration::from_secs) {
            let deadline = Deadline::after(limit);
            let at = deadline.end().at;
            deadline.let_answer();
            assert!(!deadline.has_cut() && deadline.end().at == at, "{limit:?}");
        }
    }

    #[test]
    fn the_moment_of_a_short_poll_is_short() {
        for (limit, expected) in [(1, 50), (200, 200), (1_000, 250)] {
            let moment = Deadline::after(Duration::from_millis(limit)).end().moment;
            assert_eq!(moment, Duration::from_millis(expected), "{limit} ms");
        }
    }

    #[test]
    fn a_call_leaves_the_guest_a_tenth_of_a_short_poll_and_no_more_than_its_moment_of_a_long_one() {
        let short = Deadline::after(Duration::from_millis(100)).left();
        assert!(short <= Duration::from_millis(90), "{short:?}");
        assert!(Deadline::after(Duration::ZERO).left().is_zero());
        let long = Deadline::after(Duration::from_secs(600)).left();
        assert!(
            long + ANSWER_TIME <= Duration::from_secs(600) && long > Duration::from_secs(500),
            "{long:?}"
        );
    }
}
