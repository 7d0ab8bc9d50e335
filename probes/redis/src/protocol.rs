//! As much of RESP2 as PING, AUTH and INFO need.

use alloc::{format, vec::Vec};

use farrier_probe::Denial;
use farrier_probe::lines::Lines;
use farrier_probe::stream::Stream;

/// The longest line that is read. Errors of real servers are a few hundred bytes.
const LONGEST_LINE: usize = 1024;
/// The longest text that is read: INFO of a master with hundreds of replicas.
const LONGEST_TEXT: usize = 64 << 10;

/// A conversation with a server.
pub struct Conversation<'a, S>(Lines<'a, S>);

impl<'a, S: Stream> Conversation<'a, S> {
    pub fn new(server: &'a mut S) -> Self {
        Self(Lines::new(server, LONGEST_LINE))
    }

    /// Sends one command and reads the first line of its reply, without its end.
    ///
    /// # Errors
    /// The connection ended or failed before the line was whole.
    pub fn call(&mut self, words: &[&str]) -> Result<Vec<u8>, Denial> {
        self.0.send(&command(words))?;
        self.0.line()
    }

    /// The text that follows a reply's first line (`$123`), as far as it is read; none if the reply is something else.
    ///
    /// # Errors
    /// The connection ended or failed before the text was whole.
    pub fn text_of(&mut self, reply: &[u8]) -> Result<Option<Vec<u8>>, Denial> {
        let length =
            reply.strip_prefix(b"$").and_then(|length| core::str::from_utf8(length).ok()?.parse().ok());
        let Some(length) = length.map(|length: usize| length.min(LONGEST_TEXT)) else { return Ok(None) };
        self.0.exactly(length).map(Some)
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
