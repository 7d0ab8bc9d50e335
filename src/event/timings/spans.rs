//! A sidecar's start as spans of time, for charts.

use std::time::Duration;

use super::SidecarTimings;

/// What a span of a start was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the sidecars that it comes after.
    Held,
    /// Pulling the image.
    Pull,
    /// Making the container, the removal of an old one included.
    Create,
    /// Joining further networks and starting it.
    Start,
    /// From its start until every probe said ready.
    Wait,
    /// A job, from its start to its end.
    Run,
}

impl Phase {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 6] = [Self::Held, Self::Pull, Self::Create, Self::Start, Self::Wait, Self::Run];

    /// One word, which is also its class in a page.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pull => "pull",
            Self::Create => "create",
            Self::Start => "start",
            Self::Wait => "wait",
            Self::Run => "run",
        }
    }
}

/// A part of a start. Both moments are since farrier started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it was spent on.
    pub phase: Phase,
    /// When it began.
    pub from: Duration,
    /// When it ended, or the last moment that is known of it.
    pub to: Duration,
    /// Whether it had ended.
    pub has_ended: bool,
}

impl Span {
    /// How long it took.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

impl SidecarTimings {
    /// The spans of its start, one after the other; the last one may not have ended at `now`.
    #[must_use]
    pub fn spans(&self, now: Duration) -> Vec<Span> {
        let begun = self.released.unwrap_or(self.planned);
        let pulled = self.pulled.max(Some(begun));
        let last = if self.is_job { Phase::Run } else { Phase::Wait };
        let waits = self.started.is_some() || self.waiting.is_some() || self.ready.is_some();
        // Each with its beginning and its end, if it has begun.
        let parts = [
            (Phase::Held, self.held, self.released),
            (Phase::Pull, self.pull_began, self.pulled),
            (Phase::Create, pulled.filter(|_| self.created.is_some()), self.created),
            (Phase::Start, self.created.or(Some(begun)).filter(|_| self.started.is_some()), self.started),
            (last, self.started.or(Some(begun)).filter(|_| waits), self.ready),
        ];
        let end = self.failed.unwrap_or(now);
        let spans = parts.into_iter().filter_map(|(phase, from, to)| {
            let from = from?;
            Some(Span { phase, from, to: to.unwrap_or(end).max(from), has_ended: to.is_some() })
        });
        spans.collect()
    }

    /// When its own start began: when it was planned, or when those that it comes after were as far as it needs.
    #[must_use]
    pub fn begun(&self) -> Duration {
        self.released.unwrap_or(self.planned)
    }
}
