//! Granted commands, run inside the sidecar's container.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Denial;
use crate::imports::exec as import;

pub use crate::bindings::farrier::probe::exec::Output;

/// Runs one granted command to its end. `argv` must equal a granted list element by element.
///
/// # Errors
/// Why the command could not be run; an exit code other than 0 is no error.
pub fn run<A: AsRef<str>>(argv: &[A]) -> Result<Output, Denial> {
    let argv: Vec<String> = argv.iter().map(|argument| argument.as_ref().into()).collect();
    import::run(&argv)
}

/// The command in the definition's `readiness.command`.
#[must_use]
pub fn declared() -> Option<Vec<String>> {
    import::declared()
}
