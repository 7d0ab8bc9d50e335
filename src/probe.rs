//! Probes: WebAssembly components that answer "is it ready?", sandboxed.
//!
//! `component` reads a file's outside without compiling it, `grants` holds its imports against what it was granted,
//! `native_code` compiles it in a process of its own, `host` polls it. What it may import are the capabilities of its
//! contract's version, one file each (`since_0_1_0`), and WASI (`wasi`).

pub mod artifacts;
pub mod built_in;
pub mod cache;
pub mod capabilities;
pub mod catalogue;
pub mod compile;
pub mod complexity;
pub mod component;
pub mod component_reader;
pub mod context;
pub mod contract;
mod deadline;
pub mod denial;
pub mod directories;
pub mod encode;
pub mod engines;
pub mod executions;
pub mod folders;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod grants;
pub mod guest;
pub mod host;
pub mod limits;
pub mod memory;
pub mod metadata;
pub mod native_code;
pub mod numbered_log;
pub mod observed;
pub mod platform;
pub mod private_copies;
pub mod project;
pub mod randomness;
pub mod sections;
pub mod settings_schema;
pub mod since_0_1_0;
pub mod store;
pub mod tls;
pub mod turns;
pub mod usage;
mod verdict;
pub mod wasi;
