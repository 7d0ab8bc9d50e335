//! One connection through a relay that runs our own program.
//!
//! No task and no buffer of its own stand between whoever reads and writes it and the relay's streams.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{PollSemaphore, PollSender};

use super::frame::{CLOSE, DATA, END, PAYLOAD_BYTES, WINDOW, frame, taken_frame};
use super::multiplexed::{Channel, Channels};

/// So many bytes are taken before the relay is told, if more have come already: telling it of each frame would cost as many
/// frames as it sends.
const TOLD_BYTES: usize = WINDOW / 4;

/// How many bytes may be sent to the relay before it has handed on earlier ones.
pub(super) struct Allowance {
    left: Arc<Semaphore>,
    /// Those that it has not handed on.
    sent: AtomicUsize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: Arc::new(Semaphore::new(WINDOW)), sent: AtomicUsize::new(0) }
    }
}

impl Allowance {
    /// The relay handed on so many; never more than it was sent.
    pub(super) fn regain(&self, count: usize) {
        let less = |sent: usize| Some(sent.saturating_sub(count));
        let sent = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_default();
        self.left.add_permits(count.min(sent));
    }

    /// Nothing more may be sent: whoever writes is told.
    pub(super) fn close(&self) {
        self.left.close();
    }
}

/// What a connection shares with whoever takes the relay's frames.
pub(super) struct Shared {
    /// Bytes that were handed over and not taken yet.
    pub(super) queued: Arc<AtomicUsize>,
    /// Whether the server has said all; an end of any other kind is a reset.
    pub(super) is_complete: Arc<AtomicBool>,
    pub(super) allowance: Arc<Allowance>,
}

/// A channel in the shape of a stream. Either direction may end alone; dropping it ends both, behind what was written.
pub(super) struct RelayedStream {
    channel: u32,
    channels: Weak<Mutex<HashMap<u32, Channel>>>,
    shared: Shared,
    received: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What is being taken, and how far.
    part: Vec<u8>,
    at: usize,
    /// Bytes that were taken, which the relay has not been told.
    untold: usize,
    /// Each direction has its own, because each may be waited for by another task.
    telling: PollSender<Vec<u8>>,
    frames: PollSender<Vec<u8>>,
    permits: PollSemaphore,
    /// Bytes that may be written, and have not been yet.
    permitted: usize,
    has_said_all: bool,
}

impl RelayedStream {
    pub(super) fn new(
        channel: u32,
        channels: &Channels,
        frames: &mpsc::Sender<Vec<u8>>,
        received: mpsc::UnboundedReceiver<Vec<u8>>,
        shared: Shared,
    ) -> Self {
        Self {
            channel,
            channels: Arc::downgrade(channels),
            permits: PollSemaphore::new(Arc::clone(&shared.allowance.left)),
            shared,
            received,
            part: Vec::new(),
            at: 0,
            untold: 0,
            telling: PollSender::new(frames.clone()),
            frames: PollSender::new(frames.clone()),
            permitted: 0,
            has_said_all: false,
        }
    }

    /// Tells the relay what was taken, if there is room; else this is woken once there is.
    fn tell_taken(&mut self, context: &mut Context<'_>) {
        let is_due = self.untold >= TOLD_BYTES || self.received.is_empty();
        if self.untold == 0 || !is_due {
            return;
        }
        if let Poll::Ready(Ok(())) = self.telling.poll_reserve(context) {
            let _ = self.telling.send_item(taken_frame(self.channel, self.untold));
            self.untold = 0;
        }
    }
}

impl Drop for RelayedStream {
    fn drop(&mut self) {
        if let Some(channels) = self.channels.upgrade() {
            channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.channel);
        }
        // Neither keeps a place in the queue that it has reserved.
        self.telling.abort_send();
        self.frames.abort_send();
        if let Some(frames) = self.frames.get_ref() {
            close(frames, self.channel);
        }
    }
}

/// Tells the relay that a connection is over, also while its queue is full: it would keep the connection.
pub(super) fn close(frames: &mpsc::Sender<Vec<u8>>, channel: u32) {
    let unsent = frames.try_send(frame(channel, CLOSE, &[]));
    if let (Err(mpsc::error::TrySendError::Full(close)), Ok(runtime)) = (unsent, Handle::try_current()) {
        let frames = frames.clone();
        runtime.spawn(async move { frames.send(close).await });
    }
}

fn nobody_takes_it() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncRead for RelayedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut *self;
        if stream.at == stream.part.len() {
            stream.tell_taken(context);
            let Some(part) = ready!(stream.received.poll_recv(context)) else {
                stream.telling.abort_send();
                let is_complete = stream.shared.is_complete.load(Ordering::Acquire);
                // A server that was cut off, or a relay that is gone, must not look like the end of an answer.
                let reset = || Err(io::ErrorKind::ConnectionReset.into());
                return Poll::Ready(if is_complete { Ok(()) } else { reset() });
            };
            stream.shared.queued.fetch_sub(part.len(), Ordering::Relaxed);
            (stream.part, stream.at) = (part, 0);
        }
        // Whoever reads may stop here, and would keep a place of the queue that all connections share.
        stream.telling.abort_send();
        let left = stream.part.get(stream.at..).unwrap_or_default();
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        (stream.at, stream.untold) = (stream.at + count, stream.untold + count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RelayedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = &mut *self;
        if stream.has_said_all {
            return Poll::Ready(Err(nobody_takes_it()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if stream.permitted == 0 {
            let count = bytes.len().min(PAYLOAD_BYTES);
            let asked = u32::try_from(count).unwrap_or(u32::MAX);
            let permit =
                ready!(stream.permits.poll_acquire_many(context, asked)).ok_or_else(nobody_takes_it)?;
            permit.forget();
            stream.shared.allowance.sent.fetch_add(count, Ordering::Relaxed);
            stream.permitted = count;
        }
        ready!(stream.frames.poll_reserve(context)).map_err(|_| nobody_takes_it())?;
        let count = bytes.len().min(stream.permitted);
        let data = frame(stream.channel, DATA, &bytes[..count]);
        stream.frames.send_item(data).map_err(|_| nobody_takes_it())?;
        stream.permitted -= count;
        Poll::Ready(Ok(count))
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_said_all {
            ready!(self.frames.poll_reserve(context)).map_err(|_| nobody_takes_it())?;
            let end = frame(self.channel, END, &[]);
            self.frames.send_item(end).map_err(|_| nobody_takes_it())?;
            self.has_said_all = true;
        }
        Poll::Ready(Ok(()))
    }
}
