//! An answer, and its body as it comes.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Failure, Head, receive};
use crate::Denial;
use crate::dial::Connection;

/// The most bytes of a line that says how long a chunk is.
const CHUNK_LINE_BYTES: usize = 1 << 10;

/// An answer, whose body is read on demand. Dropping it closes the connection.
#[derive(Debug)]
pub struct Response {
    /// The status code: `200`.
    pub status: u16,
    headers: Vec<(String, String)>,
    connection: Connection,
    /// Received, and not yet given out.
    buffer: Vec<u8>,
    framing: Framing,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After the chunk of no bytes; this one has so many bytes left, and a line's end behind it.
    Chunk { left: u64 },
    /// Before the next chunk's length.
    BetweenChunks,
    /// With the connection.
    Connection,
}

impl Response {
    pub(super) fn new(head: Head, bodiless: bool, connection: Connection, buffer: Vec<u8>) -> Self {
        let Head { status, headers, .. } = head;
        let mut response = Self { status, headers, connection, buffer, framing: Framing::Connection };
        let chunked = response.header("transfer-encoding").is_some_and(|coding| {
            coding.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
        });
        let length = response.header("content-length").and_then(|length| length.trim().parse().ok());
        response.framing = match length {
            _ if bodiless || matches!(status, 204 | 304) => Framing::Length(0),
            _ if chunked => Framing::BetweenChunks,
            Some(length) => Framing::Length(length),
            None => Framing::Connection,
        };
        response
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The next part of the body; none where it has ended.
    ///
    /// # Errors
    /// The answer breaks off.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            match self.framing {
                Framing::Length(0) => return Ok(None),
                Framing::Length(left) => {
                    let part = self.take(left)?;
                    self.framing = Framing::Length(left - part.len() as u64);
                    return Ok(Some(part));
                }
                Framing::Chunk { left: 0 } => {
                    let end = self.line()?;
                    if !end.is_empty() {
                        return Err(Failure::Cut(Denial::Other("a chunk is longer than it says".into())));
                    }
                    self.framing = Framing::BetweenChunks;
                }
                Framing::Chunk { left } => {
                    let part = self.take(left)?;
                    self.framing = Framing::Chunk { left: left - part.len() as u64 };
                    return Ok(Some(part));
                }
                Framing::BetweenChunks => {
                    // What follows the last chunk says nothing that a probe asks for.
                    self.framing = match self.chunk_length()? {
                        0 => Framing::Length(0),
                        left => Framing::Chunk { left },
                    };
                }
                Framing::Connection => {
                    if self.buffer.is_empty() {
                        self.buffer = receive(&self.connection).map_err(Failure::Cut)?;
                    }
                    let part = core::mem::take(&mut self.buffer);
                    return Ok(Some(part).filter(|part| !part.is_empty()));
                }
            }
        }
    }

    /// The body, and whether this is all of it: at most `max` bytes are read.
    ///
    /// # Errors
    /// The answer breaks off.
    pub fn body(&mut self, max: usize) -> Result<(Vec<u8>, bool), Failure> {
        let mut body = Vec::new();
        while let Some(part) = self.chunk()? {
            body.extend_from_slice(&part);
            if body.len() > max {
                body.truncate(max);
                return Ok((body, false));
            }
        }
        Ok((body, true))
    }

    /// Some of the next `left` bytes.
    fn take(&mut self, left: u64) -> Result<Vec<u8>, Failure> {
        if self.buffer.is_empty() {
            self.more()?;
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(self.buffer.drain(..count).collect())
    }

    fn more(&mut self) -> Result<(), Failure> {
        let part = receive(&self.connection).map_err(Failure::Cut)?;
        if part.is_empty() {
            return Err(Failure::Cut(Denial::Closed));
        }
        self.buffer.extend_from_slice(&part);
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=at).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.buffer.len() > CHUNK_LINE_BYTES {
                return Err(Failure::Cut(Denial::Other("a line between chunks is too long".into())));
            }
            self.more()?;
        }
    }

    fn chunk_length(&mut self) -> Result<u64, Failure> {
        let mut line = self.line()?;
        line.extend_from_slice(b"\r\n");
        match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, length))) => Ok(length),
            _ => Err(Failure::Cut(Denial::Other("a chunk does not say how long it is".into()))),
        }
    }
}
