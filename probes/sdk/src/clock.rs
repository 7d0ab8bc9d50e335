//! A clock for measuring; always available, on every target.

use core::time::Duration;

use crate::imports::clock as import;

/// The time since a moment that stays the same for all polls of a launch. It never decreases.
///
/// A host of an earlier contract than 0.1.2 rejects a component that calls this. For the time since the wait began, use
/// [`Context::elapsed`](crate::Context::elapsed) instead.
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(import::now())
}
