//! What a conversation needs of a connection, so that tests can hold one with a server in memory.

use alloc::vec::Vec;

use farrier_probe::dial::Connection;
use farrier_probe::{Denial, tls};

/// An open stream of bytes, in plain text until it is secured.
pub trait Stream {
    /// Reads 1 to `max` bytes; an empty list is the end of the stream.
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial>;

    /// Writes all bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial>;

    /// Goes on inside TLS, with a server of this name.
    fn secure(&mut self, name: &str) -> Result<(), tls::Failure>;
}

/// A dialled connection; none once its handshake has failed.
pub struct Dialled(Option<Connection>);

impl Dialled {
    pub fn new(connection: Connection) -> Self {
        Self(Some(connection))
    }
}

impl Stream for Dialled {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        self.0.as_ref().ok_or(Denial::Closed)?.receive(max)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.0.as_ref().ok_or(Denial::Closed)?.send(bytes)
    }

    fn secure(&mut self, name: &str) -> Result<(), tls::Failure> {
        let plain = self.0.take().ok_or(tls::Failure::Denied(Denial::Closed))?;
        self.0 = Some(tls::start(plain, name, &[])?);
        Ok(())
    }
}
