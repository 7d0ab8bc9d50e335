//! A dialler that writes down what was done through it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conversation::Script;
use super::grant::Address;
use crate::definition::scenario::Step;
use crate::engine::dialler::{ByteStream, DialError, Dialler, Direct};

/// The most bytes of one poll that are recorded: many more than a scenario may have.
const MOST_RECORDED: usize = 8 << 20;

/// One dial, and what went over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What the probe asked for.
    pub name: String,
    /// Its host and port.
    pub place: Address,
    /// Where that is.
    pub address: SocketAddr,
    /// How long connecting took.
    pub took: Duration,
    /// Why there was no connection.
    pub error: Option<DialError>,
    /// Bytes that the probe read.
    pub read: u64,
    /// Bytes that it wrote.
    pub written: u64,
    /// Whether the other side ended the stream.
    pub ended: bool,
    /// What went over the connection, if that is recorded.
    pub steps: Vec<Step>,
}

#[derive(Debug, Default)]
struct Record {
    names: BTreeMap<SocketAddr, Address>,
    deeds: Vec<Deed>,
    /// What went over each connection, if that is recorded.
    scripts: Option<Vec<Script>>,
    /// How much is recorded since the last time, in bytes.
    recorded: usize,
    has_overflowed: bool,
}

/// Connects from this host, and keeps a record. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    record: Arc<Mutex<Record>>,
    dialler: Arc<dyn Dialler>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { record: Arc::default(), dialler: Arc::new(Direct) }
    }
}

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what goes over the connections from now on, too.
    #[must_use]
    pub fn with_content(self) -> Self {
        self.record().scripts = Some(Vec::new());
        self
    }

    /// Shares its record with what is dialled through this.
    #[must_use]
    pub fn through(&self, dialler: Arc<dyn Dialler>) -> Self {
        Self { record: Arc::clone(&self.record), dialler }
    }

    /// Notes a step with so many bytes on a connection, if that is recorded, and as long as there is room.
    pub(super) fn script(&self, index: usize, bytes: usize, change: impl FnOnce(&mut Script)) {
        let mut record = self.record();
        let Record { scripts: Some(scripts), recorded, has_overflowed, .. } = &mut *record else { return };
        let Some(script) = scripts.get_mut(index) else { return };
        if recorded.saturating_add(bytes) > MOST_RECORDED {
            *has_overflowed = true;
            return;
        }
        let before = script.length();
        change(script);
        let added = script.length().saturating_sub(before).saturating_mul(size_of::<Step>());
        *recorded = recorded.saturating_add(bytes).saturating_add(added);
    }

    /// Whether something was not recorded for lack of room.
    #[must_use]
    pub fn has_overflowed(&self) -> bool {
        self.record().has_overflowed
    }

    /// Says what a place is called.
    pub fn name(&self, address: Option<SocketAddr>, name: &Address) {
        if let Some(address) = address {
            self.record().names.insert(address, name.clone());
        }
    }

    /// What was done since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Deed> {
        let mut record = self.record();
        let mut deeds = std::mem::take(&mut record.deeds);
        record.recorded = 0;
        if let Some(scripts) = &mut record.scripts {
            for (deed, script) in deeds.iter_mut().zip(std::mem::take(scripts)) {
                deed.steps = script.steps(deed.ended);
            }
        }
        deeds
    }
}

#[async_trait]
impl Dialler for Recorder {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let begun = Instant::now();
        let connected = self.dialler.connect(address, timeout).await;
        let mut record = self.record();
        let place = record.names.get(&address).cloned();
        let place = place.unwrap_or_else(|| Address { host: address.ip().to_string(), port: address.port() });
        let error = connected.as_ref().err().cloned();
        let (name, took) = (place.to_string(), begun.elapsed());
        let steps = Vec::new();
        record.deeds.push(Deed {
            name,
            place,
            address,
            took,
            error,
            read: 0,
            written: 0,
            ended: false,
            steps,
        });
        let index = record.deeds.len() - 1;
        if let Some(scripts) = &mut record.scripts {
            scripts.push(Script::begin());
        }
        drop(record);
        connected.map(|stream| -> Box<dyn ByteStream> {
            Box::new(Counted { stream, recorder: self.clone(), index })
        })
    }
}

pub(super) struct Counted {
    pub stream: Box<dyn ByteStream>,
    pub recorder: Recorder,
    pub index: usize,
}

impl Counted {
    fn note(&self, change: impl FnOnce(&mut Deed)) {
        if let Some(deed) = self.recorder.record().deeds.get_mut(self.index) {
            change(deed);
        }
    }

    fn script(&self, bytes: usize, change: impl FnOnce(&mut Script)) {
        self.recorder.script(self.index, bytes, change);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if let Err(error) = read {
            // TLS that ends without a word ends the stream for a probe.
            match error.kind() {
                io::ErrorKind::UnexpectedEof => self.note(|deed| deed.ended = true),
                _ => self.script(0, Script::breaks),
            }
            return Poll::Ready(Err(error));
        }
        let count = buffer.filled().len() - before;
        self.script(count, |script| script.receive(buffer.filled().get(before..).unwrap_or_default()));
        self.note(|deed| {
            deed.read += count as u64;
            deed.ended |= count == 0;
        });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.note(|deed| deed.written += count as u64);
        self.script(count, |script| script.send(bytes.get(..count).unwrap_or_default()));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
