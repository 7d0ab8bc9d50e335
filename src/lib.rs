//! farrier starts the sidecar containers that a harness needs, proves that each one is ready with a sandboxed
//! WebAssembly probe, makes them reachable, and then runs the harness in the foreground.

#![warn(
    clippy::exit,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs
)]
#![cfg_attr(
    any(test, fuzzing),
    allow(clippy::missing_panics_doc, reason = "a fuzzing target says by a panic that a promise is broken")
)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod approval;
pub mod cli;
pub mod definition;
pub mod engine;
pub mod event;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod harness;
pub mod launch;
pub mod manage;
pub mod plan;
pub mod preparation;
pub mod probe;
pub mod readiness;
pub mod report;
pub mod system;

/// Runs a command line, the program's name first, as the program itself does.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Before anything else: a supervisor stays as small as this leaves it.
    run_role(&arguments).unwrap_or_else(|| cli::run(arguments).into())
}

/// Does what farrier executes itself for, if these arguments ask for it. A program that calls [`run`] later, with arguments
/// of its own in front, calls this first.
#[must_use]
pub fn run_role(arguments: &[OsString]) -> Option<ExitCode> {
    engine::kinds::help_engine(arguments).or_else(|| probe::native_code::run(arguments)).map(ExitCode::from)
}
