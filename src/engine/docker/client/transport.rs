//! Connections to the engine: on this host one for each request, as `bollard` has it too. What an answer may take is
//! metered where the bytes arrive (`meter`), because `bollard` collects an answer whole, and a line or frame of a
//! stream until its end: an engine that answers without end would fill the memory.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, body_full};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustix::net::sockopt;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::meter::{Meter, Metered};
use super::ssh::Tunnel;
use super::tls::Encryption;
use super::{ANSWER_TIMEOUT_SECONDS, podman};
use crate::engine::EngineResult;
use crate::engine::docker::address::EngineAddress;

/// Bytes of an answer that is read whole. The largest honest ones list containers: some 10 KiB each.
const LONGEST_ANSWER: u64 = 64 << 20;
/// Bytes of a stream from one item to the next. The largest honest ones are frames of output: 32 KiB and a stamp.
const LONGEST_ITEM: u64 = 2 << 20;
/// Bytes that a repeated answer may be ahead of its reader.
const LONGEST_HEAD: usize = 64 << 10;
/// How often Podman is asked what it refuses because something changed while it looked.
pub(super) const MOST_ATTEMPTS: u32 = 10;
/// The pause after the first attempt; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(25);
/// The ports of addresses without one, as for the docker client.
const DEFAULT_PORT: u16 = 2375;
const DEFAULT_TLS_PORT: u16 = 2376;
/// How long a host may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long ago a connection may have answered that begins a command or a stream.
const FRESH: Duration = Duration::from_secs(1);
/// How long what was sent, or a question of the kernel's to an idle connection, may stay without an acknowledgement.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What `bollard` sends as the body of a request.
type BollardBody = Either<Full<Bytes>, StreamBody<BoxStream<Result<Frame<Bytes>, io::Error>>>>;
type BoxStream<T> = Pin<Box<dyn futures_util::Stream<Item = T> + Send>>;

/// Where the engine listens, and how it is reached there.
#[derive(Clone)]
enum Target {
    Unix(PathBuf),
    Tcp(String),
    Tls(String, Encryption),
    Ssh(Arc<Tunnel>),
}

/// A connection that something is kept for.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The way to an engine: a connection for each request on this host; from elsewhere, those whose answers have been read
/// are used again.
pub(super) struct Transport {
    target: Target,
    kept: Mutex<Vec<Kept>>,
}

/// A connection that has answered.
struct Kept {
    sender: http1::SendRequest<BollardBody>,
    meter: Arc<Meter>,
    /// When it was used last.
    used: Instant,
}

/// What became of a request for which a connection was there.
enum Sent {
    Answered(Response<Incoming>, Kept),
    Unsent(BollardRequest),
}

impl Transport {
    /// For an address. Nothing is asked yet.
    ///
    /// # Errors
    /// If the address or its certificates cannot be used.
    pub(super) fn of(address: &EngineAddress) -> EngineResult<Arc<Self>> {
        Ok(Arc::new(Self { target: Target::of(address)?, kept: Mutex::default() }))
    }

    fn address(&self) -> String {
        format!("http://{}", self.target.name())
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.target {
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Target::Tcp(authority) => Box::new(tcp(authority).await?),
            Target::Tls(authority, encryption) => Box::new(encryption.over(tcp(authority).await?).await?),
            Target::Ssh(tunnel) => Box::new(tunnel.connect().await?),
        })
    }

    /// Sends a request over a connection that has answered before, if there is one.
    pub(super) async fn send(&self, mut request: BollardRequest) -> Result<Response<Incoming>, BollardError> {
        prepare(&self.target, &mut request);
        let kept = self.take(|_| true);
        let (response, kept) = match self.send_over_kept(kept, request, Meter::note_item).await? {
            Sent::Answered(response, kept) => (response, kept),
            Sent::Unsent(request) => {
                let meter = Arc::new(Meter::new(LONGEST_ANSWER));
                let mut sender = self.open(Arc::clone(&meter)).await?;
                let response = sender.send_request(request).await;
                (
                    response.map_err(|error| self.explained(error.into()))?,
                    Kept { sender, meter, used: Instant::now() },
                )
            }
        };
        self.keep(kept);
        Ok(response)
    }

    /// Sends a request over a connection that is its own from then on.
    async fn send_alone(
        &self,
        meter: Arc<Meter>,
        mut request: BollardRequest,
    ) -> Result<Response<Incoming>, BollardError> {
        prepare(&self.target, &mut request);
        // What begins a command or a stream is not sent twice, so it must not meet a connection that is just being closed, as
        // proxies do with idle ones.
        let kept = self.take(|kept| kept.used.elapsed() < FRESH);
        match self.send_over_kept(kept, request, |kept| kept.hand_over(Arc::clone(&meter))).await? {
            Sent::Answered(response, _) => Ok(response),
            Sent::Unsent(request) => {
                let mut sender = self.open(meter).await?;
                sender.send_request(request).await.map_err(|error| self.explained(error.into()))
            }
        }
    }

    /// Sends a request over a connection that has answered, whose meter is told first.
    async fn send_over_kept(
        &self,
        kept: Option<Kept>,
        request: BollardRequest,
        tell: impl FnOnce(&Meter),
    ) -> Result<Sent, BollardError> {
        let Some(mut kept) = kept else { return Ok(Sent::Unsent(request)) };
        tell(&kept.meter);
        match kept.sender.try_send_request(request).await {
            Ok(response) => Ok(Sent::Answered(response, kept)),
            // The engine had closed it. Nothing was sent.
            Err(mut error) => match error.take_message() {
                Some(unsent) => Ok(Sent::Unsent(unsent)),
                None => Err(self.explained(error.into_error().into())),
            },
        }
    }

    async fn open(&self, meter: Arc<Meter>) -> Result<http1::SendRequest<BollardBody>, BollardError> {
        let stream = self.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(Metered { stream, meter })).await?;
        // It ends with the answer, or with whoever reads it; what goes wrong with it the reader is told.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    fn take(&self, is_fresh: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.sender.is_closed());
        let ready = kept.iter().position(|kept| kept.sender.is_ready() && is_fresh(kept))?;
        Some(kept.swap_remove(ready))
    }

    fn keep(&self, mut kept: Kept) {
        kept.used = Instant::now();
        if !matches!(self.target, Target::Unix(_)) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
    }

    /// What broke a connection, in the words of whoever knows better.
    fn explained(&self, error: BollardError) -> BollardError {
        let Target::Ssh(tunnel) = &self.target else { return error };
        match tunnel.last_words() {
            Some(words) => io::Error::other(words).into(),
            None => error,
        }
    }
}

impl Target {
    fn of(address: &EngineAddress) -> EngineResult<Self> {
        let (scheme, rest) = address.host.split_once("://").unwrap_or(("", &address.host));
        if scheme == "unix" {
            return Ok(Self::Unix(rest.into()));
        }
        if scheme == "ssh" {
            return Ok(Self::Ssh(Arc::new(Tunnel::new(&address.host, address.identity.clone())?)));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let port = if address.tls.is_some() { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        let Some(files) = &address.tls else { return Ok(Self::Tcp(authority)) };
        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
        let encryption = Encryption::new(files, host)?;
        Ok(Self::Tls(authority, encryption))
    }

    /// What requests call it.
    fn name(&self) -> &str {
        match self {
            Self::Unix(_) | Self::Ssh(_) => "localhost",
            Self::Tcp(authority) | Self::Tls(authority, _) => authority,
        }
    }
}

async fn tcp(authority: &str) -> io::Result<TcpStream> {
    let connecting = tokio::time::timeout(CONNECTING, TcpStream::connect(authority)).await;
    let stream = connecting.map_err(|_| {
        let message = format!("{authority} does not answer within {} s", CONNECTING.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, message)
    })??;
    stream.set_nodelay(true)?;
    end_if_dead(&stream)?;
    Ok(stream)
}

/// Lets the kernel end a connection on which nothing is acknowledged any more: one may be dead without a word, as after
/// a change of address, and whoever waits for an answer on it would wait until its own time is over.
fn end_if_dead(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(stream, UNACKNOWLEDGED / 2)?;
        sockopt::set_tcp_keepintvl(stream, UNACKNOWLEDGED / 4)?;
        let milliseconds = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    }
    Ok(())
}

fn prepare(target: &Target, request: &mut BollardRequest) {
    let host = HeaderValue::from_str(target.name()).unwrap_or(HeaderValue::from_static("localhost"));
    request.headers_mut().insert(HOST, host);
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
}

/// A client each of whose answers is read whole, and whether Podman has given one of them.
pub(super) fn client(transport: &Arc<Transport>) -> Result<(Docker, Arc<AtomicBool>), BollardError> {
    let is_podman = Arc::new(AtomicBool::new(false));
    let (own, transport) = (Arc::clone(&is_podman), Arc::clone(transport));
    let address = transport.address();
    let send = move |request| understood(Arc::clone(&transport), Arc::clone(&own), request);
    let client = Docker::connect_with_custom_transport(
        send,
        Some(address),
        ANSWER_TIMEOUT_SECONDS,
        API_DEFAULT_VERSION,
    );
    Ok((client?, is_podman))
}

/// A client for one stream, and the meter that is to be told of each of its items.
pub(super) fn stream_client(transport: &Arc<Transport>) -> Result<(Docker, Arc<Meter>), BollardError> {
    with_meter(transport, LONGEST_ITEM, None)
}

/// A connection that the engine gives to a container's streams, and the meter that is to be told of each part of them.
///
/// # Errors
/// If it does not.
pub(super) async fn upgraded(
    transport: &Arc<Transport>,
    path: &str,
) -> Result<(TokioIo<Upgraded>, Arc<Meter>), BollardError> {
    let meter = Arc::new(Meter::new(LONGEST_ITEM));
    let mut request = bodiless(Method::POST, path)?;
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
    let response = transport.send_alone(Arc::clone(&meter), request).await?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        // The answer to a request that was not upgraded may have no end.
        let message = if status.is_success() {
            "the engine, or what is between, does not upgrade the connection".to_owned()
        } else {
            words(&response.into_body().collect().await?.to_bytes())
        };
        return Err(BollardError::DockerResponseServerError { status_code: status.as_u16(), message });
    }
    Ok((TokioIo::new(hyper::upgrade::on(response).await?), meter))
}

/// What an engine says of an error: mostly JSON, but plain text where it was about to upgrade the connection.
fn words(body: &[u8]) -> String {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let message = told.as_ref().and_then(|told| told["message"].as_str()).map(str::to_owned);
    message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

/// A client for one stream that is read whole, and its meter.
pub(super) fn collecting_client(transport: &Arc<Transport>) -> Result<(Docker, Arc<Meter>), BollardError> {
    with_meter(transport, LONGEST_ANSWER, None)
}

/// A client for what a container wrote since a moment, either read whole or as a stream, and its meter.
pub(super) fn log_client(
    transport: &Arc<Transport>,
    since: Timestamp,
    is_read_whole: bool,
) -> Result<(Docker, Arc<Meter>), BollardError> {
    with_meter(transport, if is_read_whole { LONGEST_ANSWER } else { LONGEST_ITEM }, Some(since))
}

/// Asks for what was written since this moment, for whose fraction `bollard` has no room: Podman's stamps are whole seconds, so
/// that only its own filter can tell two runs within a second apart.
fn ask_exactly(request: &mut BollardRequest, since: Timestamp) {
    let (seconds, fraction) = (since.as_second(), since.subsec_nanosecond());
    let Some(path) = request.uri().path_and_query().filter(|_| seconds > 0) else { return };
    let rounded = format!("since={seconds}");
    let exact = path.as_str().replacen(&rounded, &format!("{rounded}.{fraction:09}"), 1);
    if let Ok(uri) = exact.parse() {
        *request.uri_mut() = uri;
    }
}

fn with_meter(
    transport: &Arc<Transport>,
    limit: u64,
    since: Option<Timestamp>,
) -> Result<(Docker, Arc<Meter>), BollardError> {
    let meter = Arc::new(Meter::new(limit));
    let (own, transport) = (Arc::clone(&meter), Arc::clone(transport));
    let address = transport.address();
    let send = move |mut request| {
        let (transport, meter) = (Arc::clone(&transport), Arc::clone(&own));
        if let Some(since) = since {
            ask_exactly(&mut request, since);
        }
        async move { transport.send_alone(meter, request).await }
    };
    let client = Docker::connect_with_custom_transport(
        send,
        Some(address),
        ANSWER_TIMEOUT_SECONDS,
        API_DEFAULT_VERSION,
    );
    Ok((client?, meter))
}

/// Sends a request whose answer is read whole, and puts what Podman answers into Docker's words.
async fn understood(
    transport: Arc<Transport>,
    speaks_podman: Arc<AtomicBool>,
    request: BollardRequest,
) -> Result<Response<Incoming>, BollardError> {
    let own = (request.method() == Method::GET).then(|| podman::answer_to(request.uri().path())).flatten();
    let beside = own.and_then(|answer| podman::own_path(answer, &request));
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let response = transport.send(request).await?;
    if !podman::is_podman(response.headers()) {
        return Ok(response);
    }
    speaks_podman.store(true, Ordering::Relaxed);
    let response = settled(&transport, response, method, &path).await?;
    let Some(answer) = own.filter(|_| podman::is_json(&response)) else { return Ok(response) };
    let beside = match beside {
        Some(path) => ask_podman(&transport, &path).await?,
        None => Value::Null,
    };
    let mut value = whole(response).await?;
    podman::translate(answer, &mut value, &beside);
    replay(StatusCode::OK, serde_json::to_vec(&value)?).await
}

/// What Podman answers at a path of its own API.
///
/// # Errors
/// If no JSON is answered.
pub(super) async fn ask_podman(transport: &Transport, path: &str) -> Result<Value, BollardError> {
    let response = transport.send(bodiless(Method::GET, path)?).await?;
    whole(settled(transport, response, Method::GET, path).await?).await
}

/// Asks again for what Podman refuses because something changed while it looked.
async fn settled(
    transport: &Transport,
    mut response: Response<Incoming>,
    method: Method,
    path: &str,
) -> Result<Response<Incoming>, BollardError> {
    for attempt in 1..MOST_ATTEMPTS {
        if !response.status().is_server_error() || ![Method::GET, Method::DELETE].contains(&method) {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !podman::is_of_the_moment(&body) {
            return replay(status, body.into()).await;
        }
        tokio::time::sleep(PAUSE * attempt).await;
        response = transport.send(bodiless(method.clone(), path)?).await?;
    }
    Ok(response)
}

fn bodiless(method: Method, path: &str) -> Result<BollardRequest, BollardError> {
    let request = hyper::Request::builder().method(method).uri(path).body(body_full(Bytes::new()));
    request.map_err(|error| BollardError::from(io::Error::other(error)))
}

async fn whole(response: Response<Incoming>) -> Result<Value, BollardError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

/// An answer with this body, for a client that takes one only from a connection.
async fn replay(status: StatusCode, body: Vec<u8>) -> Result<Response<Incoming>, BollardError> {
    let (near, mut far) = tokio::io::duplex(LONGEST_HEAD);
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        // Whoever does not read on has lost interest.
        let head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            status.as_u16(),
            body.len()
        );
        let _ = far.write_all(head.as_bytes()).await;
        let _ = far.write_all(&body).await;
        let _ = far.flush().await;
        // The end comes with the reader's.
        let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
    });
    Ok(sender.send_request(bodiless(Method::GET, "/")?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::address::TlsFiles;

    #[test]
    fn an_address_without_a_port_has_dockers() {
        for (host, is_encrypted, expected) in [
            ("unix:///run/docker.sock", false, "localhost"),
            ("ssh://engine", false, "localhost"),
            ("tcp://engine:2376", false, "engine:2376"),
            ("tcp://engine", false, "engine:2375"),
            ("tcp://engine", true, "engine:2376"),
            ("http://[::1]:80/path", false, "[::1]:80"),
            ("tcp://[::1]", false, "[::1]:2375"),
            ("tcp://[::1]", true, "[::1]:2376"),
        ] {
            let tls = is_encrypted.then(TlsFiles::default);
            let address = EngineAddress { host: host.to_owned(), tls, ..EngineAddress::default() };
            let target = Target::of(&address).unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!(target.name(), expected, "{host}");
        }
    }

    #[test]
    fn a_moment_is_asked_for_exactly() {
        let asked = |since: &str, path: &str| {
            let mut request = bodiless(Method::GET, path).expect("a request");
            ask_exactly(&mut request, since.parse().expect("a moment"));
            request.uri().to_string()
        };
        let path = "/containers/x/logs?since=1796035066&tail=all";
        let exact = "/containers/x/logs?since=1796035066.317078834&tail=all";
        assert_eq!(asked("2026-11-30T10:37:46.317078834Z", path), exact);
        assert_eq!(asked("0001-01-01T00:00:00Z", "/containers/x/logs?since=0"), "/containers/x/logs?since=0");
    }

    /// What becomes of an attempt to attach to a container, where the engine answers this, and then no more.
    async fn answered(answer: &'static str, is_open: bool) -> BollardError {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.write_all(answer.as_bytes()).await;
            if is_open {
                std::future::pending::<()>().await;
            }
            // Its request is read, or the answer would be lost.
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        });
        let address =
            EngineAddress { host: format!("unix://{}", path.display()), ..EngineAddress::default() };
        let transport = Transport::of(&address).expect("an address");
        let attached = upgraded(&transport, "/containers/x/attach").await;
        serving.abort();
        match attached {
            Ok(_) => panic!("it is attached"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn what_an_engine_says_instead_of_attaching_is_told() {
        let plain = "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nno such container: x\r\n";
        let json = "HTTP/1.1 409 Conflict\r\nContent-Length: 23\r\n\r\n{\"message\":\"it is not\"}";
        let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
        for (answer, is_open, code, words) in [
            (plain, false, 404, "no such container: x"),
            (json, true, 409, "it is not"),
            (endless, true, 200, "does not upgrade the connection"),
        ] {
            let error = answered(answer, is_open).await;
            let BollardError::DockerResponseServerError { status_code, message } = &error else {
                panic!("{answer}: {error}")
            };
            assert!(*status_code == code && message.ends_with(words), "{answer}: {error}");
        }
    }
}
