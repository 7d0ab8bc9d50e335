//! Turns of guests that compute: all polls of a launch share one thread.
//!
//! A guest that computed until the clock interrupted it lets the others run. If several do so, the others would come
//! to their turn only after all of them; so each pauses for as long as the rest of them computes. A guest that answers
//! at once then waits for one of them, however many there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often a running guest is interrupted to let others run and to look at its deadline.
pub const TICK: Duration = Duration::from_millis(10);

/// How many guests compute.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<AtomicUsize>);

/// A guest that computed until it was interrupted, and did not wait for anything since.
#[derive(Debug)]
pub struct Computing(Turns);

impl Turns {
    /// Counts one more, until the value is dropped.
    #[must_use]
    pub fn compute(&self) -> Computing {
        self.0.fetch_add(1, Ordering::Relaxed);
        Computing(self.clone())
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Computing {
    /// How long it pauses now.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let all = self.0.0.load(Ordering::Relaxed);
        TICK * u32::try_from(all.saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pauses_while_the_others_compute() {
        let turns = Turns::default();
        let first = turns.compute();
        assert_eq!(first.pause(), Duration::ZERO, "alone");
        let others: Vec<_> = (0..9).map(|_| turns.compute()).collect();
        assert_eq!(first.pause(), 9 * TICK);
        drop(others);
        assert_eq!(first.pause(), Duration::ZERO, "alone again");
    }
}
