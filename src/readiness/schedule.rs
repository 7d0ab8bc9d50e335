//! When to poll next: as often as it costs little, never so often that it slows down what it waits for.

use std::time::Duration;

/// No pause is shorter.
const SHORTEST: Duration = Duration::from_millis(1);
/// No pause between dials is longer, until very many sidecars are waited for.
const LONGEST_DIAL: Duration = Duration::from_millis(250);
/// Times the number of sidecars, the pause may grow to this: 200 dials a second in all, what a twentieth of a slow core
/// does.
const LEAST_APART: Duration = Duration::from_millis(5);
/// A poll's cost by the clock times this is the pause, so that polling takes at most a twentieth of a core: it is more than
/// 20 because what wakes a poll, and what it tells, comes around it.
const COST_FACTOR: u32 = 24;
/// The same where several are waited for, whose polls come while others are still answered.
const COST_FACTOR_OF_MANY: u32 = 30;
/// A last poll begins this long before the end, or twice what one costs.
const LAST_POLL: Duration = Duration::from_millis(10);
/// A probe may not put its next poll off further than this.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// The pause after a poll that cost this much.
///
/// Dials: 24 × cost, or 30 × cost × waiting, between 1 ms and 250 ms, or 5 ms × waiting where that is more. Polls that execute
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn pauses() {
        let milliseconds = Duration::from_millis;
        let table = [
            ("a cheap dial", Duration::from_micros(20), 1, false, None, milliseconds(1)),
            ("an ordinary dial", Duration::from_micros(150), 1, false, None, Duration::from_micros(3600)),
            ("ten of them", Duration::from_micros(150), 10, false, None, milliseconds(45)),
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
