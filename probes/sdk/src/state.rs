//! Memory that lasts from one poll to the next within one run of the container; always available.

use alloc::vec::Vec;

use crate::Denial;
use crate::imports::state as import;

/// Returns the bytes that [`set`] stored last; empty when a run of the container begins.
pub fn get() -> Vec<u8> {
    import::get()
}

/// Stores these bytes in place of the earlier ones, even if the poll is cut short afterwards.
///
/// # Errors
/// If there are more than 64 KiB.
pub fn set(bytes: &[u8]) -> Result<(), Denial> {
    import::set(bytes)
}
