//! What a probe did otherwise than its scenario says, in words.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::definition::scenario::{Expected, as_text, expected_word};
use crate::probe::guest::Verdict;
use crate::report::elapsed::limit;

/// The most differences of one poll that are told: what comes later follows from the first ones.
const MOST: usize = 10;
/// The most bytes that are shown of what was sent.
const SHOWN: usize = 60;
/// By how much a wait may differ from the expected one: timers have whole milliseconds.
const TOLERANCE: Duration = Duration::from_millis(1);

/// Differences of one poll, in their order. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Differences(Arc<Mutex<Vec<String>>>);

impl Differences {
    /// Adds one.
    pub fn add(&self, what: String) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() < MOST {
            found.push(what);
        }
    }

    /// All of them.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes as a scenario has them, shortened.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    // A cut may fall into a character.
    let text = as_text(cut).or_else(|| {
        let valid = std::str::from_utf8(cut).err().map_or(cut.len(), |error| error.valid_up_to());
        as_text(bytes).is_some().then(|| as_text(&cut[..valid])).flatten()
    });
    match text {
        Some(text) => format!("`{}{dots}`", text.escape_debug()),
        None => format!("the bytes {}{dots}", hex::encode(cut)),
    }
}

/// A verdict with its reason, as a report quotes it.
#[must_use]
pub fn answer(verdict: &Verdict) -> String {
    let (word, reason) = match verdict {
        Verdict::Ready => ("ready", None),
        Verdict::Pending { reason, .. } => ("pending", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
        Verdict::Crashed(reason) => ("crashed", Some(reason)),
        Verdict::TimedOut => ("timed-out", None),
    };
    reason.map_or_else(|| format!("`{word}`"), |reason| format!("`{word}: {reason}`"))
}

fn wanted(expected: &Expected) -> String {
    let word = expected_word(expected);
    let reason = match expected {
        Expected::Pending { reason, .. } | Expected::Failed(reason) | Expected::Crashed(reason) => {
            reason.as_ref()
        }
        Expected::Ready | Expected::TimedOut => None,
    };
    reason.map_or_else(|| format!("`{word}`"), |reason| format!("`{word}: {reason}`"))
}

/// Compares an answer with the expected one.
pub fn compare(expected: &Expected, verdict: &Verdict, differences: &Differences) {
    let same = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let is_same = match (expected, verdict) {
        (Expected::Ready, Verdict::Ready) | (Expected::TimedOut, Verdict::TimedOut) => true,
        (Expected::Pending { reason, .. }, Verdict::Pending { reason: found, .. })
        | (Expected::Failed(reason), Verdict::Failed(found))
        | (Expected::Crashed(reason), Verdict::Crashed(found)) => same(reason, found),
        _ => false,
    };
    if !is_same {
        differences.add(format!("expected {}, but the probe answered {}", wanted(expected), answer(verdict)));
    }
    if let (
        Expected::Pending { retry_after, extend, .. },
        Verdict::Pending { retry_after: found_pause, extend: found_time, .. },
    ) = (expected, verdict)
    {
        for (what, wanted, found) in [
            ("the next poll after (`retry_after`)", retry_after, found_pause),
            ("more time (`extend`)", extend, found_time),
        ] {
            let told = |time: &Option<Duration>| time.map_or_else(|| "nothing".to_owned(), limit);
            if wanted != found {
                let (wanted, found) = (told(wanted), told(found));
                differences
                    .add(format!("expected the probe to ask for {what}: {wanted}, but it asked for {found}"));
            }
        }
    }
}

/// Compares how long a poll waited.
pub fn compare_time(expected: Option<Duration>, took: Duration, differences: &Differences) {
    if let Some(expected) = expected.filter(|expected| expected.abs_diff(took) > TOLERANCE) {
        differences.add(format!(
            "expected the poll to take {}, but it took {}",
            limit(expected),
            limit(rounded(took))
        ));
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_a_scenario_has_them() {
        for (bytes, expected) in [
            (&b"PING\r\n"[..], "`PING\\r\\n`"),
            (&[0xff, 0][..], "the bytes ff00"),
            ("é".repeat(40).as_bytes(), &format!("`{}…`", "é".repeat(30))),
            (b"", "``"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }

    #[test]
    fn only_what_a_scenario_names_is_compared() {
        let pending = |reason: &str| Verdict::Pending {
            reason: reason.to_owned(),
            retry_after: Some(Duration::from_secs(1)),
            extend: None,
        };
        let expect = |reason: Option<&str>, seconds: Option<u64>| Expected::Pending {
            reason: reason.map(str::to_owned),
            retry_after: seconds.map(Duration::from_secs),
            extend: None,
        };
        for (expected, verdict, count) in [
            (Expected::Ready, Verdict::Ready, 0),
            (Expected::Ready, Verdict::TimedOut, 1),
            (expect(None, Some(1)), pending("loading"), 0),
            (expect(Some("loading"), Some(1)), pending("loading"), 0),
            (expect(Some("starting"), None), pending("loading"), 2),
            (Expected::Failed(None), Verdict::Failed("x".to_owned()), 0),
            (Expected::Failed(None), Verdict::Crashed("x".to_owned()), 1),
        ] {
            let differences = Differences::default();
            compare(&expected, &verdict, &differences);
            let found = differences.take();
            assert_eq!(found.len(), count, "{expected:?}: {found:?}");
        }
    }
}
