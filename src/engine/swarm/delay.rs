//! Telling what a start waits for that takes long.

use std::time::{Duration, Instant};

use super::apply::Carrying;
use crate::engine::Progress;

/// How long a start may take without a word.
const SILENT: Duration = Duration::from_secs(3);

/// What the wait for one start has told.
pub(super) struct Delay {
    begun: Instant,
    /// The last reason.
    told: String,
}

impl From<Instant> for Delay {
    /// Of a wait that began then.
    fn from(begun: Instant) -> Self {
        Self { begun, told: String::new() }
    }
}

impl Delay {
    /// Tells the reason if the wait is long and the reason a new one.
    pub(super) async fn tell(&mut self, carrying: &Carrying<'_>, reason: impl AsyncFnOnce() -> String) {
        if self.begun.elapsed() < SILENT {
            return;
        }
        let reason = reason().await;
        if reason != self.told {
            let sidecar = carrying.sidecar().name();
            carrying.carrier.tell(Progress::Delayed { sidecar, reason: &reason });
            self.told = reason;
        }
    }
}
