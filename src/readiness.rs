//! Readiness: when to poll (`schedule`), what ends a wait (`wait`, woken by `watch`), what to tell when it
//! fails (`dossier`), the gate that executed commands pass (`executions`), and the last look at all sidecars before the
//! harness starts (`barrier`).

pub mod barrier;
pub(crate) mod busy;
pub mod cause;
pub mod dossier;
mod excerpt;
pub mod executions;
pub mod listeners;
mod look;
mod older_data;
pub mod phase;
pub mod powers;
mod report;
pub mod schedule;
pub mod until;
pub mod wait;
pub mod watch;
