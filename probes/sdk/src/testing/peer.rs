//! The other end of a connection: a script, a function, or a real server.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::format;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::State;
use crate::Denial;
use crate::bindings::farrier::probe::tls::Failure;

/// What a probe meets when it dials. Each connection plays the script from its beginning; where it ends, the
/// peer closes the connection.
#[derive(Clone)]
pub struct Peer {
    kind: Kind,
    piece: usize,
}

#[derive(Clone)]
enum Kind {
    Script(VecDeque<Step>),
    Answers(Rc<Answer>),
    Real(SocketAddr),
    Denies(Denial),
}

type Answer = dyn Fn(&[u8]) -> Option<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Expects(Vec<u8>),
    Sends(Vec<u8>),
    Stalls,
    Breaks(Denial),
    /// A handshake that succeeds, or fails so.
    Tls(Option<Failure>),
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Script(steps) => formatter.debug_tuple("Script").field(steps).finish(),
            Kind::Answers(_) => formatter.write_str("Answers"),
            Kind::Real(address) => formatter.debug_tuple("Real").field(address).finish(),
            Kind::Denies(denial) => formatter.debug_tuple("Denies").field(denial).finish(),
        }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self::new()
    }
}

impl Peer {
    const fn of(kind: Kind) -> Self {
        Self { kind, piece: usize::MAX }
    }

    /// An empty script: it accepts, and closes.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(Kind::Script(VecDeque::new()))
    }

    /// No connection, for this reason.
    #[must_use]
    pub const fn denies(denial: Denial) -> Self {
        Self::of(Kind::Denies(denial))
    }

    /// No connection: nothing listens.
    #[must_use]
    pub const fn refuses() -> Self {
        Self::denies(Denial::Refused)
    }

    /// Calls this with what was received and not yet answered, until it answers; an answer of no bytes closes
    /// the connection.
    #[must_use]
    pub fn answers(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + 'static) -> Self {
        Self::of(Kind::Answers(Rc::new(answer)))
    }

    /// A real TCP connection to this address, for tests on real servers.
    #[must_use]
    pub const fn real(address: SocketAddr) -> Self {
        Self::of(Kind::Real(address))
    }

    /// Hands over at most this many bytes a read, as a network may.
    #[must_use]
    pub const fn in_pieces(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
    }

    fn then(mut self, step: Step) -> Self {
        if let Kind::Script(steps) = &mut self.kind {
            steps.push_back(step);
        }
        self
    }

    /// Then waits for exactly these bytes. Others end the connection with a [`Denial::Other`] that names both.
    #[must_use]
    pub fn expects(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Expects(bytes.as_ref().to_vec()))
    }

    /// Then sends these bytes.
    #[must_use]
    pub fn sends(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Sends(bytes.as_ref().to_vec()))
    }

    /// Then says nothing more, and keeps the connection open: reads time out, without the test waiting.
    #[must_use]
    pub fn stalls(self) -> Self {
        self.then(Step::Stalls)
    }

    /// Then shakes hands when the probe begins TLS; what follows is inside TLS. Plain text ends the connection. A peer that
    /// [`answers`](Self::answers) shakes hands at any time.
    #[must_use]
    pub fn shakes_hands(self) -> Self {
        self.then(Step::Tls(None))
    }

    /// Then the handshake fails in this way when the probe begins TLS.
    #[must_use]
    pub fn fails_tls(self, failure: Failure) -> Self {
        self.then(Step::Tls(Some(failure)))
    }

    /// Then reads fail in this way: [`Denial::Closed`] is a connection that was reset.
    #[must_use]
    pub fn breaks(self, denial: Denial) -> Self {
        self.then(Step::Breaks(denial))
    }
}

/// An open connection of a probe's to a peer.
#[derive(Debug)]
pub struct Connection {
    state: Rc<RefCell<State>>,
    /// Its place among what was sent.
    number: usize,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    peer: Peer,
    /// Written by the probe, and not yet looked at by the peer.
    received: Vec<u8>,
    /// Sent by the peer, and not yet read by the probe.
    unread: VecDeque<u8>,
    stream: Option<TcpStream>,
    /// What the probe offered first, once it is inside TLS.
    protocol: Option<String>,
}

impl Connection {
    /// Dials.
    pub fn open(state: &Rc<RefCell<State>>, peer: Peer, timeout: Duration) -> Result<Self, Denial> {
        let stream = match &peer.kind {
            Kind::Denies(denial) => return Err(denial.clone()),
            Kind::Real(address) => {
                Some(TcpStream::connect_timeout(address, timeout).map_err(|error| denial(&error))?)
            }
            Kind::Script(_) | Kind::Answers(_) => None,
        };
        let mut opened = state.borrow_mut();
        opened.sent.push(Vec::new());
        let number = opened.sent.len() - 1;
        let inner = Inner { peer, received: Vec::new(), unread: VecDeque::new(), stream, protocol: None };
        Ok(Self { state: Rc::clone(state), number, inner: RefCell::new(inner) })
    }

    /// As the import `start`.
    pub fn shake_hands(self, protocols: &[String]) -> Result<Self, Failure> {
        self.inner.borrow_mut().shake_hands(protocols)?;
        Ok(self)
    }

    /// As the import of that name.
    pub fn protocol(&self) -> Option<String> {
        self.inner.borrow().protocol.clone()
    }

    /// As the import of that name.
    pub fn read(&self, max: u32) -> Result<Vec<u8>, Denial> {
        let deadline = self.state.borrow().deadline;
        self.inner.borrow_mut().read(max as usize, deadline)
    }

    /// As the import of that name.
    pub fn read_within(&self, max: u32, timeout_ms: u32) -> Result<Vec<u8>, Denial> {
        let given_up = Instant::now() + Duration::from_millis(timeout_ms.into());
        let deadline = self.state.borrow().deadline.min(given_up);
        self.inner.borrow_mut().read(max as usize, deadline)
    }

    /// As the import of that name.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Denial> {
        if let Some(sent) = self.state.borrow_mut().sent.get_mut(self.number) {
            sent.extend_from_slice(bytes);
        }
        let mut inner = self.inner.borrow_mut();
        match &mut inner.stream {
            Some(stream) => stream.write_all(bytes).map_err(|error| denial(&error)),
            None => {
                inner.received.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl Inner {
    fn shake_hands(&mut self, protocols: &[String]) -> Result<(), Failure> {
        let not_tls = || Err(Failure::NotTls("the port does not speak TLS".into()));
        if let Kind::Script(steps) = &mut self.peer.kind {
            // What the probe said before it began TLS, without waiting for an answer.
            while let Some(Step::Expects(expected)) = steps.front() {
                if !self.received.starts_with(expected) {
                    break;
                }
                self.received.drain(..expected.len());
                steps.pop_front();
            }
        }
        match &mut self.peer.kind {
            Kind::Script(steps) => match steps.front() {
                _ if !self.unread.is_empty() || !self.received.is_empty() => return not_tls(),
                Some(Step::Tls(Some(failure))) => return Err(failure.clone()),
                Some(Step::Tls(None)) => drop(steps.pop_front()),
                Some(Step::Stalls) => return Err(Failure::Denied(Denial::TimedOut)),
                Some(Step::Breaks(denial)) => return Err(Failure::Denied(denial.clone())),
                None => return Err(Failure::Denied(Denial::Closed)),
                Some(Step::Expects(_) | Step::Sends(_)) => return not_tls(),
            },
            Kind::Answers(_) => {}
            Kind::Real(_) => {
                let why = "the double does not encrypt: try the probe with `farrier probe check`";
                return Err(Failure::Denied(Denial::Other(why.into())));
            }
            Kind::Denies(denial) => return Err(Failure::Denied(denial.clone())),
        }
        self.protocol = protocols.first().cloned();
        Ok(())
    }

    fn read(&mut self, max: usize, deadline: Instant) -> Result<Vec<u8>, Denial> {
        let max = max.clamp(1, 64 << 10).min(self.peer.piece.max(1));
        if let Some(stream) = &mut self.stream {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let mut buffer = std::vec![0; max];
            let count = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut buffer));
            buffer.truncate(count.map_err(|error| denial(&error))?);
            return Ok(buffer);
        }
        if self.unread.is_empty() {
            let said = match &mut self.peer.kind {
                Kind::Answers(answer) => answer(&self.received).ok_or(Denial::TimedOut).inspect(|_| {
                    self.received.clear();
                }),
                Kind::Script(steps) => play(steps, &mut self.received),
                Kind::Real(_) | Kind::Denies(_) => Err(Denial::Closed),
            };
            self.unread.extend(said?);
        }
        let count = max.min(self.unread.len());
        Ok(self.unread.drain(..count).collect())
    }
}

/// Goes on to what the peer sends next; no bytes are the end.
fn play(steps: &mut VecDeque<Step>, received: &mut Vec<u8>) -> Result<Vec<u8>, Denial> {
    loop {
        match steps.front() {
            None => return Ok(Vec::new()),
            Some(Step::Stalls) => return Err(Denial::TimedOut),
            Some(Step::Breaks(denial)) => return Err(denial.clone()),
            // A server that waits for TLS closes what is none, and says nothing before it.
            Some(Step::Tls(_)) if received.is_empty() => return Err(Denial::TimedOut),
            Some(Step::Tls(_)) => return Ok(Vec::new()),
            Some(Step::Sends(bytes)) => {
                let bytes = bytes.clone();
                steps.pop_front();
                return Ok(bytes);
            }
            Some(Step::Expects(expected)) => {
                if received.starts_with(expected) {
                    received.drain(..expected.len());
                    steps.pop_front();
                } else if expected.starts_with(received) {
                    // It waits for the rest while the probe waits for an answer.
                    return Err(Denial::TimedOut);
                } else {
                    return Err(Denial::Other(format!(
                        "the script expects \"{}\", the probe sent \"{}\"",
                        expected.escape_ascii(),
                        received.escape_ascii()
                    )));
                }
            }
        }
    }
}

fn denial(error: &io::Error) -> Denial {
    match error.kind() {
        ErrorKind::ConnectionRefused => Denial::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Denial::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Denial::Closed,
        _ => Denial::Other(error.to_string()),
    }
}
