//! Server-sent events: the data of each, as the stream comes in.

use alloc::vec::Vec;

/// What was received of a stream, and not yet given out.
#[derive(Debug, Default)]
pub struct Events {
    buffer: Vec<u8>,
    data: Vec<u8>,
}

impl Events {
    /// Takes in more of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes that are kept.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.data.len()
    }

    /// The data of the next whole event.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                if !self.data.is_empty() {
                    return Some(core::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            }
        }
        None
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}
