//! Digests of what is read: `sha256:` and 64 hex digits.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::damaged;

/// Digests what is read through it.
pub struct Digesting<R> {
    content: R,
    hasher: Sha256,
}

impl<R: Read> Digesting<R> {
    /// Of this content.
    pub fn of(content: R) -> Self {
        Self { content, hasher: Sha256::new() }
    }

    /// The digest of all that was read.
    pub fn digest(self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.finalize()))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The digest of these bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The hex digits of a digest that can name a file.
///
/// # Errors
/// If it is none of the form that farrier checks.
pub fn hex_digits(digest: &str) -> io::Result<&str> {
    let is_hex = |hex: &&str| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let hex = digest.strip_prefix("sha256:").filter(is_hex);
    hex.ok_or_else(|| damaged(format!("{digest:?} is not a digest of the form `sha256:` and 64 hex digits")))
}
