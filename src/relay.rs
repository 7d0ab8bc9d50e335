//! Dialling where this host has no route to the containers: one throwaway container on their network relays.
//!
//! It runs our own small static program where the image's architecture fits, else the image's python3, nc or
//! bash, one execution a dial. It has no mounts and no capabilities, little memory, nothing of the launch's environment, and ends when its standard
//! input closes, which happens at the latest when this process ends.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, test_kill_process};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};

use crate::engine::bounded::within;
use crate::engine::{Attached, ContainerSpec, Engine, EngineError, EngineErrorKind, EngineResult, Status};
use crate::probe::dialler::{ByteStream, DialError, Dialler};
use frame::{
    CLOSE, DATA, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TIMED_OUT, frame, take_head,
};

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

/// The relay program; empty where it could not be built.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay"));
/// Marks relay containers.
pub const LABEL_RELAY: &str = "farrier.relay";
/// Bytes that wait for a reader of one connection. Frames may be as small as a server's writes, so that their number
/// says nothing.
const QUEUED_BYTES: usize = 1 << 20;
/// How long finding out whether an image has a tool may take.
const TRIAL: Duration = Duration::from_secs(10);
/// How long clearing up behind other launches may hold this one up; what is left is for the next one.
const SWEEPING: Duration = Duration::from_secs(2);
/// What a tool's dial adds to the wait for its execution to begin.
const TOOL_START: Duration = Duration::from_secs(2);

/// Whether farrier's own program was built.
#[must_use]
pub const fn is_built_in() -> bool {
    !PROGRAM.is_empty()
}

/// Starts a relay on the network, from an image that is present.
///
/// # Errors
/// When the image can run neither our program nor one of the tools.
pub async fn start(
    engine: &Arc<dyn Engine>,
    network: &str,
    image: &str,
    architecture: &str,
) -> EngineResult<Arc<dyn Dialler>> {
    let found = engine.image(image).await?.ok_or_else(|| {
        EngineError::new(EngineErrorKind::NotFound, format!("the image {image} is not present"))
    })?;
    if !PROGRAM.is_empty() && fits(&found.architecture, architecture) {
        match start_program(engine, network, image).await {
            Ok(relay) => return Ok(Arc::new(relay)),
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) => tracing::debug!("the relay program does not run in {image}: {error}"),
        }
    }
    start_tool(engine, network, image).await.map(|relay| Arc::new(relay) as Arc<dyn Dialler>)
}

/// Removes relays that a launch of this host made but was ended, or failed, before it started them. This launch
/// has none yet that it will start.
pub async fn sweep(engine: &dyn Engine) {
    // An engine waits for the rest of an upload that nobody finishes, and answers nothing about that container.
    let _ = tokio::time::timeout(SWEEPING, remove_abandoned(engine)).await;
}

async fn remove_abandoned(engine: &dyn Engine) {
    let own = rustix::process::getpid();
    let is_alive = |process: &String| {
        let process = process.parse().ok().and_then(Pid::from_raw);
        process.is_some_and(|process| process != own && test_kill_process(process).is_ok())
    };
    for relay in engine.labelled(LABEL_RELAY).await.unwrap_or_default() {
        let Ok(Some(found)) = engine.container(&relay.name).await else { continue };
        if found.status == Status::Created && !found.labels.get(LABEL_RELAY).is_some_and(is_alive) {
            let _ = engine.remove(&found.id, true).await;
        }
    }
}

/// Whether an image for this architecture, on an engine of that one, runs what was built for this host.
fn fits(image: &str, engine: &str) -> bool {
    let normal = |name: &str| match name {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    };
    (image.is_empty() || normal(image) == std::env::consts::ARCH) && normal(engine) == std::env::consts::ARCH
}

fn helper(network: &str, image: &str, entrypoint: &[&str]) -> ContainerSpec {
    let mut random = [0_u8; 8];
    let _ = getrandom::fill(&mut random);
    ContainerSpec {
        name: format!("farrier-relay-{:016x}", u64::from_ne_bytes(random)),
        image: image.to_owned(),
        entrypoint: entrypoint.iter().map(|&argument| argument.to_owned()).collect(),
        labels: BTreeMap::from([(LABEL_RELAY.to_owned(), std::process::id().to_string())]),
        network: network.to_owned(),
        helper: true,
        ..ContainerSpec::default()
    }
}

/// Makes, attaches to and starts a helper; removes it where that fails.
async fn run_helper(
    engine: &Arc<dyn Engine>,
    spec: &ContainerSpec,
    archive: Option<Vec<u8>>,
) -> EngineResult<(String, Attached)> {
    let id = engine.create(spec).await?;
    let begin = async {
        if let Some(archive) = archive {
            engine.upload(&id, archive).await?;
        }
        let attached = engine.attach(&id).await?;
        engine.start(&id).await?;
        Ok(attached)
    };
    match begin.await {
        Ok(attached) => Ok((id, attached)),
        Err(error) => {
            let _ = engine.remove(&id, true).await;
            Err(error)
        }
    }
}

fn program_archive() -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(PROGRAM.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, "farrier-relay", PROGRAM)?;
    archive.into_inner()
}

type Channels = Arc<Mutex<HashMap<u32, Channel>>>;

/// One dialled connection on this side.
struct Channel {
    opened: Option<oneshot::Sender<Result<(), DialError>>>,
    incoming: mpsc::UnboundedSender<Vec<u8>>,
    /// Bytes that were handed over and not taken yet.
    queued: Arc<AtomicUsize>,
}

/// Our own program: all dials share its standard streams.
struct ProgramRelay {
    frames: mpsc::Sender<Vec<u8>>,
    channels: Channels,
    next: AtomicU32,
}

async fn start_program(engine: &Arc<dyn Engine>, network: &str, image: &str) -> EngineResult<ProgramRelay> {
    let archive =
        program_archive().map_err(|error| EngineError::new(EngineErrorKind::Refused, error.to_string()))?;
    let spec = helper(network, image, &["/farrier-relay"]);
    let (_, attached) = run_helper(engine, &spec, Some(archive)).await?;
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
    tokio::spawn(async move { take_answers(&mut output, &receiving, &answers).await });
    Ok(ProgramRelay { frames, channels, next: AtomicU32::new(1) })
}

/// Hands what the relay says to its connections, to its end or to the first frame that is none.
async fn take_answers(
    output: &mut (impl AsyncRead + Unpin),
    channels: &Channels,
    answers: &mpsc::WeakSender<Vec<u8>>,
) {
    let mut head = [0_u8; HEAD_BYTES];
    while output.read_exact(&mut head).await.is_ok() {
        let (channel, kind, length) = take_head(head);
        let mut payload = vec![0; length.min(PAYLOAD_BYTES)];
        if length > PAYLOAD_BYTES || output.read_exact(&mut payload).await.is_err() {
            break;
        }
        let is_known = receive(channels, channel, kind, payload);
        if let (false, OPENED, Some(answers)) = (is_known, kind, answers.upgrade()) {
            let _ = answers.try_send(frame(channel, CLOSE, &[]));
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
            // Whoever does not read must not fill the memory: the connection ends.
            let queued = found.queued.fetch_add(payload.len(), Ordering::Relaxed) + payload.len();
            if queued > QUEUED_BYTES || found.incoming.send(payload).is_err() {
                channels.remove(&channel);
            }
        }
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

fn gone() -> DialError {
    DialError::Other("the relay container ended".to_owned())
}

#[async_trait]
impl Dialler for ProgramRelay {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let channel = self.next.fetch_add(1, Ordering::Relaxed);
        let (opened, answer) = oneshot::channel();
        let (incoming, received) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let entry = Channel { opened: Some(opened), incoming, queued: Arc::clone(&queued) };
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, entry);
        let mut forget = Forget { relay: self, channel, armed: true };
        let limit = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let mut payload = limit.to_be_bytes().to_vec();
        payload.extend(address.to_string().into_bytes());
        self.frames.send(frame(channel, OPEN, &payload)).await.map_err(|_| gone())?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(Ok(()))) => {
                forget.armed = false;
                Ok(Box::new(pump(channel, self.frames.clone(), received, queued)))
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(DialError::TimedOut),
        }
    }
}

/// Gives up a dial that did not become a connection, also when nobody waits for it any more.
struct Forget<'a> {
    relay: &'a ProgramRelay,
    channel: u32,
    armed: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.relay.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.channel);
            let _ = self.relay.frames.try_send(frame(self.channel, CLOSE, &[]));
        }
    }
}

/// Gives a channel the shape of a stream.
fn pump(
    channel: u32,
    frames: mpsc::Sender<Vec<u8>>,
    mut received: mpsc::UnboundedReceiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(PAYLOAD_BYTES);
    let (mut from_guest, mut to_guest) = tokio::io::split(theirs);
    tokio::spawn(async move {
        while let Some(bytes) = received.recv().await {
            queued.fetch_sub(bytes.len(), Ordering::Relaxed);
            if to_guest.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to_guest.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from_guest.read(&mut buffer).await {
            if frames.send(frame(channel, DATA, &buffer[..count])).await.is_err() {
                break;
            }
        }
        let _ = frames.send(frame(channel, CLOSE, &[])).await;
    });
    ours
}

/// A tool of the image's: one execution a dial.
struct ToolRelay {
    engine: Arc<dyn Engine>,
    container: String,
    tool: Tool,
    /// Keeps the helper alive.
    _attached: tokio::sync::Mutex<Attached>,
}

#[derive(Clone, Copy, Debug)]
enum Tool {
    Python,
    Netcat,
    Bash,
}

/// Connects, says so with one byte, and copies both ways until either side ends.
const PYTHON: &str = "\
import socket,sys,threading,os
s=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))
s.settimeout(None)
os.write(1,b'+')
def up():
    while True:
        b=os.read(0,16384)
        if not b: os._exit(0)
        s.sendall(b)
threading.Thread(target=up,daemon=True).start()
while True:
    b=s.recv(16384)
    if not b: break
    os.write(1,b)
";
/// The same. An execution is a session of its own, so that `kill 0` ends only it.
const BASH: &str =
    "exec 3<>/dev/tcp/$0/$1 4<&0 || exit 1; printf +; { cat <&4 >&3; kill 0; } & cat <&3; kill 0";
/// The same, with a connection of its own to see that there is one. The nc of `BusyBox` knows no `-z`, but runs a program
/// once it is connected. (Its cat is no way out: it may keep the end of what a socket says to itself.)
const NETCAT: &str = "case \"$(nc -h 2>&1)\" in \
    *-z*) nc -z -w \"$2\" \"$0\" \"$1\";; *) nc -w \"$2\" \"$0\" \"$1\" -e true;; esac || exit 1; \
    printf +; exec nc \"$0\" \"$1\"";

impl Tool {
    const ALL: [Self; 3] = [Self::Python, Self::Netcat, Self::Bash];

    /// A main process that ends when standard input closes.
    const fn keeper(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "-c", "import sys; sys.stdin.read()"],
            Self::Netcat => &["sh", "-c", "cat >/dev/null"],
            Self::Bash => &["bash", "-c", "cat >/dev/null"],
        }
    }

    /// Fails at once where the tool is not in the image.
    const fn trial(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "-c", ""],
            Self::Netcat => &["sh", "-c", "command -v nc"],
            Self::Bash => &["bash", "-c", "command -v cat"],
        }
    }

    fn dial(self, address: SocketAddr, timeout: Duration) -> Vec<String> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let seconds = format!("{:.3}", timeout.as_secs_f64());
        let whole = timeout.as_secs().max(1).to_string();
        let arguments: Vec<&str> = match self {
            Self::Python => vec!["python3", "-c", PYTHON, &host, &port, &seconds],
            Self::Netcat => vec!["sh", "-c", NETCAT, &host, &port, &whole],
            Self::Bash => vec!["bash", "-c", BASH, &host, &port],
        };
        arguments.into_iter().map(str::to_owned).collect()
    }
}

async fn start_tool(engine: &Arc<dyn Engine>, network: &str, image: &str) -> EngineResult<ToolRelay> {
    let mut last = None;
    for tool in Tool::ALL {
        let spec = helper(network, image, tool.keeper());
        match run_helper(engine, &spec, None).await {
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) => last = Some(error),
            Ok((container, attached)) => {
                let arguments = tool.trial().iter().map(|&argument| argument.to_owned()).collect();
                let request = crate::engine::ExecRequest { arguments, output_limit: 1024 };
                match within(TRIAL, engine.exec(&container, &request)).await {
                    Ok(output) if output.exit_code == 0 => {
                        let attached = tokio::sync::Mutex::new(attached);
                        return Ok(ToolRelay {
                            engine: Arc::clone(engine),
                            container,
                            tool,
                            _attached: attached,
                        });
                    }
                    tried => {
                        let _ = engine.remove(&container, true).await;
                        match tried {
                            Err(error) if error.kind.is_of_the_connection() => return Err(error),
                            tried => last = tried.err().or(last),
                        }
                    }
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        EngineError::new(EngineErrorKind::Refused, format!("{image} has no python3, nc or bash"))
    }))
}

#[async_trait]
impl Dialler for ToolRelay {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let arguments = self.tool.dial(address, timeout);
        let dial = async {
            let attached = self.engine.exec_attached(&self.container, &arguments).await;
            let mut attached = attached.map_err(|error| DialError::Other(error.message))?;
            let mut first = [0_u8; 1];
            match attached.output.read_exact(&mut first).await {
                Ok(_) => Ok(attached),
                // The tools tell no reasons apart: their end without the sign is a refusal.
                Err(_) => Err(DialError::Refused),
            }
        };
        match tokio::time::timeout(timeout + TOOL_START, dial).await {
            Ok(Ok(attached)) => Ok(Box::new(tokio::io::join(attached.output, attached.input))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::TimedOut),
        }
    }
}
