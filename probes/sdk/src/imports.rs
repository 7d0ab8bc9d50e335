//! Where the capabilities come from: the host that runs the component, or, natively, the test double.

#[cfg(target_family = "wasm")]
pub use crate::bindings::farrier::probe::{clock, dial, env, exec, health, log, logs, random, state, tls};
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::host::{clock, dial, env, exec, health, log, logs, random, state, tls};
