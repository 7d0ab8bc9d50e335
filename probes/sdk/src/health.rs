//! The engine's health status of the container, and the image's own health test.

use crate::Denial;
use crate::imports::health as import;

pub use crate::bindings::farrier::probe::health::{HealthStatus, TestResult};

/// The engine's latest status, without waiting.
///
/// # Errors
/// Why there is no answer.
pub fn status() -> Result<HealthStatus, Denial> {
    import::status()
}

/// Runs the image's HEALTHCHECK once, now. Returns `None` if the image declares no test.
///
/// # Errors
/// Why the test could not be run; an exit code other than 0 is no error.
pub fn run_test() -> Result<Option<TestResult>, Denial> {
    import::run_test()
}
