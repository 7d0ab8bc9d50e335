//! The clock of waits and polls: tokio's, which stands still where `farrier probe test` plays a scenario, so that
//! minutes take no time.
//!
//! Such a clock moves on when nothing is left to do but to wait: straight to the next timer. How long farrier itself or a
//! guest computes takes no time on it. While nobody stops it, this is the system's monotonic clock, for the price of one
//! load from memory.

use std::time::{Duration, Instant};

/// The moment now.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since a moment of this clock.
#[must_use]
pub fn since(moment: Instant) -> Duration {
    now().saturating_duration_since(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stopped_clock_moves_on_to_the_next_timer() {
        let (begun, real) = (now(), Instant::now());
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(since(begun), Duration::from_secs(600));
        assert!(real.elapsed() < Duration::from_secs(60), "nobody waited for it");
        let frozen = now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(now(), frozen, "computing takes no time on it");
    }
}
