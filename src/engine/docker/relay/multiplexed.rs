//! A relay that runs our own program: all dials share its standard streams.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::frame::{
    CLOSE, DATA, END, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TAKEN, TIMED_OUT, WINDOW,
    frame, take_head, taken, taken_frame,
};
use super::{Helper, IMAGE, REFERENCE, gone, helper, is_without_network};
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::engine::docker::api::Api;
use crate::engine::{Attached, EngineErrorKind, EngineResult};

/// Bytes that wait for a reader of one connection: more than a relay sends. Frames may be as small as a server's
/// writes, so that their number says nothing.
pub(super) const QUEUED_BYTES: usize = 1 << 20;

/// How much longer than a dial may take the relay's answer to it may take on its way.
const WAY_BACK: Duration = Duration::from_millis(500);
/// So many dials, and so long, during which the relay says nothing at all: the connection to it is dead, and nobody says so, as
/// after a change of address.
const SILENT_DIALS: u32 = 3;
const SILENT: Duration = Duration::from_secs(5);

/// How long what was written before a stream was dropped may still take.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) type Channels = Arc<Mutex<HashMap<u32, Channel>>>;

/// One dialled connection on this side.
pub(super) struct Channel {
    pub(super) opened: Option<oneshot::Sender<Result<(), DialError>>>,
    /// `None` once the server has said all.
    pub(super) incoming: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Bytes that were handed over and not taken yet.
    pub(super) queued: Arc<AtomicUsize>,
    /// Whether the server has said all; an end of any other kind is a reset.
    pub(super) is_complete: Arc<AtomicBool>,
    pub(super) allowance: Arc<Allowance>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.allowance.left.close();
    }
}

/// How many bytes may be sent to the relay before it has handed on earlier ones.
pub(super) struct Allowance {
    left: Semaphore,
    /// Those that it has not handed on.
    sent: AtomicUsize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: Semaphore::new(WINDOW), sent: AtomicUsize::new(0) }
    }
}

impl Allowance {
    /// Waits until so many may be sent; false once the connection is over.
    async fn spend(&self, count: usize) -> bool {
        let Ok(permits) = self.left.acquire_many(u32::try_from(count).unwrap_or(u32::MAX)).await else {
            return false;
        };
        permits.forget();
        self.sent.fetch_add(count, Ordering::Relaxed);
        true
    }

    /// The relay handed on so many; never more than it was sent.
    fn regain(&self, count: usize) {
        let less = |sent: usize| Some(sent.saturating_sub(count));
        let sent = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_default();
        self.left.add_permits(count.min(sent));
    }
}

/// Our own program: all dials share its standard streams.
pub(super) struct Multiplexed {
    frames: mpsc::Sender<Vec<u8>>,
    pub(super) channels: Channels,
    next: AtomicU32,
    /// Over when the relay is.
    receiving: JoinHandle<()>,
    /// How many frames it sent.
    heard: Arc<AtomicU64>,
    silence: Mutex<Option<Silence>>,
    helper: Option<Helper>,
}

/// Dials since which the relay has said nothing.
struct Silence {
    /// How many frames the relay had sent by then.
    heard: u64,
    dials: u32,
    since: Instant,
}

/// Starts our program, whose image the engine may not have yet.
pub(super) async fn start(api: &Arc<dyn Api>, network: &str) -> EngineResult<Multiplexed> {
    let spec = helper(network, REFERENCE, &["/farrier-relay"]);
    let mut helper = Helper::of(api, &spec);
    let id = match api.create(&spec).await {
        Err(error) if error.kind == EngineErrorKind::NotFound && !is_without_network(&error) => {
            api.load(IMAGE).await?;
            api.create(&spec).await?
        }
        created => created?,
    };
    let attached = helper.begin(async {
        // Both at once: on another machine, each takes a round trip. One that nobody attaches to ends by itself.
        Ok(try_join(api.attach(&id), api.start(&id)).await?.0)
    });
    let mut attached = attached.await?;
    let _ = attached.input.write_all(&frame(0, CLOSE, &[])).await;
    let _ = attached.input.flush().await;
    Ok(Multiplexed { helper: Some(helper), ..over(attached) })
}

/// Over the standard streams of a relay that runs.
pub(super) fn over(attached: Attached) -> Multiplexed {
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(64);
    let channels = Channels::default();
    let Attached { mut input, mut output } = attached;
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if input.write_all(&frame).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
    });
    let receiving = Arc::clone(&channels);
    // Weak, because the relay ends when the last sender is gone.
    let answers = frames.downgrade();
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    let receiving = tokio::spawn(async move {
        take_answers(&mut output, &receiving, &answers, &counted).await;
    });
    Multiplexed {
        frames,
        channels,
        next: AtomicU32::new(1),
        receiving,
        heard,
        silence: Mutex::default(),
        helper: None,
    }
}

/// Hands what the relay says to its connections, to its end or to the first frame that is none.
pub(super) async fn take_answers(
    output: &mut (impl AsyncRead + Unpin),
    channels: &Channels,
    answers: &mpsc::WeakSender<Vec<u8>>,
    count: &AtomicU64,
) {
    let mut head = [0_u8; HEAD_BYTES];
    while output.read_exact(&mut head).await.is_ok() {
        let (channel, kind, length) = take_head(head);
        let mut payload = vec![0; length.min(PAYLOAD_BYTES)];
        if length > PAYLOAD_BYTES || output.read_exact(&mut payload).await.is_err() {
            break;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let is_known = receive(channels, channel, kind, payload);
        if let (false, OPENED, Some(answers)) = (is_known, kind, answers.upgrade()) {
            close(&answers, channel);
        }
    }
    // The relay is gone: every connection through it ends.
    channels.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Hands a frame to its connection; false where nobody waits for it any more.
fn receive(channels: &Channels, channel: u32, kind: u8, payload: Vec<u8>) -> bool {
    let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(found) = channels.get_mut(&channel) else { return false };
    match kind {
        OPENED => {
            if let Some(opened) = found.opened.take() {
                let _ = opened.send(Ok(()));
            }
        }
        // Nothing is handed over for nothing, however often it is said.
        DATA if payload.is_empty() => {}
        DATA => {
            // A relay that sends more than it may must not fill the memory: the connection ends.
            let queued = found.queued.fetch_add(payload.len(), Ordering::Relaxed) + payload.len();
            let incoming = found.incoming.as_ref().filter(|_| queued <= QUEUED_BYTES);
            if incoming.is_none_or(|incoming| incoming.send(payload).is_err()) {
                channels.remove(&channel);
            }
        }
        END => {
            found.is_complete.store(true, Ordering::Release);
            found.incoming = None;
        }
        TAKEN => found.allowance.regain(taken(&payload)),
        FAILED => {
            let error = match String::from_utf8_lossy(&payload).as_ref() {
                REFUSED => DialError::Refused,
                TIMED_OUT => DialError::TimedOut,
                other => DialError::Other(other.to_owned()),
            };
            if let Some(opened) = found.opened.take() {
                let _ = opened.send(Err(error));
            }
            channels.remove(&channel);
        }
        _ => {
            channels.remove(&channel);
        }
    }
    true
}

#[async_trait]
impl Dialler for Multiplexed {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let channel = self.next.fetch_add(1, Ordering::Relaxed);
        let (opened, answer) = oneshot::channel();
        let (incoming, received) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let allowance = Arc::new(Allowance::default());
        let is_complete = Arc::new(AtomicBool::new(false));
        let entry = Channel {
            opened: Some(opened),
            incoming: Some(incoming),
            queued: Arc::clone(&queued),
            is_complete: Arc::clone(&is_complete),
            allowance: Arc::clone(&allowance),
        };
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, entry);
        let mut forget = Forget { relay: self, channel, armed: true };
        let limit = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let mut payload = limit.to_be_bytes().to_vec();
        payload.extend(address.to_string().into_bytes());
        let open = frame(channel, OPEN, &payload);
        let dialled = async {
            self.frames.send(open).await.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        };
        let heard = self.heard.load(Ordering::Relaxed);
        match tokio::time::timeout(timeout.saturating_add(WAY_BACK), dialled).await {
            Ok(Ok(())) => {
                forget.armed = false;
                let (frames, channels) = (self.frames.clone(), Arc::downgrade(&self.channels));
                let pumped = Pumped { channel, frames, channels, queued, allowance };
                Ok(Box::new(pump(pumped, received, is_complete)))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.note_unanswered(heard);
                Err(DialError::TimedOut)
            }
        }
    }

    async fn end(&self) {
        if let Some(helper) = &self.helper {
            helper.end().await;
        }
    }

    fn has_ended(&self) -> bool {
        self.receiving.is_finished() || self.is_silent()
    }
}

impl Multiplexed {
    /// Counts a dial that was not answered, where so many frames had come when it began.
    fn note_unanswered(&self, heard: u64) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let since = || Silence { heard, dials: 0, since: Instant::now() };
        let _ = silence.take_if(|silence| silence.heard != heard);
        let silence = silence.get_or_insert_with(since);
        silence.dials = silence.dials.saturating_add(1);
    }

    /// Whether the relay has said nothing since the first of several dials.
    fn is_silent(&self) -> bool {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.as_ref().is_some_and(|silence| {
            silence.heard == self.heard.load(Ordering::Relaxed)
                && silence.dials >= SILENT_DIALS
                && silence.since.elapsed() >= SILENT
        })
    }
}

/// Gives up a dial that did not become a connection, also when nobody waits for it any more.
struct Forget<'a> {
    relay: &'a Multiplexed,
    channel: u32,
    armed: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.relay.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.channel);
            close(&self.relay.frames, self.channel);
        }
    }
}

/// Tells the relay that a connection is over, also while its queue is full: it would keep the connection.
fn close(frames: &mpsc::Sender<Vec<u8>>, channel: u32) {
    let unsent = frames.try_send(frame(channel, CLOSE, &[]));
    if let (Err(mpsc::error::TrySendError::Full(close)), Ok(runtime)) = (unsent, Handle::try_current()) {
        let frames = frames.clone();
        runtime.spawn(async move { frames.send(close).await });
    }
}

/// A connection as its tasks need it.
#[derive(Clone)]
struct Pumped {
    channel: u32,
    frames: mpsc::Sender<Vec<u8>>,
    channels: Weak<Mutex<HashMap<u32, Channel>>>,
    queued: Arc<AtomicUsize>,
    allowance: Arc<Allowance>,
}

/// A channel in the shape of a stream. Either direction may end alone; dropping it ends both.
struct RelayedStream {
    /// Cancelled before the stream is dropped: fields go in this order.
    _dropped: DropGuard,
    is_complete: Arc<AtomicBool>,
    stream: DuplexStream,
}

fn pump(
    pumped: Pumped,
    mut received: mpsc::UnboundedReceiver<Vec<u8>>,
    is_complete: Arc<AtomicBool>,
) -> RelayedStream {
    let (ours, theirs) = tokio::io::duplex(PAYLOAD_BYTES);
    let (mut from_guest, mut to_guest) = tokio::io::split(theirs);
    let dropped = CancellationToken::new();
    let stream = RelayedStream { _dropped: dropped.clone().drop_guard(), is_complete, stream: ours };
    let taking = pumped.clone();
    tokio::spawn(async move {
        while let Some(bytes) = received.recv().await {
            taking.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
            if to_guest.write_all(&bytes).await.is_err() {
                break;
            }
            if taking.frames.send(taken_frame(taking.channel, bytes.len())).await.is_err() {
                break;
            }
        }
        let _ = to_guest.shutdown().await;
    });
    tokio::spawn(async move {
        let Pumped { channel, frames, channels, allowance, .. } = pumped;
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = from_guest.read(&mut buffer).await {
            let data = frame(channel, DATA, &buffer[..count]);
            let sending = async { allowance.spend(count).await && frames.send(data).await.is_ok() };
            // A server that reads nothing must not keep what nobody holds any more.
            let given_up = async {
                dropped.cancelled().await;
                tokio::time::sleep(LAST_WORDS).await;
            };
            if !tokio::select! { is_sent = sending => is_sent, () = given_up => false } {
                break;
            }
        }
        // Who goes on writing learns that nobody takes it.
        drop(from_guest);
        if !dropped.is_cancelled() {
            let _ = frames.send(frame(channel, END, &[])).await;
            dropped.cancelled().await;
        }
        let _ = frames.send(frame(channel, CLOSE, &[])).await;
        if let Some(channels) = channels.upgrade() {
            channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
        }
    });
    stream
}

impl AsyncRead for RelayedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = (buffer.filled().len(), buffer.remaining());
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let has_ended = before.1 > 0 && buffer.filled().len() == before.0;
        // A server that was cut off, or a relay that is gone, must not look like the end of an answer.
        if has_ended && !self.is_complete.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RelayedStream {
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
}
