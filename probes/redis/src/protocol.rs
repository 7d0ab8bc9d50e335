//! As much of RESP2 as PING, AUTH and INFO need.

use alloc::{format, vec::Vec};

use farrier_probe::Denial;

use crate::stream::Stream;

/// The longest line that is read. Errors of real servers are a few hundred bytes.
const LONGEST_LINE: usize = 1024;
/// The longest text that is read: INFO of a master with hundreds of replicas.
const LONGEST_TEXT: usize = 64 << 10;
/// How much is read at once.
const READ: u32 = 1024;

/// A conversation with a server.
pub struct Conversation<'a, S> {
    server: &'a mut S,
    /// Received, and not yet looked at.
    unread: Vec<u8>,
}

impl<'a, S: Stream> Conversation<'a, S> {
    pub fn new(server: &'a mut S) -> Self {
        Self { server, unread: Vec::new() }
    }

    /// Sends one command and reads the first line of its reply, without its end.
    ///
    /// # Errors
    /// The connection ended or failed before the line was whole.
    pub fn call(&mut self, words: &[&str]) -> Result<Vec<u8>, Denial> {
        self.server.send(&command(words))?;
        self.line()
    }

    /// The text that follows a reply's first line (`$123`), as far as it is read; none if the reply is something else.
    ///
    /// # Errors
    /// The connection ended or failed before the text was whole.
    pub fn text_of(&mut self, reply: &[u8]) -> Result<Option<Vec<u8>>, Denial> {
        let length =
            reply.strip_prefix(b"$").and_then(|length| core::str::from_utf8(length).ok()?.parse().ok());
        let Some(length) = length.map(|length: usize| length.min(LONGEST_TEXT)) else { return Ok(None) };
        while self.unread.len() < length {
            if !self.receive()? {
                return Err(Denial::Closed);
            }
        }
        Ok(Some(self.unread.drain(..length).collect()))
    }

    /// Reads up to a line's end, or as much as a reply may hold: what is longer is none, and its beginning says so.
    /// A server that says something and then closes is quoted too.
    fn line(&mut self) -> Result<Vec<u8>, Denial> {
        let end = loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                break end + 1;
            }
            if self.unread.len() >= LONGEST_LINE {
                break LONGEST_LINE;
            }
            match self.receive() {
                Ok(true) => {}
                _ if !self.unread.is_empty() => break self.unread.len(),
                Ok(false) => return Err(Denial::Closed),
                Err(denial) => return Err(denial),
            }
        };
        let mut line: Vec<u8> = self.unread.drain(..end).collect();
        while matches!(line.last(), Some(b'\r' | b'\n')) {
            line.pop();
        }
        Ok(line)
    }

    /// Whether more came.
    fn receive(&mut self) -> Result<bool, Denial> {
        let bytes = self.server.receive(READ)?;
        self.unread.extend_from_slice(&bytes);
        Ok(!bytes.is_empty())
    }
}

/// An array of bulk strings.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
