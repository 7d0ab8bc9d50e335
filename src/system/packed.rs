//! Files that are part of the program, compressed by the build script, because few commands need them.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// What was compressed.
///
/// # Errors
/// If the program is damaged.
pub fn unpack(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut bytes)?;
    Ok(bytes)
}
