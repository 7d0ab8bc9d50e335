//! Stands between farrier and the engine on a socket of its own, counts requests, and does to the n-th whatever a
//! test asks for: holds it, hangs, answers nonsense, breaks the connection. It can also be down for a while, as an
//! engine that restarts.
//!
//! It understands as much of HTTP as it takes to know where a request begins; answers are passed on as they come.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::PATIENT;
use super::run::Run;
use super::scene::Scene;

/// The longest head of a request that farrier makes.
const HEAD: usize = 64 << 10;

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is held before the engine gets it, until `release`.
    HoldBefore,
    /// The engine gets it, and its answer is held, until `release`.
    HoldAfter,
    /// The engine never gets it, and no answer comes.
    Hang,
    /// The engine gets it, and its answer does not come.
    HangAfter,
    /// The engine gets it after so long.
    Late(Duration),
    /// The engine never gets it; the connection ends.
    Drop,
    /// The engine gets it; the connection ends without its answer.
    DropAfter,
    /// The engine gets it; the connection ends after so many bytes of its answer.
    Cut(usize),
    /// The engine never gets it; this is the answer, byte for byte, and the connection ends.
    Answer(&'static str),
    /// The engine gets it; the same stands for its answer.
    AnswerAfter(&'static str),
}

impl Trouble {
    /// Whether the engine carries the request out.
    pub fn reaches_the_engine(self) -> bool {
        !matches!(self, Self::Hang | Self::Drop | Self::Answer(_))
    }
}

/// One request, by its number from 0.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Without the version of the API.
    pub path: String,
}

impl Request {
    /// For messages: ids are cut.
    pub fn line(&self) -> String {
        let path: Vec<&str> = self.path.split('/').map(|part| part.get(..40).unwrap_or(part)).collect();
        format!("{} {}", self.method, path.join("/"))
    }
}

/// The proxy; its socket goes when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    socket: PathBuf,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ends: AtomicBool,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    troubles: BTreeMap<usize, Trouble>,
    /// Requests whose path holds a text, all of them.
    everywhere: Vec<(&'static str, Trouble)>,
    held: usize,
    released: bool,
    down: bool,
    /// Both ends of every connection, to break them.
    connections: Vec<UnixStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, limit: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| !condition(state));
        condition(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Proxy {
    /// Before the engine that the tests use; none where that is not reached by a socket of this host.
    pub fn new(scene: &Scene) -> Option<Self> {
        let engine = engine_socket()?;
        let socket = scene.path("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (shared, engine) = (Arc::clone(&accepting), engine.clone());
                // What goes wrong with one connection is for the two at its ends.
                thread::spawn(move || drop(serve(&shared, client, &engine)));
            }
        });
        Some(Self { shared, socket })
    }

    /// The same program with its engine behind this proxy.
    pub fn before(&self, run: Run) -> Run {
        run.env("DOCKER_HOST", self.host())
    }

    /// Does this to the request of this number.
    pub fn at(&self, index: usize, trouble: Trouble) {
        self.shared.state().troubles.insert(index, trouble);
    }

    /// Does this to every request whose path holds this text.
    pub fn everywhere(&self, part: &'static str, trouble: Trouble) {
        self.shared.state().everywhere.push((part, trouble));
    }

    /// Forgets all troubles and requests, lets go what is held, and ends every connection.
    pub fn calm(&self) {
        let mut state = self.shared.state();
        state.troubles.clear();
        state.everywhere.clear();
        state.released = true;
        state.held = 0;
        break_all(&mut state);
        state.requests.clear();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Waits until a request is held, or the condition holds; true for the former.
    pub fn wait_held(&self, mut or: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        while !self.shared.wait(Duration::from_millis(5), |state| state.held > 0) {
            if or() {
                return self.shared.state().held > 0;
            }
            assert!(begun.elapsed() < PATIENT, "nothing is held after {PATIENT:?}");
        }
        true
    }

    /// Waits until so many requests were made, or the condition holds.
    pub fn wait_requests(&self, count: usize, mut or: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !self.shared.wait(Duration::from_millis(5), |state| state.requests.len() >= count) {
            if or() {
                return;
            }
            assert!(begun.elapsed() < PATIENT, "fewer than {count} requests after {PATIENT:?}");
        }
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.shared.state().released = true;
        self.shared.changed.notify_all();
    }

    /// Ends every connection, as an engine does that stops; refuses new ones until it is up again.
    pub fn down(&self, down: bool) {
        let mut state = self.shared.state();
        state.down = down;
        if down {
            break_all(&mut state);
        }
    }

    /// Ends every connection; new ones are served.
    pub fn break_connections(&self) {
        break_all(&mut self.shared.state());
    }

    /// Whether the guardian of a session was told to find its engine here.
    fn is_used_by_a_guardian(&self) -> bool {
        let host = self.host();
        let holds = |words: &[u8], word: &[u8]| words.split(|&byte| byte == 0).any(|other| other == word);
        let reads = |process: &Path, file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.map(|entry| entry.path()).any(|process| {
            holds(&reads(&process, "cmdline"), b"--guard-session")
                && holds(&reads(&process, "environ"), format!("DOCKER_HOST={host}").as_bytes())
        })
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Whoever guards a session here would go on asking an engine that is gone for good.
        self.calm();
        self.down(false);
        let begun = Instant::now();
        while begun.elapsed() < PATIENT && self.is_used_by_a_guardian() {
            thread::sleep(Duration::from_millis(20));
        }
        self.shared.ends.store(true, Ordering::SeqCst);
        self.calm();
        // The thread that accepts wakes up for this one.
        drop(UnixStream::connect(&self.socket));
    }
}

fn break_all(state: &mut State) {
    for connection in state.connections.drain(..) {
        drop(connection.shutdown(Shutdown::Both));
    }
}

/// The socket of the engine that the tests' own docker uses.
fn engine_socket() -> Option<PathBuf> {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()).or_else(|| {
        super::docker::run(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).ok()
    })?;
    host.strip_prefix("unix://").map(PathBuf::from)
}

fn serve(shared: &Arc<Shared>, client: UnixStream, engine: &Path) -> io::Result<()> {
    let upstream = UnixStream::connect(engine)?;
    let engine = upstream.try_clone()?;
    let result = pass_requests(shared, client, upstream);
    if result.is_err() {
        // A request that its client did not finish must not keep the engine waiting for the rest.
        engine.shutdown(Shutdown::Both)?;
    }
    result
}

fn pass_requests(shared: &Arc<Shared>, mut client: UnixStream, mut upstream: UnixStream) -> io::Result<()> {
    {
        let mut state = shared.state();
        if state.down {
            return client.shutdown(Shutdown::Both);
        }
        state.connections.extend([client.try_clone()?, upstream.try_clone()?]);
    }
    let gate = Arc::new(Gate::default());
    let (answers, asking, passed) = (upstream.try_clone()?, client.try_clone()?, Arc::clone(&gate));
    thread::spawn(move || drop(pass_answers(answers, asking, &passed)));
    let mut pending = Vec::new();
    while let Some((head, request)) = read_head(&mut client, &mut pending)? {
        let trouble = admit(shared, &request);
        let body = Body::of(&head);
        match trouble {
            None => {}
            Some(Trouble::HoldBefore) => hold(shared),
            Some(Trouble::Hang) => {
                hang(&mut client);
                return both(&client, &upstream);
            }
            Some(Trouble::Late(delay)) => pause(delay),
            Some(Trouble::Drop) => return client.shutdown(Shutdown::Both),
            Some(Trouble::Answer(text)) => {
                drop(client.write_all(text.as_bytes()));
                return client.shutdown(Shutdown::Both);
            }
            Some(after) => gate.close(after, Arc::clone(shared)),
        }
        upstream.write_all(&head)?;
        if body == Body::Raw {
            upstream.write_all(&pending)?;
            io::copy(&mut client, &mut upstream)?;
            return upstream.shutdown(Shutdown::Write);
        }
        pass_body(&mut client, &mut upstream, &mut pending, &body)?;
    }
    upstream.shutdown(Shutdown::Both)
}

/// Notes a request and gives what is to be done to it.
fn admit(shared: &Shared, request: &Request) -> Option<Trouble> {
    let mut state = shared.state();
    let index = state.requests.len();
    state.requests.push(request.clone());
    let everywhere = state.everywhere.iter().find(|(part, _)| request.path.contains(part));
    let trouble = everywhere.map(|(_, trouble)| *trouble);
    let trouble = state.troubles.remove(&index).or(trouble);
    if matches!(trouble, Some(Trouble::HoldBefore | Trouble::HoldAfter)) {
        state.released = false;
    }
    drop(state);
    shared.changed.notify_all();
    trouble
}

/// Holds until it is let go.
fn hold(shared: &Shared) {
    shared.state().held += 1;
    shared.changed.notify_all();
    shared.wait(PATIENT, |state| state.released);
}

/// Reads what else comes, until the other end has enough.
fn hang(client: &mut UnixStream) {
    drop(io::copy(client, &mut io::sink()));
}

fn pause(delay: Duration) {
    thread::sleep(delay);
}

/// What is done to the next answer of a connection.
#[derive(Default)]
struct Gate(Mutex<Option<(Trouble, Arc<Shared>)>>);

impl Gate {
    fn close(&self, trouble: Trouble, shared: Arc<Shared>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((trouble, shared));
    }

    fn take(&self) -> Option<(Trouble, Arc<Shared>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn pass_answers(mut engine: UnixStream, mut client: UnixStream, gate: &Gate) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match engine.read(&mut buffer) {
            Ok(0) | Err(_) => return client.shutdown(Shutdown::Write),
            Ok(count) => count,
        };
        let bytes = &buffer[..count];
        match gate.take() {
            None => client.write_all(bytes)?,
            Some((Trouble::HoldAfter, shared)) => {
                hold(&shared);
                client.write_all(bytes)?;
            }
            Some((Trouble::HangAfter, _)) => drop(io::copy(&mut engine, &mut io::sink())),
            Some((Trouble::Cut(kept), _)) => {
                client.write_all(bytes.get(..kept).unwrap_or(bytes))?;
                return both(&client, &engine);
            }
            Some((Trouble::AnswerAfter(text), _)) => {
                client.write_all(text.as_bytes())?;
                return both(&client, &engine);
            }
            Some(_) => return both(&client, &engine),
        }
    }
}

fn both(client: &UnixStream, engine: &UnixStream) -> io::Result<()> {
    drop(engine.shutdown(Shutdown::Both));
    client.shutdown(Shutdown::Both)
}

/// How a request goes on after its head.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
    /// The connection is no longer HTTP.
    Raw,
}

impl Body {
    fn of(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head).to_lowercase();
        let value = |name: &str| {
            head.lines().find_map(|line| {
                line.strip_prefix(name)?.strip_prefix(':').map(|rest| rest.trim().to_owned())
            })
        };
        if value("upgrade").is_some() {
            Self::Raw
        } else if value("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            Self::Chunks
        } else {
            Self::Bytes(value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0))
        }
    }
}

/// The next head with its end, and the request in it; none at the end of the connection.
fn read_head(client: &mut UnixStream, pending: &mut Vec<u8>) -> io::Result<Option<(Vec<u8>, Request)>> {
    loop {
        if let Some(end) = find(pending, b"\r\n\r\n") {
            let head: Vec<u8> = pending.drain(..end + 4).collect();
            let text = String::from_utf8_lossy(&head).into_owned();
            let mut words = text.split(' ');
            let method = words.next().unwrap_or_default().to_owned();
            let path = words.next().unwrap_or_default();
            let versioned = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
            let path = versioned.unwrap_or(path).to_owned();
            return Ok(Some((head, Request { method, path })));
        }
        if !more(client, pending)? || pending.len() > HEAD {
            return Ok(None);
        }
    }
}

fn pass_body(
    client: &mut UnixStream,
    engine: &mut UnixStream,
    pending: &mut Vec<u8>,
    body: &Body,
) -> io::Result<()> {
    let mut left = match body {
        Body::Bytes(length) => *length,
        Body::Chunks | Body::Raw => {
            while find(pending, b"0\r\n\r\n").is_none() {
                if !more(client, pending)? {
                    break;
                }
            }
            find(pending, b"0\r\n\r\n").map_or(pending.len(), |at| at + 5)
        }
    };
    while left > 0 {
        if pending.is_empty() && !more(client, pending)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let part: Vec<u8> = pending.drain(..left.min(pending.len())).collect();
        engine.write_all(&part)?;
        left -= part.len();
    }
    Ok(())
}

fn more(client: &mut UnixStream, pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    let count = client.read(&mut buffer)?;
    pending.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|found| found == part)
}
