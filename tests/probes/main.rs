//! Probes: what a component may do and what it is refused, the ways to make one, and the built-in ones on real servers.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod built_in;
mod contract;
mod from_project_to_launch;
mod grants;
mod hostile_text;
mod languages;
mod native_cache;
mod projects;
mod python;
mod sandbox;
mod tls;
mod wasi;
