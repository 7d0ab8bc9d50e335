//! A relay that runs our own program: all dials share its standard streams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::frame::{
    CLOSE, DATA, END, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TAKEN, TIMED_OUT,
    UNREACHABLE, frame, take_head, taken,
};
use super::stream::{Allowance, RelayedStream, Shared, close};
use super::{Helper, IMAGE, REFERENCE, gone, helper, is_without_network};
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::engine::docker::api::Api;
use crate::engine::{Attached, EngineErrorKind, EngineResult};

/// Bytes that wait for a reader of one connection: more than a relay sends. Frames may be as small as a server's
/// writes, so that their number says nothing.
pub(super) const QUEUED_BYTES: usize = 1 << 20;

/// How much longer than a dial may take the relay's answer to it may take on its way.
const WAY_BACK: Duration = Duration::from_millis(500);
/// So many connections that nobody waits for may wait to be closed: dials that were given up while much was sent.
const MOST_CLOSING: usize = 1024;
/// So many dials, and so long, during which the relay says nothing at all: the connection to it is dead, and nobody says so, as
/// after a change of address.
const SILENT_DIALS: u32 = 3;
const SILENT: Duration = Duration::from_secs(5);

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
        self.allowance.close();
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
    let mut closing = JoinSet::new();
    while output.read_exact(&mut head).await.is_ok() {
        let (channel, kind, length) = take_head(head);
        let mut payload = vec![0; length.min(PAYLOAD_BYTES)];
        if length > PAYLOAD_BYTES || output.read_exact(&mut payload).await.is_err() {
            break;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let is_known = receive(channels, channel, kind, payload);
        if let (false, OPENED, Some(answers)) = (is_known, kind, answers.upgrade())
            && !close_unknown(answers, channel, &mut closing)
        {
            break;
        }
    }
    // The relay is gone: every connection through it ends.
    channels.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Tells the relay that nobody waits for a connection any more; false if it opens more of them than it takes such answers.
fn close_unknown(answers: mpsc::Sender<Vec<u8>>, channel: u32, closing: &mut JoinSet<()>) -> bool {
    while closing.try_join_next().is_some() {}
    let unsent = answers.try_send(frame(channel, CLOSE, &[]));
    if let (Err(mpsc::error::TrySendError::Full(close)), Ok(runtime)) = (unsent, Handle::try_current()) {
        closing.spawn_on(async move { drop(answers.send(close).await) }, &runtime);
    }
    closing.len() < MOST_CLOSING
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
                UNREACHABLE => DialError::unreachable(),
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
                let shared = Shared { queued, is_complete, allowance };
                Ok(Box::new(RelayedStream::new(channel, &self.channels, &self.frames, received, shared)))
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
