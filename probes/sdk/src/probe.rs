//! The trait that every probe implements.

use core::time::Duration;

use alloc::vec::Vec;

use crate::{Problem, Settings, Verdict};

pub use crate::bindings::farrier::probe::types::{Context, Denial};

/// A readiness probe. Make it one with [`export!`](crate::export!).
pub trait Probe {
    /// The type of the definition's `readiness.settings`: [`NoSettings`](crate::NoSettings), or any type that
    /// serde can deserialise.
    type Settings: Settings;

    /// One poll. Each poll starts with fresh memory; only [`state`](crate::state) survives.
    fn check(context: &Context, settings: Self::Settings) -> Verdict;

    /// Checks settings beyond their types, before farrier starts any container.
    ///
    /// # Errors
    /// Every problem found, each with the path of its field.
    fn validate(_settings: &Self::Settings) -> Result<(), Vec<Problem>> {
        Ok(())
    }
}

impl Context {
    /// The time since the wait began.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// The time until the wait ends.
    #[must_use]
    pub const fn remaining(&self) -> Duration {
        Duration::from_millis(self.remaining_ms)
    }
}

impl Denial {
    /// What to say about it, without the formatting machinery that `Display` would pull into the component.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::NotGranted(text) | Self::Limit(text) | Self::Other(text) => text,
            Self::Unresolved => "the name does not resolve",
            Self::Refused => "connection refused",
            Self::TimedOut => "timed out",
            Self::Closed => "connection closed",
        }
    }
}
