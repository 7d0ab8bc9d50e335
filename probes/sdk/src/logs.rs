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

/// The lines from number `first` on, oldest first; the first line since the start is number 0. Empty if the container has
/// not written so far yet.
///
/// One call gives at most `max` and 10,000 lines and 256 KiB, each line cut at 16 KiB. Whoever keeps the next
/// number in [`state`](crate::state) reads each line once, however many there are.
///
/// # Errors
/// Why there is no log.
pub fn read(first: u64, max: u32) -> Result<Vec<String>, Denial> {
    import::read(first, max)
}
