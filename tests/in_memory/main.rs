//! Launches on the engine in memory: real probes, real listeners, and every fault that an engine can have.

#![allow(clippy::indexing_slicing, reason = "where an index is wrong, the test has failed")]

mod calls;
mod decisions;
mod engine_faults;
mod engines;
mod last_look;
mod leases;
mod left_behind;
mod managing;
mod order;
mod other_tools;
mod outages;
mod scenario;
mod sessions;
mod setup;
mod waits;
mod watch;
