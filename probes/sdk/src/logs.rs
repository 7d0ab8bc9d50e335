//! The container's log since its latest start.

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

/// Returns the lines from number `first` onwards, oldest first; the first line since the start is number 0. Returns an
/// empty list if the container has not written line `first` yet.
///
/// One call returns at most `max` lines, and never more than 10,000 lines or 256 KiB; each line is truncated at 16 KiB. A
/// probe that keeps the next line's number in [`state`](crate::state) reads each line once.
///
/// # Errors
/// Why there is no log.
pub fn read(first: u64, max: u32) -> Result<Vec<String>, Denial> {
    import::read(first, max)
}
