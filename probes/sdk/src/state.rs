//! What a probe remembers from one poll to the next of one run of the container: always available.

use alloc::vec::Vec;

use crate::Denial;
use crate::imports::state as import;

/// What [`set`] was last given; empty when a run of the container begins.
pub fn get() -> Vec<u8> {
    import::get()
}

/// Remembers this in place of what was remembered before, also if this poll is cut short afterwards.
///
/// # Errors
/// It is more than 64 KiB.
pub fn set(bytes: &[u8]) -> Result<(), Denial> {
    import::set(bytes)
}
