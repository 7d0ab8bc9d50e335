//! Connections to the engine: one for each request, as `bollard` has it too. What an answer may take is metered where
//! the bytes arrive, because `bollard` collects an answer whole, and a line or frame of a stream until its end: an engine
//! that answers without end would fill the memory.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, body_full};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::{ANSWER_TIMEOUT_SECONDS, podman};
use crate::engine::docker::address::EngineAddress;

/// Bytes of an answer that is read whole. The largest honest ones list containers: some 10 KiB each.
const LONGEST_ANSWER: u64 = 64 << 20;
/// Bytes of a stream from one item to the next. The largest honest ones are frames of output: 16 KiB and a stamp.
const LONGEST_ITEM: u64 = 2 << 20;
/// Bytes that a repeated answer may be ahead of its reader.
const LONGEST_HEAD: usize = 64 << 10;
/// How often Podman is asked what it refuses because something went while it looked.
pub(super) const MOST_ATTEMPTS: u32 = 10;
/// The port of an address without one, as for the docker client.
const DEFAULT_PORT: u16 = 2375;

/// Where the engine listens.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Unix(PathBuf),
    Tcp(String),
}

impl Target {
    pub(super) fn of(address: &EngineAddress) -> Self {
        let (scheme, rest) = address.host.split_once("://").unwrap_or(("", &address.host));
        if scheme == "unix" {
            return Self::Unix(rest.into());
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Self::Tcp(if has_port { authority.to_owned() } else { format!("{authority}:{DEFAULT_PORT}") })
    }

    fn address(&self) -> String {
        format!("http://{}", self.name())
    }

    /// What requests call it.
    fn name(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }
}

/// A client each of whose answers is read whole, and whether Podman has given one of them.
pub(super) fn client(target: Target) -> Result<(Docker, Arc<AtomicBool>), BollardError> {
    let is_podman = Arc::new(AtomicBool::new(false));
    let (own, address) = (Arc::clone(&is_podman), target.address());
    let transport = move |request| understood(target.clone(), Arc::clone(&own), request);
    let client = Docker::connect_with_custom_transport(
        transport,
        Some(address),
        ANSWER_TIMEOUT_SECONDS,
        API_DEFAULT_VERSION,
    );
    Ok((client?, is_podman))
}

/// A client for one stream, and the meter that is to be told of each of its items.
pub(super) fn stream_client(target: Target) -> Result<(Docker, Arc<Meter>), BollardError> {
    with_meter(target, LONGEST_ITEM)
}

/// A client for one stream that is read whole, and its meter.
pub(super) fn collecting_client(target: Target) -> Result<(Docker, Arc<Meter>), BollardError> {
    with_meter(target, LONGEST_ANSWER)
}

fn with_meter(target: Target, limit: u64) -> Result<(Docker, Arc<Meter>), BollardError> {
    let meter = Arc::new(Meter::new(limit));
    let own = Arc::clone(&meter);
    Ok((metered(target, move || Arc::clone(&own))?, meter))
}

fn metered(
    target: Target,
    meter: impl Fn() -> Arc<Meter> + Send + Sync + 'static,
) -> Result<Docker, BollardError> {
    let address = target.address();
    let transport = move |request| send(target.clone(), meter(), request);
    Docker::connect_with_custom_transport(
        transport,
        Some(address),
        ANSWER_TIMEOUT_SECONDS,
        API_DEFAULT_VERSION,
    )
}

/// Sends a request whose answer is read whole, and puts what Podman answers into Docker's words.
async fn understood(
    target: Target,
    speaks_podman: Arc<AtomicBool>,
    request: BollardRequest,
) -> Result<Response<Incoming>, BollardError> {
    let meter = || Arc::new(Meter::new(LONGEST_ANSWER));
    let own = (request.method() == Method::GET).then(|| podman::answer_to(request.uri().path())).flatten();
    let runs =
        own.filter(|answer| *answer == podman::Answer::Containers).map(|_| podman::runs_path(&request));
    let path = request.uri().to_string();
    let mut response = send(target.clone(), meter(), request).await?;
    if !podman::is_podman(response.headers()) {
        return Ok(response);
    }
    if own == Some(podman::Answer::Containers) && response.status().is_server_error() {
        response = again(&target, &path).await?;
    }
    speaks_podman.store(true, Ordering::Relaxed);
    let Some(answer) = own.filter(|_| podman::is_json(&response)) else { return Ok(response) };
    let runs = match runs {
        Some(path) => whole(again(&target, &path).await?).await?,
        None => Value::Null,
    };
    let mut value = whole(response).await?;
    podman::translate(answer, &mut value, &runs);
    replay(serde_json::to_vec(&value)?).await
}

/// Asks for a listing as often as Podman refuses it because a container was removed while it looked.
async fn again(target: &Target, path: &str) -> Result<Response<Incoming>, BollardError> {
    let mut attempts = 0;
    loop {
        let response = send(target.clone(), Arc::new(Meter::new(LONGEST_ANSWER)), get(path)?).await?;
        attempts += 1;
        if !response.status().is_server_error() || attempts == MOST_ATTEMPTS {
            return Ok(response);
        }
    }
}

fn get(path: &str) -> Result<BollardRequest, BollardError> {
    let request = hyper::Request::builder().uri(path).body(body_full(Bytes::new()));
    request.map_err(|error| BollardError::from(io::Error::other(error)))
}

async fn whole(response: Response<Incoming>) -> Result<Value, BollardError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

/// An answer with this body, for a client that takes one only from a connection.
async fn replay(body: Vec<u8>) -> Result<Response<Incoming>, BollardError> {
    let (near, mut far) = tokio::io::duplex(LONGEST_HEAD);
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        // Whoever does not read on has lost interest.
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let _ = far.write_all(head.as_bytes()).await;
        let _ = far.write_all(&body).await;
        let _ = far.flush().await;
        // The end comes with the reader's.
        let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
    });
    Ok(sender.send_request(get("/")?).await?)
}

async fn send(
    target: Target,
    meter: Arc<Meter>,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, BollardError> {
    let host = HeaderValue::from_str(target.name()).unwrap_or(HeaderValue::from_static("localhost"));
    request.headers_mut().insert(HOST, host);
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    match target {
        Target::Unix(path) => exchange(UnixStream::connect(path).await?, meter, request).await,
        Target::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            exchange(stream, meter, request).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    meter: Arc<Meter>,
    request: BollardRequest,
) -> Result<Response<Incoming>, BollardError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(Metered { stream, meter })).await?;
    // It ends with the answer, or with whoever reads it; what goes wrong with it the reader is told.
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

/// How many more bytes an answer may have.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    left: AtomicU64,
}

/// What ends an answer that goes beyond it.
#[derive(Debug, thiserror::Error)]
#[error("the engine's answer does not end: it is longer than {} MiB", .0 >> 20)]
pub(super) struct Endless(u64);

impl Meter {
    const fn new(limit: u64) -> Self {
        Self { limit, left: AtomicU64::new(limit) }
    }

    /// An item of the stream came to its end.
    pub(super) fn note_item(&self) {
        if !self.is_exceeded() {
            self.left.store(self.limit, Ordering::Relaxed);
        }
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
        let left = self.left.load(Ordering::Relaxed).saturating_sub(count as u64);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 { Err(io::Error::other(self.error())) } else { Ok(()) }
    }
}

struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
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
    fn an_address_without_a_port_has_dockers() {
        for (host, expected) in [
            ("unix:///run/docker.sock", "localhost"),
            ("tcp://engine:2376", "engine:2376"),
            ("tcp://engine", "engine:2375"),
            ("http://[::1]:80/path", "[::1]:80"),
            ("tcp://[::1]", "[::1]:2375"),
        ] {
            let address = EngineAddress {
                host: host.to_owned(),
                origin: String::new(),
                config: PathBuf::new(),
                is_default: false,
            };
            assert_eq!(Target::of(&address).name(), expected, "{host}");
        }
    }

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
}
