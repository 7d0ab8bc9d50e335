#![doc = include_str!("../README.md")]
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(any(feature = "std", not(target_family = "wasm")))]
extern crate std;

// Generated from `wit/`: what the component model needs, and nothing that a guest calls itself.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic)]
pub mod bindings;

pub mod checks;
pub mod clock;
pub mod dial;
pub mod env;
pub mod exec;
#[doc(hidden)]
pub mod export;
pub mod health;
#[cfg(feature = "http")]
pub mod http;
mod imports;
pub mod line;
pub mod lines;
pub mod log;
pub mod logs;
#[cfg(all(feature = "minimal", target_family = "wasm"))]
mod minimal;
#[cfg(all(feature = "panics", target_family = "wasm", target_os = "unknown"))]
mod panics;
mod probe;
pub mod random;
pub mod schema;
mod settings;
pub mod state;
pub mod stream;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod tls;
mod verdict;

pub use bindings::settings::exports::farrier::probe::settings::Problem;
/// Derives [`Schema`] from the type of a probe's settings.
pub use farrier_probe_derive::Schema;
pub use line::Line;
pub use probe::{Context, Denial, Probe};
pub use schema::Schema;
pub use settings::{NoSettings, Settings};
pub use verdict::{Pending, Verdict};
