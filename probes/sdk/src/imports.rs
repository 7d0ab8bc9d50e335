//! Where the capabilities come from: the host that runs the component, or, natively, the test double.

#[cfg(target_family = "wasm")]
pub use crate::bindings::farrier::probe::{dial, exec, health, log, logs, state, tls};
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::host::{dial, exec, health, log, logs, state, tls};
