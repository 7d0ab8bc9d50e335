//! What a relay says: frames for connections that are dialled, open, over or unknown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::frame::{
    CLOSE, DATA, END, FAILED, HEAD_BYTES, OPENED, PAYLOAD_BYTES, REFUSED, TAKEN, TIMED_OUT, UNREACHABLE,
    frame, take_head,
};
use super::multiplexed::{Channel, Channels, QUEUED_BYTES, take_answers};
use crate::engine::dialler::DialError;

/// Connections that are waited for: channels 1 to this.
const DIALLED: u32 = 3;
/// How often bytes are said that are to fill queues.
const REPEATED: usize = 40;

/// One connection as whoever dialled it sees it.
struct Seen {
    opened: oneshot::Receiver<Result<(), DialError>>,
    received: mpsc::UnboundedReceiver<Vec<u8>>,
}

/// What a connection should have come to.
#[derive(Default)]
struct Expected {
    opened: Option<Result<(), DialError>>,
    bytes: Vec<u8>,
    has_ended: bool,
    is_over: bool,
}

/// Any bytes from a relay end the wait for it, and give each connection its own bytes and no more than may wait.
pub fn relay_frames(data: &[u8]) {
    heads(data);
    let said = repeated(data);
    let channels = Channels::default();
    let seen: Vec<(u32, Seen)> =
        (1..=DIALLED).map(|channel| (channel, dialled(&channels, channel))).collect();
    let (frames, mut asked) = mpsc::channel::<Vec<u8>>(64);
    let ended =
        take_answers(&mut said.as_slice(), &channels, &frames.downgrade(), &AtomicU64::new(0)).now_or_never();
    assert!(ended.is_some(), "bytes that are there are not waited for");
    assert!(
        channels.lock().is_ok_and(|channels| channels.is_empty()),
        "every connection ends with the relay"
    );
    let mut expected = expected(&said);
    for (channel, Seen { mut opened, mut received }) in seen {
        let expected = expected.remove(&channel).unwrap_or_default();
        assert_eq!(opened.try_recv().ok(), expected.opened, "channel {channel}");
        let mut bytes = Vec::new();
        while let Ok(part) = received.try_recv() {
            assert!(!part.is_empty());
            bytes.extend(part);
        }
        assert!(bytes.len() <= QUEUED_BYTES + PAYLOAD_BYTES);
        assert_eq!(bytes, expected.bytes, "channel {channel}");
    }
    while let Ok(answer) = asked.try_recv() {
        assert_eq!(answer.get(4..), frame(0, CLOSE, &[]).get(4..), "nothing else is answered");
    }
}

/// What is written as a frame is read as one.
fn heads(data: &[u8]) {
    let payload = data.get(..data.len().min(PAYLOAD_BYTES)).unwrap_or_default();
    let kind = data.first().copied().unwrap_or_default();
    let written = frame(7, kind, payload);
    let head = written.first_chunk::<HEAD_BYTES>().copied().unwrap_or_default();
    assert_eq!(take_head(head), (7, kind, payload.len()));
}

/// The bytes, and where the last one says so, again and again, so that few bytes fill queues.
fn repeated(data: &[u8]) -> Vec<u8> {
    match data.split_last() {
        Some((0xff, rest)) => rest.repeat(REPEATED),
        _ => data.to_vec(),
    }
}

fn dialled(channels: &Channels, channel: u32) -> Seen {
    let (opened, answer) = oneshot::channel();
    let (incoming, received) = mpsc::unbounded_channel();
    let entry = Channel {
        opened: Some(opened),
        incoming: Some(incoming),
        queued: Arc::new(AtomicUsize::new(0)),
        is_complete: Arc::default(),
        allowance: Arc::default(),
    };
    if let Ok(mut channels) = channels.lock() {
        channels.insert(channel, entry);
    }
    Seen { opened: answer, received }
}

/// The same, read plainly.
fn expected(said: &[u8]) -> HashMap<u32, Expected> {
    let mut all: HashMap<u32, Expected> =
        (1..=DIALLED).map(|channel| (channel, Expected::default())).collect();
    let mut rest = said;
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let (channel, kind, length) = take_head(*head);
        let Some((payload, next)) = behind.split_at_checked(length).filter(|_| length <= PAYLOAD_BYTES)
        else {
            break;
        };
        rest = next;
        let Some(one) = all.get_mut(&channel).filter(|one| !one.is_over) else { continue };
        match kind {
            OPENED => one.opened = one.opened.take().or(Some(Ok(()))),
            DATA if payload.is_empty() => {}
            DATA if !one.has_ended && one.bytes.len() + length <= QUEUED_BYTES => one.bytes.extend(payload),
            END => one.has_ended = true,
            TAKEN => {}
            FAILED => {
                let text = String::from_utf8_lossy(payload);
                let error = match text.as_ref() {
                    REFUSED => DialError::Refused,
                    TIMED_OUT => DialError::TimedOut,
                    UNREACHABLE => DialError::unreachable(),
                    other => DialError::Other(other.to_owned()),
                };
                one.opened = one.opened.take().or(Some(Err(error)));
                one.is_over = true;
            }
            _ => one.is_over = true,
        }
    }
    all
}
