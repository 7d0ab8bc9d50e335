//! Servers that answer in lines.

use alloc::vec::Vec;

use crate::stream::{Stream, Upgrade};
use crate::{Denial, tls};

/// How much is read at once, in bytes.
const READ: u32 = 1024;

/// A conversation with a server that answers in lines.
#[derive(Debug)]
pub struct Lines<'a, S> {
    server: &'a mut S,
    /// Received, and not yet handed out.
    unread: Vec<u8>,
    longest: usize,
}

impl<'a, S: Stream> Lines<'a, S> {
    /// Begins with this stream. A line of more than `longest` bytes is cut there.
    #[must_use]
    pub const fn new(server: &'a mut S, longest: usize) -> Self {
        Self { server, unread: Vec::new(), longest }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// Why they could not all be written.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.server.send(bytes)
    }

    /// Reads up to a line's end, and gives the line without it. If the server says something and then closes, that counts as
    /// a line, too.
    ///
    /// # Errors
    /// Why there is no line; [`Denial::Closed`] if the stream ended.
    pub fn line(&mut self) -> Result<Vec<u8>, Denial> {
        let end = loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                break end + 1;
            }
            if self.unread.len() >= self.longest {
                break self.longest;
            }
            match self.receive() {
                Ok(()) => {}
                Err(_) if !self.unread.is_empty() => break self.unread.len(),
                Err(denial) => return Err(denial),
            }
        };
        let mut line: Vec<u8> = self.unread.drain(..end).collect();
        while matches!(line.last(), Some(b'\r' | b'\n')) {
            line.pop();
        }
        Ok(line)
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    /// Why they could not be read; [`Denial::Closed`] if the stream ended.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Denial> {
        while self.unread.len() < count {
            self.receive()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Reads more.
    fn receive(&mut self) -> Result<(), Denial> {
        let bytes = self.server.receive(READ)?;
        if bytes.is_empty() {
            return Err(Denial::Closed);
        }
        self.unread.extend_from_slice(&bytes);
        Ok(())
    }
}

impl<S: Upgrade> Lines<'_, S> {
    /// Goes on inside TLS, with a server of this name. What the server's last line brought with it was plain text that
    /// anybody could have added, so nothing of it is read inside TLS.
    ///
    /// # Errors
    /// Why there is no TLS.
    pub fn secure(&mut self, server_name: &str) -> Result<(), tls::Failure> {
        if !self.unread.is_empty() {
            let why = "the server sends plain text where TLS should begin";
            return Err(tls::Failure::NotTls(why.into()));
        }
        self.server.secure(server_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStream;

    #[test]
    fn lines_are_handed_out_one_by_one() {
        let mut server = MemoryStream::new("+OK\r\n-ERR\nabcdef\r\n");
        let mut lines = Lines::new(&mut server, 64);
        assert_eq!(lines.line().unwrap(), b"+OK");
        assert_eq!(lines.line().unwrap(), b"-ERR");
        assert_eq!(lines.exactly(4).unwrap(), b"abcd");
        assert_eq!(lines.line().unwrap(), b"ef");
        assert_eq!(lines.line(), Err(Denial::Closed));
        assert_eq!(lines.exactly(1), Err(Denial::Closed));
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut server = MemoryStream::ending("no end", Denial::TimedOut);
        assert_eq!(Lines::new(&mut server, 64).line().unwrap(), b"no end");
        let mut server = MemoryStream::new(std::vec![b'a'; 1 << 20]);
        assert_eq!(Lines::new(&mut server, 64).line().unwrap().len(), 64);
        assert!(server.says.len() > 1 << 19);
    }

    #[test]
    fn plain_text_does_not_pass_into_tls() {
        let mut server = MemoryStream::in_one_piece("220 go on\r\n250 added by somebody\r\n");
        let mut lines = Lines::new(&mut server, 64);
        assert_eq!(lines.line().unwrap(), b"220 go on");
        assert!(matches!(lines.secure("mail.test"), Err(tls::Failure::NotTls(_))));
        let mut server = MemoryStream::in_one_piece("220 go on\r\n");
        let mut lines = Lines::new(&mut server, 64);
        assert_eq!(lines.line().unwrap(), b"220 go on");
        assert_eq!(lines.secure("mail.test"), Ok(()));
        assert_eq!(server.told, b"mail.test");
    }
}
