//! Frames of AMQP 0-9-1 that contain methods, and the fields of methods (AMQP 0-9-1, 2.3.5 and 4.2).

use alloc::vec::Vec;

use farrier_probe::Denial;
use farrier_probe::stream::{Failure, Stream, quote, take};

/// The protocol's name and version, with which a client begins.
pub const PROTOCOL: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// A frame's kind, channel and length, in bytes.
const HEAD: u32 = 7;
const METHOD: u8 = 1;
const HEARTBEAT: u8 = 8;
/// The byte behind each frame.
const END: u8 = 0xce;
/// The longest frame that is read, in bytes. While a connection begins, none is longer than 4,096; RabbitMQ's properties
/// need 600.
const LONGEST: u32 = 64 << 10;
/// More heartbeats than a server sends within a poll.
const MOST_HEARTBEATS: usize = 10;

/// A method of the class `connection`, the only class before a channel is opened.
#[derive(Debug, PartialEq)]
pub struct Method {
    pub number: u16,
    pub arguments: Vec<u8>,
}

/// What a server says: a method, or, if it speaks another version, the version that it speaks.
#[derive(Debug, PartialEq)]
pub enum Said {
    Method(Method),
    /// What follows `AMQP` in a protocol header: an identifier, and three numbers.
    OtherVersion([u8; 4]),
}

/// The class `connection`.
const CONNECTION: u16 = 10;

/// Sends one method.
///
/// # Errors
/// It cannot be sent.
pub fn send(server: &mut impl Stream, number: u16, arguments: &[u8]) -> Result<(), Denial> {
    let payload = [&CONNECTION.to_be_bytes(), &number.to_be_bytes(), arguments].concat();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    server.send(&[&[METHOD, 0, 0], length.as_slice(), &payload, &[END]].concat())
}

/// Reads one method, or the header of another version.
///
/// # Errors
/// The connection ended first, or this is neither.
pub fn receive(server: &mut impl Stream) -> Result<Said, Failure> {
    for _ in 0..MOST_HEARTBEATS {
        let head = take(server, HEAD)?;
        if let Some(version) = other_version(server, &head)? {
            return Ok(Said::OtherVersion(version));
        }
        let (kind, length) = match head.as_slice() {
            &[kind @ (METHOD | HEARTBEAT), 0, 0, a, b, c, d] => (kind, u32::from_be_bytes([a, b, c, d])),
            _ => return Err(foreign(server, head)),
        };
        if length > LONGEST {
            return Err(foreign(server, head));
        }
        let mut payload = take(server, length + 1)?;
        if payload.len() <= length as usize {
            return Err(Denial::Closed.into());
        }
        if payload.pop() != Some(END) {
            return Err(Failure::Foreign(payload));
        }
        if kind == HEARTBEAT {
            continue;
        }
        let mut fields = Fields(&payload);
        return match (fields.short(), fields.short()) {
            (Some(CONNECTION), Some(number)) => {
                Ok(Said::Method(Method { number, arguments: fields.0.to_vec() }))
            }
            _ => Err(Failure::Foreign(payload)),
        };
    }
    Err(Denial::TimedOut.into())
}

/// The version in a protocol header, whose first bytes were read as a frame's head.
fn other_version(server: &mut impl Stream, head: &[u8]) -> Result<Option<[u8; 4]>, Failure> {
    let Some(&[identifier, major, minor]) = head.strip_prefix(b"AMQP") else { return Ok(None) };
    Ok(take(server, 1)?.first().map(|&revision| [identifier, major, minor, revision]))
}

fn foreign(server: &mut impl Stream, mut said: Vec<u8>) -> Failure {
    quote(server, &mut said);
    Failure::Foreign(said)
}

/// The fields of a method that are still to be read.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// A number of two bytes; none if fewer are left.
    pub fn short(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// A text of up to 255 bytes.
    pub fn short_text(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first()?;
        let (text, rest) = rest.split_at_checked(length.into())?;
        self.0 = rest;
        Some(text)
    }

    /// A text or a table of any length.
    pub fn long_text(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(text)
    }
}

/// A text of up to 255 bytes; more are left out.
pub fn short_text(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length], text.get(..length.into()).unwrap_or_default()].concat()
}

/// A text or a table of any length.
pub fn long_text(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes(), text].concat()
}
