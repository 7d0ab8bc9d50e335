//! What a probe remembers while it asks about one run of a container.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that only the probe understands; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// What was set last; empty at first.
    #[must_use]
    pub fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it.
    pub fn set(&self, bytes: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}
