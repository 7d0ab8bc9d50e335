//! Digests as text.

use sha2::{Digest, Sha256};

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}
