//! Readiness: when to poll (`schedule`), what ends a wait (`wait`, woken by `watch`), how probes reach instances
//! (`route`, `families`), the last look at all sidecars before the harness starts (`barrier`), and a wait without an
//! engine (`dry_run`).

pub mod barrier;
pub mod context;
pub mod dry_run;
pub mod families;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod look;
pub mod matches;
pub mod phase;
mod redial;
pub mod route;
pub mod scenario;
pub mod schedule;
mod until;
pub mod wait;
pub mod watch;
