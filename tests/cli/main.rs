//! What the program says and does by its command line: commands, options, documents, the terminal. Most need no engine.

#[path = "../support/mod.rs"]
mod support;

mod approval;
mod command_line;
mod engines;
mod guide;
mod images;
mod import;
mod new;
mod passthrough;
mod policy;
mod probe_artifacts;
mod probe_commands;
mod programs;
mod python_flags;
mod readme;
mod remote;
mod sessions;
mod terminal;
mod timings;
mod validate;
