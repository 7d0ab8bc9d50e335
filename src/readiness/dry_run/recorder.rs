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

use super::grant::Address;
use crate::engine::dialler::{ByteStream, DialError, Dialler, Direct};

/// One dial, and what went over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What the probe asked for.
    pub name: String,
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
}

#[derive(Debug, Default)]
struct Record {
    names: BTreeMap<SocketAddr, String>,
    deeds: Vec<Deed>,
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

    /// Shares its record with what is dialled through this.
    #[must_use]
    pub fn through(&self, dialler: Arc<dyn Dialler>) -> Self {
        Self { record: Arc::clone(&self.record), dialler }
    }

    /// Says what a place is called.
    pub fn name(&self, address: Option<SocketAddr>, name: &Address) {
        if let Some(address) = address {
            self.record().names.insert(address, name.to_string());
        }
    }

    /// What was done since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Deed> {
        std::mem::take(&mut self.record().deeds)
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
        let name = record.names.get(&address).cloned().unwrap_or_else(|| address.to_string());
        let error = connected.as_ref().err().cloned();
        let deed = Deed { name, address, took: begun.elapsed(), error, read: 0, written: 0, ended: false };
        record.deeds.push(deed);
        let index = record.deeds.len() - 1;
        drop(record);
        connected.map(|stream| -> Box<dyn ByteStream> {
            Box::new(Counted { stream, recorder: self.clone(), index })
        })
    }
}

struct Counted {
    stream: Box<dyn ByteStream>,
    recorder: Recorder,
    index: usize,
}

impl Counted {
    fn note(&self, change: impl FnOnce(&mut Deed)) {
        if let Some(deed) = self.recorder.record().deeds.get_mut(self.index) {
            change(deed);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let count = buffer.filled().len() - before;
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
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
