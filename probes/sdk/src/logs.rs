//! The container's log since its current start.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Denial;
use crate::imports::logs as import;

/// The newest lines, oldest first, at most `max` of them.
///
/// # Errors
/// Why there is no log.
pub fn tail(max: u32) -> Result<Vec<String>, Denial> {
    import::tail(max)
}
