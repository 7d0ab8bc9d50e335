//! Variables of the definition's own `env`, as far as its grants cover them; on every target, without WASI.

use alloc::string::String;

use crate::Denial;
use crate::imports::env as import;

/// The value of a granted variable.
///
/// A host of an earlier contract than 0.1.2 rejects a component that calls this.
///
/// # Errors
/// If the variable is not granted.
pub fn get(name: &str) -> Result<String, Denial> {
    import::get(name)
}
