//! The harness: the command after `--`. `argv` reads and rewrites it, `run` runs it.

pub mod argv;
mod docker_flags;
mod flag_scan;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod network_mode;
pub mod run;
mod wrappers;
