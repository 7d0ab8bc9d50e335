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

pub mod apply;
pub mod approval;
pub mod caches;
pub mod cli;
pub mod commands;
pub mod connection;
pub mod definition;
pub mod departure;
pub mod doctor;
pub mod elapsed;
pub mod engine;
pub mod error;
pub mod event;
pub mod exit;
pub mod explanation;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod harness;
pub mod job_control;
pub mod launch;
pub mod lock;
pub mod managed;
pub mod plan;
pub mod preparation;
pub mod private_files;
pub mod probe;
pub mod process_limits;
pub mod proxies;
pub mod reachability;
pub mod readiness;
pub mod reconcile;
pub mod registry;
pub mod relay;
pub mod removal;
pub mod route;
pub mod runtime;
pub mod settings;
pub mod shell;
pub mod sidecar;
pub mod snapshot;
pub mod stopping;
pub mod timings;
pub mod ui;
pub mod unused_workspace;
pub mod working_trees;

/// Runs a command line, the program's name first, as the program itself does.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> std::process::ExitCode {
    commands::run(arguments).into()
}
