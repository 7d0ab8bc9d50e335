//! What a conversation needs of a connection, so that tests can hold one with a server in memory.

use farrier_probe::{Denial, dial};

/// An open stream of bytes.
pub trait Stream {
    /// Reads 1 to `max` bytes; an empty list is the end of the stream.
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial>;

    /// Writes all bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial>;
}

impl Stream for dial::Connection {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        Self::receive(self, max)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        Self::send(self, bytes)
    }
}
