//! Packets of the client/server protocol, and reading what is in them.

use alloc::vec::Vec;

use farrier_probe::Denial;
use farrier_probe::stream::{Failure, Stream, quote, take};

/// Three bytes of length, one of sequence.
const HEADER: u32 = 4;
/// Longer packets do not occur in a handshake: another protocol's first bytes were taken for a length.
const LONGEST: u32 = 4096;
/// How much is kept of a packet that may be longer. What is looked at is at its beginning.
const KEPT: u32 = 4096;
/// A packet of this length is continued in the next one.
const CONTINUED: u32 = 0xff_ffff;

/// A packet's number and content.
#[derive(Debug)]
pub struct Packet {
    pub sequence: u8,
    pub body: Vec<u8>,
    /// Whether the next packet does not continue this one.
    pub whole: bool,
}

/// Sends one packet.
///
/// # Errors
/// It cannot be sent.
pub fn send(server: &mut impl Stream, sequence: u8, body: &[u8]) -> Result<(), Denial> {
    // Longer ones would have to be split; a handshake's are not.
    let [first, second, third, _] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    server.send(&[&[first, second, third, sequence], body].concat())
}

/// Reads one packet of a handshake.
///
/// # Errors
/// The connection ended first, or this is no such packet.
pub fn receive(server: &mut impl Stream) -> Result<Packet, Failure> {
    let (header, length, sequence) = header(server)?;
    if length == 0 || length > LONGEST {
        let mut said = header;
        quote(server, &mut said);
        return Err(Failure::Foreign(said));
    }
    let body = take(server, length)?;
    if body.len() < length as usize {
        return Err(Denial::Closed.into());
    }
    Ok(Packet { sequence, body, whole: true })
}

/// Reads one packet of any length, and keeps its beginning.
///
/// # Errors
/// The connection ended first.
pub fn receive_any(server: &mut impl Stream) -> Result<Packet, Failure> {
    let (_, length, sequence) = header(server)?;
    let mut body = if length == 0 { Vec::new() } else { take(server, length.min(KEPT))? };
    let mut passed = u32::try_from(body.len()).unwrap_or(u32::MAX);
    while passed < length {
        let bytes = server.receive((length - passed).min(KEPT))?;
        if bytes.is_empty() {
            return Err(Denial::Closed.into());
        }
        passed = passed.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }
    body.truncate(KEPT as usize);
    Ok(Packet { sequence, body, whole: length < CONTINUED })
}

/// A packet's header, and in it its length and number.
fn header(server: &mut impl Stream) -> Result<(Vec<u8>, u32, u8), Failure> {
    let header = take(server, HEADER)?;
    match header.as_slice() {
        &[first, second, third, sequence] => {
            Ok((header, u32::from_le_bytes([first, second, third, 0]), sequence))
        }
        _ => Err(Failure::Foreign(header)),
    }
}

/// What is left of a packet while it is read from its beginning.
pub struct Rest<'a>(pub &'a [u8]);

impl<'a> Rest<'a> {
    /// The next bytes; none where fewer are left.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next bytes as an array.
    pub fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.bytes(COUNT)?.try_into().ok()
    }

    /// Up to a NUL, which is passed over, or to the end.
    pub fn text(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        text
    }
}
