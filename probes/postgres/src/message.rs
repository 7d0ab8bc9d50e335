//! Messages of the frontend/backend protocol 3.0.

use alloc::vec::Vec;

use farrier_probe::Denial;
use farrier_probe::stream::{Failure, Stream, quote, take};

/// A message's kind and length; the length counts itself.
const HEADER: u32 = 5;
const LENGTH: u32 = 4;
/// How much of a message is kept. Rows of a query may be longer; nothing that is looked at is.
const KEPT: u32 = 16 << 10;
/// A longer error is not one: servers that cannot start a session at all send plain text instead.
const LONGEST_ERROR: u32 = 30_000;

/// What the server says: its kind and the beginning of its content.
#[derive(Debug)]
pub struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// Asks for a session. The first message is the only one without a kind.
///
/// # Errors
/// It cannot be sent.
pub fn start(server: &mut impl Stream, user: &str, database: &str) -> Result<(), Denial> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, "application_name", "farrier"] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    server.send(&framed(&[], &body))
}

/// Sends one message.
///
/// # Errors
/// It cannot be sent.
pub fn send(server: &mut impl Stream, kind: u8, body: &[u8]) -> Result<(), Denial> {
    server.send(&framed(&[kind], body))
}

fn framed(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(LENGTH as usize + body.len()).unwrap_or(u32::MAX);
    [kind, &length.to_be_bytes(), body].concat()
}

/// Reads one message of these kinds.
///
/// # Errors
/// The connection ended first, or this is no such message.
pub fn receive(server: &mut impl Stream, kinds: &[u8]) -> Result<Message, Failure> {
    let header = take(server, HEADER)?;
    let (kind, length) = match header.split_first() {
        Some((&kind, length)) => (kind, length.try_into().map(u32::from_be_bytes).unwrap_or_default()),
        None => return Err(Denial::Closed.into()),
    };
    if kind == b'E' && length > LONGEST_ERROR {
        return plain_error(server, header.get(1..).unwrap_or_default());
    }
    if length < LENGTH || !kinds.contains(&kind) {
        let mut said = header;
        quote(server, &mut said);
        return Err(Failure::Foreign(said));
    }
    let length = length - LENGTH;
    let body = take(server, length.min(KEPT))?;
    let mut rest = length.saturating_sub(KEPT);
    while rest > 0 && body.len() == KEPT as usize {
        let passed = server.receive(rest.min(KEPT))?;
        if passed.is_empty() {
            return Err(Denial::Closed.into());
        }
        rest = rest.saturating_sub(u32::try_from(passed.len()).unwrap_or(u32::MAX));
    }
    if body.len() < length.min(KEPT) as usize {
        return Err(Denial::Closed.into());
    }
    Ok(Message { kind, body })
}

/// What the postmaster says when it cannot start a process: `E`, text, NUL. Given back as an error whose only
/// field is its message.
fn plain_error(server: &mut impl Stream, beginning: &[u8]) -> Result<Message, Failure> {
    let mut text = beginning.to_vec();
    quote(server, &mut text);
    text.retain(|&byte| byte != 0);
    if text.iter().any(|byte| !byte.is_ascii_graphic() && *byte != b' ') {
        return Err(Failure::Foreign([b"E", text.as_slice()].concat()));
    }
    Ok(Message { kind: b'E', body: [b"M", text.as_slice(), b"\0\0"].concat() })
}
