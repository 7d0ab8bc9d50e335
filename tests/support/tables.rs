//! Tables of faults, of which an ordinary run takes a part.

/// With the value 1, every case of a table runs.
pub const ALL_FAULTS: &str = "FARRIER_ALL_FAULTS";

/// Whether every case runs.
pub fn is_whole() -> bool {
    std::env::var_os(ALL_FAULTS).is_some_and(|value| value == "1")
}

/// Every how many cases one runs: every one, or of an ordinary run every so manieth.
pub fn step(every: usize) -> usize {
    if is_whole() { 1 } else { every }
}
