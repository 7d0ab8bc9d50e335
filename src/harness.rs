//! The harness: the command after `--`. `argv` reads and rewrites it, `run` runs it, `signals` says what becomes of
//! signals meanwhile, and `watch` what becomes of sidecars, about whose ends `on_exit` does something.

pub mod argv;
mod docker_flags;
mod flag_scan;
pub mod forwards;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod gateway;
pub mod joining;
pub mod names;
pub mod nested;
pub mod network_mode;
pub mod on_exit;
mod podman_flags;
pub mod reachability;
pub mod run;
pub mod signals;
pub mod variables;
pub mod watch;
mod wrappers;
