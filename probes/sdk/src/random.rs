//! Random numbers from the system's cryptographic generator; always available, on every target.

use alloc::vec::Vec;

use crate::Denial;
use crate::imports::random as import;

/// Returns this many random bytes.
///
/// A host of an earlier contract than 0.1.2 rejects a component that calls this.
///
/// # Errors
/// If there are more than 64 KiB.
pub fn bytes(count: u32) -> Result<Vec<u8>, Denial> {
    import::bytes(count)
}
