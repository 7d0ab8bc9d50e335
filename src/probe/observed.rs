//! What a poll saw on the way to its verdict, for whoever explains a failure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// What a poll saw on the way to its verdict, for whoever explains a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
pub struct Observed {
    /// How the last dial ended.
    pub dialled: Option<Dialled>,
    /// How many dials there were.
    pub dials: u32,
    /// How many of them were refused.
    pub refused: u32,
    /// Where nothing listened.
    pub refused_places: BTreeSet<SocketAddr>,
    /// The name and port of the last dial that was refused.
    pub refused_at: Option<(String, u16)>,
    /// The names of those that accepted or refused a dial, in this poll or an earlier one.
    pub answering: BTreeSet<String>,
    /// The name of whoever the last dial was for, if no answer came in time, or no packet found the way.
    pub unanswered_at: Option<String>,
    /// How long the poll had run when it gave up waiting for an answer.
    pub unanswered_after: Option<Duration>,
    /// What it asked for without a grant.
    pub not_granted: Option<String>,
    /// The container has no health test.
    pub no_health_test: bool,
    /// Exit code and output of the health test, where it failed.
    pub health_test: Option<(i64, String)>,
    /// A command is not in the image.
    pub command_missing: bool,
    /// It wanted more memory than it may have.
    pub memory_exhausted: bool,
    /// The poll's end cut short what it waited for.
    pub cut: bool,
}

impl Observed {
    /// Where it dialled, if nothing listened anywhere; `None` if it did not dial, or reached somebody.
    #[must_use]
    pub fn only_refused(&self) -> Option<&BTreeSet<SocketAddr>> {
        (self.dials > 0 && self.refused == self.dials).then_some(&self.refused_places)
    }

    /// This poll's, after what the one before saw: that nothing listened says more than a dial that was cut short, and
    /// how the health test failed more than a run of it that was.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        if self.dialled == Some(Dialled::Unanswered) && earlier.dialled == Some(Dialled::Refused) {
            self.dialled = earlier.dialled;
            self.refused_at.clone_from(&earlier.refused_at);
        }
        self.answering.extend(earlier.answering.iter().cloned());
        if self.unanswered_after.is_some() {
            self.unanswered_after = self.unanswered_after.max(earlier.unanswered_after);
        }
        if self.health_test.is_none() {
            self.health_test.clone_from(&earlier.health_test);
        }
        self
    }
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The connection was made.
    Connected,
    /// Nothing listens.
    Refused,
    /// Neither in time.
    Unanswered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_dial_that_was_not_refused_reached_somebody() {
        for (dials, refused, expected) in [(0, 0, false), (1, 1, true), (3, 3, true), (2, 1, false)] {
            let observed = Observed { dials, refused, ..Observed::default() };
            assert_eq!(observed.only_refused().is_some(), expected, "{refused} of {dials}");
        }
    }
}
