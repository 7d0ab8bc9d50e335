//! Launches on a real engine that fails, hangs, lies or restarts; launches that are killed, many at once, and
//! signalled at every stage: nothing is lost, and the next launch works.
//!
//! The ordinary run takes a part of the tables; with `FARRIER_ALL_FAULTS=1` every case runs.

mod crowds;
mod folders;
mod kills;
mod other_user;
mod outages;
mod setup;
mod signals;
mod troubles;
