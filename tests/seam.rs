//! Launches on the engine in memory: real probes, real listeners, and every fault that an engine can have.
#![allow(clippy::indexing_slicing, reason = "where an index is wrong, the test has failed")]

#[path = "seam/barrier.rs"]
mod barrier;
#[path = "seam/bench.rs"]
mod bench;
#[path = "seam/calls.rs"]
mod calls;
#[path = "seam/decisions.rs"]
mod decisions;
#[path = "seam/departures.rs"]
mod departures;
#[path = "seam/faults.rs"]
mod faults;
#[path = "seam/managing.rs"]
mod managing;
#[path = "seam/meddling.rs"]
mod meddling;
#[path = "seam/outages.rs"]
mod outages;
#[path = "seam/remembered.rs"]
mod remembered;
#[path = "seam/scenario.rs"]
mod scenario;
#[path = "seam/waits.rs"]
mod waits;
#[path = "seam/watch.rs"]
mod watch;
