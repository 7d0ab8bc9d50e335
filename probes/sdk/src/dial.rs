//! Byte streams to granted host:port pairs, as the harness would reach them.

use alloc::vec::Vec;
use core::time::Duration;

use crate::Denial;
use crate::imports::dial as import;

/// Bytes that one read asks for.
const READ_BYTES: u32 = 16 << 10;
/// Bytes that one write passes to the host, which takes 1 MiB in one call at most.
const WRITE_BYTES: usize = 256 << 10;

/// An open stream; dropping it closes both directions.
#[derive(Debug)]
pub struct Connection(pub(crate) import::Connection);

/// Opens a stream. `host` is the context's `host`, or the name of another granted sidecar. One dial takes at most a
/// second; a `timeout` can only shorten that.
///
/// # Errors
/// Why there is no connection.
pub fn connect(host: &str, port: u16, timeout: Option<Duration>) -> Result<Connection, Denial> {
    let timeout = timeout.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
    import::connect(host, port, timeout).map(Connection)
}

impl Connection {
    /// Waits for data, and reads 1 to `max` bytes; an empty list is the end of the stream.
    ///
    /// # Errors
    /// Why nothing could be read.
    pub fn receive(&self, max: u32) -> Result<Vec<u8>, Denial> {
        self.0.read(max)
    }

    /// Like [`read`](Self::read), but waits at most this long. Use it if the server may send nothing: a failure report
    /// does not count that silence as a slow answer.
    ///
    /// # Errors
    /// Why nothing could be read.
    pub fn receive_within(&self, max: u32, timeout: Duration) -> Result<Vec<u8>, Denial> {
        self.0.read_within(max, u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))
    }

    /// Reads until these bytes were read, and gives everything up to and with them. What follows them in the
    /// same read is lost: this is for protocols in which the server then waits to be asked.
    ///
    /// # Errors
    /// Why nothing more could be read; [`Denial::Closed`] where the stream ends before, and [`Denial::Limit`]
    /// where there are more than `max` bytes without them.
    pub fn receive_until(&self, delimiter: &[u8], max: usize) -> Result<Vec<u8>, Denial> {
        let mut bytes = Vec::new();
        loop {
            // It may have begun in what was read before.
            let first = bytes.len().saturating_sub(delimiter.len());
            let chunk = self.receive(READ_BYTES)?;
            if chunk.is_empty() {
                return Err(Denial::Closed);
            }
            bytes.extend_from_slice(&chunk);
            let rest = bytes.get(first..).unwrap_or_default();
            if let Some(at) = rest.windows(delimiter.len().max(1)).position(|window| window == delimiter) {
                bytes.truncate(first + at + delimiter.len());
                return Ok(bytes);
            }
            if bytes.len() > max {
                return Err(Denial::Limit("the answer is too long".into()));
            }
        }
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    /// Why they could not be read; [`Denial::Closed`] where the stream ends before.
    pub fn receive_exactly(&self, count: usize) -> Result<Vec<u8>, Denial> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let left = u32::try_from(count - bytes.len()).unwrap_or(u32::MAX).min(READ_BYTES);
            let chunk = self.receive(left)?;
            if chunk.is_empty() {
                return Err(Denial::Closed);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Writes all bytes, however many they are.
    ///
    /// # Errors
    /// Why they could not all be written.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Denial> {
        bytes.chunks(WRITE_BYTES).try_for_each(|chunk| self.0.write(chunk))
    }
}

#[cfg(feature = "std")]
impl std::io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let bytes = self.receive(u32::try_from(buffer.len()).unwrap_or(u32::MAX)).map_err(error)?;
        std::io::Read::read(&mut bytes.as_slice(), buffer)
    }
}

#[cfg(feature = "std")]
impl std::io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.send(bytes).map_err(error)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "std")]
fn error(denial: Denial) -> std::io::Error {
    use std::io::ErrorKind;
    let kind = match denial {
        Denial::NotGranted(_) => ErrorKind::PermissionDenied,
        Denial::Unresolved => ErrorKind::NotFound,
        Denial::Refused => ErrorKind::ConnectionRefused,
        Denial::TimedOut => ErrorKind::TimedOut,
        Denial::Closed => ErrorKind::ConnectionAborted,
        Denial::Limit(_) | Denial::Other(_) => ErrorKind::Other,
    };
    std::io::Error::new(kind, denial)
}
