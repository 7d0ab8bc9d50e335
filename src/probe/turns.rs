//! Turns of guests that compute: all polls of a launch share one thread.
//!
//! A guest that computed until the clock interrupted it lets the others run. If several do so, the others would come
//! to their turn only after all of them; so each pauses for as long as the rest of them computes. A guest that answers
//! at once then waits for one of them, however many there are.
//!
//! The clock ticks for all guests at once, also for those that waited until a moment ago. What counts is how long a guest
//! has had the thread since it last gave it away: with a tick in the midst of a hundred short answers, each of them would
//! otherwise pause for the rest.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

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

/// Since when a guest has had the thread.
#[derive(Clone, Debug)]
pub struct Stretch(Arc<Mutex<Instant>>);

impl Default for Stretch {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Stretch {
    /// Runs a guest; each time it gets the thread, a new stretch begins.
    pub async fn of<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = pin!(guest);
        std::future::poll_fn(|context| self.resume(guest.as_mut(), context)).await
    }

    fn resume<T>(&self, guest: Pin<&mut impl Future<Output = T>>, context: &mut Context<'_>) -> Poll<T> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        guest.poll(context)
    }

    /// Whether the guest has had the thread for so long that a tick interrupts it: most of the time between two.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= TICK / 2
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

    #[tokio::test]
    async fn only_a_guest_that_has_had_the_thread_since_the_last_tick_is_interrupted() {
        let stretch = Stretch::default();
        let long = || Instant::now().checked_sub(TICK).expect("a time");
        *stretch.0.lock().expect("no panic") = long();
        assert!(stretch.is_long(), "it computes");
        let guest = async {
            *stretch.0.lock().expect("no panic") = long();
            tokio::task::yield_now().await;
            stretch.0.lock().expect("no panic").to_owned()
        };
        let before = long();
        assert!(stretch.of(guest).await > before + TICK / 2, "it waited, and a new stretch began");
    }
}
