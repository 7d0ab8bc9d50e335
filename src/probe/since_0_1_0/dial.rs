//! `dial`: byte streams to granted places, never through DNS.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::bindings::farrier::probe::dial::{self, Host, HostConnection};
use super::types::Denial;
use crate::definition::grants::Grants;
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::context::{ProbeContext, Targets};
use crate::probe::grants::{dial_text, list, quoted};
use crate::probe::limits::DIAL_TIMEOUT;
use crate::probe::observed::Dialled;
use crate::probe::store::{HostState, Poll};
use crate::probe::tls::{Secured, broken};

pub const CAPABILITY: Capability = Capability {
    name: "dial",
    sentence: "connects to the addresses that its definition grants",
    grant: Some(Grant::Choice { example: "dial = [\"self\"]", written }),
    needs: None,
    link: |linker| dial::add_to_linker::<HostState, Dials<'static>>(linker, Dials::of),
};

fn written(grants: &Grants) -> Option<String> {
    let places = grants.dial.iter().map(|place| quoted(&dial_text(place)));
    (!grants.dial.is_empty()).then(|| format!("dial = {}", list(places)))
}

/// How long the end of TLS may take, which no server has to answer.
const FAREWELL: Duration = Duration::from_millis(10);
/// Bytes that one read returns at most.
const READ_BYTES: u32 = 64 << 10;

/// An open connection of a guest's.
pub struct Connection(pub Stream);

/// What carries its bytes.
pub enum Stream {
    /// As it was dialled.
    Plain(Box<dyn ByteStream>),
    /// Inside TLS.
    Secured(Secured),
}

impl Stream {
    fn bytes(&mut self) -> &mut dyn ByteStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secured(secured) => &mut secured.stream,
        }
    }

    /// Reads some bytes; none at the end. A peer that ends TLS without saying so ends the stream: plain connections tell no
    /// more of their end, and protocols that need to know it count their bytes.
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match (self.bytes().read(buffer).await, &self) {
            (Err(error), Self::Secured(_)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            (read, _) => read,
        }
    }
}

/// What it sees of the store: where it may connect and how, its connections, and the poll.
struct Dials<'a> {
    table: &'a mut ResourceTable,
    targets: &'a Targets,
    dialler: Option<&'a Arc<dyn Dialler>>,
    poll: &'a mut Poll,
}

impl HasData for Dials<'static> {
    type Data<'a> = Dials<'a>;
}

impl Dials<'_> {
    fn of(state: &mut HostState) -> Dials<'_> {
        let HostState { table, probe_context: ProbeContext { targets, dialler, .. }, poll, .. } = state;
        Dials { table, targets, dialler: dialler.as_ref(), poll }
    }
}

type Answer<T> = wasmtime::Result<Result<T, Denial>>;

fn denial(error: &std::io::Error) -> Denial {
    if let Some(text) = broken(error) {
        return Denial::Other(text);
    }
    match error.kind() {
        std::io::ErrorKind::TimedOut => Denial::TimedOut,
        std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::UnexpectedEof => Denial::Closed,
        _ => Denial::Other(error.to_string()),
    }
}

impl Host for Dials<'_> {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: Option<u32>,
    ) -> Answer<Resource<Connection>> {
        let Some(target) = self.targets.0.get(&(host.clone(), port)) else {
            let what = self.poll.dial_denial(&host, port);
            return Ok(Err(Denial::NotGranted(self.poll.note_not_granted(&what))));
        };
        let (Some(address), Some(dialler)) = (*target, self.dialler) else {
            return Ok(Err(Denial::Unresolved));
        };
        let asked = timeout_ms.map_or(DIAL_TIMEOUT, |limit| Duration::from_millis(limit.into()));
        let timeout = self.poll.left().min(asked).min(DIAL_TIMEOUT);
        self.poll.used.note_dials(&host, port, 1);
        let connected = dialler.connect(address, timeout).await;
        self.poll.observed.dials += 1;
        let is_unanswered = connected.as_ref().err().is_some_and(DialError::is_unanswered);
        self.poll.observed.unanswered_at = is_unanswered.then(|| host.clone());
        if matches!(connected, Ok(_) | Err(DialError::Refused)) {
            self.poll.observed.answering.insert(host.clone());
        }
        if matches!(connected, Err(DialError::Refused)) {
            self.poll.observed.refused += 1;
            self.poll.observed.refused_places.insert(address);
            self.poll.observed.refused_at = Some((host, port));
        }
        self.poll.observed.dialled = Some(match &connected {
            Ok(_) => Dialled::Connected,
            Err(DialError::Refused) => Dialled::Refused,
            Err(_) => Dialled::Unanswered,
        });
        let stream = match connected {
            Ok(stream) => stream,
            Err(DialError::Refused) => return Ok(Err(Denial::Refused)),
            Err(DialError::TimedOut) => {
                self.poll.deadline.let_answer();
                return Ok(Err(Denial::TimedOut));
            }
            Err(DialError::Other(text)) => return Ok(Err(Denial::Other(text))),
        };
        Ok(match self.table.push(Connection(Stream::Plain(stream))) {
            Ok(handle) => Ok(handle),
            Err(_) => Err(Denial::Limit("too many connections are open".to_owned())),
        })
    }
}

impl Dials<'_> {
    /// Reads what comes in this time; none if nothing does.
    async fn receive(
        &mut self,
        connection: &Resource<Connection>,
        max: u32,
        limit: Duration,
    ) -> wasmtime::Result<Option<Result<Vec<u8>, Denial>>> {
        if limit.is_zero() {
            // Whoever sends without end would otherwise keep the guest from answering at all.
            return Ok(None);
        }
        let stream = &mut self.table.get_mut(connection)?.0;
        let mut buffer = vec![0; max.clamp(1, READ_BYTES) as usize];
        let read = tokio::time::timeout(limit, stream.read(&mut buffer)).await.ok();
        Ok(read.map(|read| match read {
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            Err(error) => Err(denial(&error)),
        }))
    }
}

impl HostConnection for Dials<'_> {
    async fn read(&mut self, connection: Resource<Connection>, max: u32) -> Answer<Vec<u8>> {
        let limit = self.poll.left();
        let received = self.receive(&connection, max, limit).await?;
        Ok(received.unwrap_or_else(|| {
            self.poll.note_unanswered();
            Err(Denial::TimedOut)
        }))
    }

    async fn read_within(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
        timeout_ms: u32,
    ) -> Answer<Vec<u8>> {
        let limit = self.poll.left().min(Duration::from_millis(timeout_ms.into()));
        let received = self.receive(&connection, max, limit).await?;
        Ok(received.unwrap_or_else(|| {
            self.poll.deadline.let_answer();
            Err(Denial::TimedOut)
        }))
    }

    async fn write(&mut self, connection: Resource<Connection>, bytes: Vec<u8>) -> Answer<()> {
        let limit = self.poll.left();
        let stream = self.table.get_mut(&connection)?.0.bytes();
        let write = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        let Ok(written) = tokio::time::timeout(limit, write).await else {
            self.poll.deadline.let_answer();
            return Ok(Err(Denial::TimedOut));
        };
        Ok(written.map_err(|error| denial(&error)))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        let Connection(stream) = self.table.delete(connection)?;
        if let Stream::Secured(mut secured) = stream {
            // A server whose client says nothing of its end takes that for a fault, and logs it.
            let limit = self.poll.left().min(FAREWELL);
            let _ = tokio::time::timeout(limit, secured.stream.shutdown()).await;
        }
        Ok(())
    }
}
