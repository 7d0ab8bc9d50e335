//! The standard output of a container whose streams are attached: Docker puts a head before each part of them, which says of
//! which stream it is, and how long.
//!
//! `bollard` reads 8 KiB at a time, which costs a relay that carries much; this reads what a socket holds.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};

use super::meter::Meter;

/// What is read at once: some parts, each of which has at most 32 KiB.
const READ_BYTES: usize = 128 << 10;
/// Before each part: its stream, three zeros, and its length (u32, big-endian).
const HEAD_BYTES: usize = 8;
/// The stream that is read. The others are skipped.
const STANDARD_OUTPUT: u8 = 1;

/// Standard output without heads.
pub(super) struct StandardOutput<R> {
    attached: BufReader<R>,
    parts: Parts,
}

/// Where in the parts one is.
struct Parts {
    /// Told of each part.
    meter: Arc<Meter>,
    head: [u8; HEAD_BYTES],
    /// How much of the next head has come.
    known: usize,
    /// How much of the part is still to come.
    left: usize,
}

impl Parts {
    /// How much of what comes is standard output.
    const fn output(&self) -> usize {
        if self.head[0] == STANDARD_OUTPUT { self.left } else { 0 }
    }

    /// Takes what comes as anything else: a head, or a part of another stream. How many bytes that was.
    fn skip(&mut self, came: &[u8]) -> usize {
        if self.left > 0 {
            let skipped = self.left.min(came.len());
            self.left -= skipped;
            return skipped;
        }
        let taken = came.len().min(HEAD_BYTES - self.known);
        self.head.iter_mut().skip(self.known).zip(came).for_each(|(place, byte)| *place = *byte);
        self.known += taken;
        if self.known == HEAD_BYTES {
            self.meter.note_item();
            let [.., a, b, c, d] = self.head;
            (self.known, self.left) = (0, u32::from_be_bytes([a, b, c, d]) as usize);
        }
        taken
    }
}

impl<R: AsyncRead + Unpin> StandardOutput<R> {
    /// Of an attached stream whose meter is told of each part.
    pub(super) fn new(attached: R, meter: Arc<Meter>) -> Self {
        let attached = BufReader::with_capacity(READ_BYTES, attached);
        Self { attached, parts: Parts { meter, head: [0; HEAD_BYTES], known: 0, left: 0 } }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for StandardOutput<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { attached, parts } = &mut *self;
        while buffer.remaining() > 0 {
            let came = ready!(Pin::new(&mut *attached).poll_fill_buf(context))?;
            let output = parts.output().min(came.len()).min(buffer.remaining());
            if came.is_empty() {
                break;
            }
            buffer.put_slice(&came[..output]);
            parts.left -= output;
            let taken = if output > 0 { output } else { parts.skip(came) };
            Pin::new(&mut *attached).consume(taken);
            if output > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn part(stream: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], content].concat()
    }

    #[tokio::test]
    async fn only_standard_output_is_read_however_it_comes() {
        let long = vec![b'x'; 100 << 10];
        let said = [
            part(1, b"one"),
            part(2, b"error"),
            part(1, b""),
            part(1, &long),
            part(0, b"in"),
            part(1, b"two"),
        ];
        let (said, expected) = (said.concat(), [b"one", &long[..], b"two"].concat());
        for at_once in [1, 7, 8, 9, 4096, said.len()] {
            let (near, mut far) = tokio::io::duplex(at_once);
            let meter = Arc::new(Meter::new(1 << 20));
            let (said, mut output) = (said.clone(), StandardOutput::new(near, meter));
            let sending =
                tokio::spawn(async move { drop(tokio::io::AsyncWriteExt::write_all(&mut far, &said).await) });
            let mut all = Vec::new();
            output.read_to_end(&mut all).await.expect("it ends");
            assert_eq!(all, expected, "{at_once} bytes at once");
            sending.await.expect("no panic");
        }
    }
}
