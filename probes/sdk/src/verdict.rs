//! The result of a poll.

use alloc::string::String;
use core::time::Duration;

pub use crate::bindings::farrier::probe::types::{Pending, Verdict};

impl Verdict {
    /// The sidecar is not ready yet: poll again. `reason` says what the probe saw, in one line for people;
    /// [`Line`](crate::Line) turns any text into one.
    #[must_use]
    pub fn pending(reason: impl Into<String>) -> Self {
        Self::Pending(Pending { reason: reason.into(), retry_after_ms: None, extend_ms: None })
    }

    /// The sidecar will never be ready: end the wait now. `reason` is one line for people.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }

    /// Sets the shortest pause before the next poll, at most 10 s; an engine event may cut it short. Changes only a
    /// pending verdict.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        if let Self::Pending(pending) = &mut self {
            pending.retry_after_ms = Some(milliseconds(time));
        }
        self
    }

    /// Reports progress: extends the deadline so that at least this much time remains, up to the definition's `max_timeout`.
    /// Changes only a pending verdict.
    #[must_use]
    pub fn extend(mut self, time: Duration) -> Self {
        if let Self::Pending(pending) = &mut self {
            pending.extend_ms = Some(milliseconds(time));
        }
        self
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pending_verdict_carries_times() {
        let day = Duration::from_hours(24);
        assert_eq!(Verdict::Ready.retry_after(day).extend(day), Verdict::Ready);
        assert_eq!(Verdict::failed("no").extend(day), Verdict::Failed("no".into()));
        let pending = Verdict::pending("not yet").retry_after(Duration::from_millis(20)).extend(day * 1_000);
        let expected =
            Pending { reason: "not yet".into(), retry_after_ms: Some(20), extend_ms: Some(u32::MAX) };
        assert_eq!(pending, Verdict::Pending(expected));
    }
}
