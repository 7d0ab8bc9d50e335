//! WASI's clocks in a scenario, where farrier's own clock stands still until nothing is left but to wait.

use std::time::{Duration, Instant};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::system::clock;

/// A clock that stands still while a guest computes.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// When the wait began.
    pub begun: Instant,
    /// Which date it was then, as the time since 1970.
    pub date: Duration,
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        clock::since(self.begun).as_nanos().try_into().unwrap_or(u64::MAX)
    }
}

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.date + clock::since(self.begun)
    }
}
