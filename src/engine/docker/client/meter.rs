//! How much an engine may say: what goes beyond it ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many more bytes an answer may have.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    left: AtomicU64,
    /// What counts from some moment on instead, on a connection that is used again for something else.
    successor: OnceLock<Arc<Meter>>,
}

/// What ends an answer that goes beyond it.
#[derive(Debug, thiserror::Error)]
#[error("the engine's answer does not end: it is longer than {} MiB", .0 >> 20)]
pub(super) struct Endless(u64);

impl Meter {
    /// With this many bytes from one item to the next.
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, left: AtomicU64::new(limit), successor: OnceLock::new() }
    }

    /// An item of the stream came to its end.
    pub(super) fn note_item(&self) {
        if !self.is_exceeded() {
            self.left.store(self.limit, Ordering::Relaxed);
        }
    }

    /// Lets another one count from now on, for good.
    pub(super) fn hand_over(&self, successor: Arc<Self>) {
        let _ = self.successor.set(successor);
    }

    /// Whether the answer was ended.
    pub(super) fn is_exceeded(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    pub(super) fn error(&self) -> Endless {
        Endless(self.limit)
    }

    /// Zero is for good.
    fn take(&self, count: usize) -> io::Result<()> {
        if let Some(successor) = self.successor.get() {
            return successor.take(count);
        }
        let left = self.left.load(Ordering::Relaxed).saturating_sub(count as u64);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 { Err(io::Error::other(self.error())) } else { Ok(()) }
    }
}

/// A stream whose bytes are counted.
pub(super) struct Metered<S> {
    pub(super) stream: S,
    pub(super) meter: Arc<Meter>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        Poll::Ready(self.meter.take(buffer.filled().len() - before))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_gives_what_it_took_back_but_not_after_the_end() {
        let meter = Meter::new(10);
        assert!(meter.take(9).is_ok());
        meter.note_item();
        assert!(meter.take(9).is_ok());
        assert!(meter.take(1).is_err());
        meter.note_item();
        assert!(meter.is_exceeded());
    }

    #[test]
    fn a_successor_counts_from_then_on() {
        let (meter, successor) = (Meter::new(10), Arc::new(Meter::new(20)));
        assert!(meter.take(9).is_ok());
        meter.hand_over(Arc::clone(&successor));
        assert!(meter.take(19).is_ok());
        successor.note_item();
        assert!(meter.take(20).is_err());
        assert!(successor.is_exceeded());
    }
}
