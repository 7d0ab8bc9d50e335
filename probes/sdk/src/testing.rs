//! A double of the host, so that `cargo test` runs a probe natively: a [`Sidecar`] that answers as a test says.
//!
//! Everything that a probe calls ([`dial::connect`](crate::dial::connect), [`exec::run`](crate::exec::run), …)
//! goes to the sidecar of the running [`Sidecar::check`]; what it was not given is not granted, as under
//! farrier. Outside such a check there is no sidecar, and every call is answered by
//! [`Denial::Other`].
//!
//! ```
//! use farrier_probe::testing::{Peer, Sidecar};
//! use farrier_probe::{Context, NoSettings, Probe, Verdict, dial};
//!
//! struct Pong;
//!
//! impl Probe for Pong {
//!     type Settings = NoSettings;
//!
//!     fn check(context: &Context, _: NoSettings) -> Verdict {
//!         let answer = dial::connect(&context.host, 6379, None).and_then(|connection| {
//!             connection.send(b"PING\r\n")?;
//!             connection.receive_until(b"\r\n", 64)
//!         });
//!         match answer {
//!             Ok(line) if line == b"+PONG\r\n" => Verdict::Ready,
//!             Ok(_) => Verdict::pending("it does not answer PING yet"),
//!             Err(denial) => Verdict::pending(denial.text()),
//!         }
//!     }
//! }
//!
//! let rows = [
//!     (Peer::new().expects("PING\r\n").sends("+PONG\r\n"), Verdict::Ready),
//!     (Peer::new().expects("PING\r\n").sends("-LOADING\r\n"), Verdict::pending("it does not answer PING yet")),
//!     (Peer::new().stalls(), Verdict::pending("timed out")),
//!     (Peer::refuses(), Verdict::pending("connection refused")),
//! ];
//! for (peer, verdict) in rows {
//!     assert_eq!(Sidecar::new().accepts(6379, peer).check::<Pong>(), verdict);
//! }
//! ```

pub(crate) mod host;
mod memory;
mod peer;

use std::cell::RefCell;
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;

use crate::exec::Output;
use crate::export::{self, Validity};
use crate::health::{HealthStatus, TestResult};
use crate::{Context, Denial, Probe, Verdict};

pub use crate::bindings::farrier::probe::log::Level;
pub use memory::MemoryStream;
pub use peer::Peer;

/// How long one poll may take, as under farrier.
const POLL: Duration = Duration::from_secs(2);

/// A sidecar that answers a probe as a test says, and remembers what the probe did.
///
/// The methods that describe it take and give it, so that they can be chained.
#[derive(Debug)]
pub struct Sidecar(Rc<RefCell<State>>);

/// What a sidecar answers, and what it was asked.
#[derive(Debug)]
pub(crate) struct State {
    context: Context,
    peers: Vec<(String, u16, Peer)>,
    tls: bool,
    commands: Vec<(Vec<String>, Result<Output, Denial>)>,
    declared: Option<Vec<String>>,
    health: Option<HealthStatus>,
    health_test: Option<TestResult>,
    log_lines: Option<Vec<String>>,
    memory: Vec<u8>,
    variables: Vec<(String, String)>,
    random: u64,
    clock: Duration,
    tick: Duration,
    sent: Vec<Vec<u8>>,
    handshakes: Vec<(String, Vec<String>)>,
    executed: Vec<Vec<String>>,
    trace: Vec<(Level, String)>,
    /// When the running poll has to end.
    deadline: Instant,
}

impl Default for Sidecar {
    fn default() -> Self {
        Self::new()
    }
}

impl Sidecar {
    /// A sidecar named `sidecar` without a port, at the first poll of a wait of 30 s, with no settings and no
    /// grants.
    #[must_use]
    pub fn new() -> Self {
        let context = Context {
            sidecar: "sidecar".into(),
            host: "sidecar".into(),
            port: None,
            attempt: 1,
            elapsed_ms: 0,
            remaining_ms: 30_000,
            settings: "{}".into(),
        };
        Self(Rc::new(RefCell::new(State {
            context,
            peers: Vec::new(),
            tls: false,
            commands: Vec::new(),
            declared: None,
            health: None,
            health_test: None,
            log_lines: None,
            memory: Vec::new(),
            variables: Vec::new(),
            random: 0,
            clock: Duration::ZERO,
            tick: Duration::ZERO,
            sent: Vec::new(),
            handshakes: Vec::new(),
            executed: Vec::new(),
            trace: Vec::new(),
            deadline: Instant::now(),
        })))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    /// Changes what the probe is told beside the settings: its name, its port, how the wait stands.
    #[must_use]
    pub fn context(self, change: impl FnOnce(&mut Context)) -> Self {
        self.with(|state| change(&mut state.context))
    }

    /// Declares the port of its interface.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.context(|context| context.port = Some(port))
    }

    /// Sets the definition's `readiness.settings`: the text of a JSON object.
    #[must_use]
    pub fn settings(self, json: impl Into<String>) -> Self {
        self.context(|context| context.settings = json.into())
    }

    /// Grants dialling this port of the sidecar itself, where each connection meets `peer`.
    #[must_use]
    pub fn accepts(self, port: u16, peer: Peer) -> Self {
        let host = self.0.borrow().context.host.clone();
        self.accepts_for(host, port, peer)
    }

    /// Grants dialling another sidecar.
    #[must_use]
    pub fn accepts_for(self, host: impl Into<String>, port: u16, peer: Peer) -> Self {
        self.with(|state| state.peers.push((host.into(), port, peer)))
    }

    /// Grants TLS. Which handshakes succeed is the peers' to say.
    #[must_use]
    pub fn tls(self) -> Self {
        self.with(|state| state.tls = true)
    }

    /// Grants a command, and says how it ends.
    #[must_use]
    pub fn runs<A: ToString>(self, argv: &[A], answer: Result<Output, Denial>) -> Self {
        let argv = argv.iter().map(ToString::to_string).collect();
        self.with(|state| state.commands.push((argv, answer)))
    }

    /// The definition's `readiness.command`. Running it is granted by [`runs`](Self::runs).
    #[must_use]
    pub fn declares<A: ToString>(self, argv: &[A]) -> Self {
        self.with(|state| state.declared = Some(argv.iter().map(ToString::to_string).collect()))
    }

    /// Grants `health`: what the engine says, and how a run of the image's test ends (none: it has no test).
    #[must_use]
    pub fn health(self, status: HealthStatus, test: Option<TestResult>) -> Self {
        self.with(|state| {
            state.health = Some(status);
            state.health_test = test;
        })
    }

    /// Grants `logs`: the lines that the container wrote, oldest first.
    #[must_use]
    pub fn logs<A: ToString>(self, lines: &[A]) -> Self {
        self.with(|state| state.log_lines = Some(lines.iter().map(ToString::to_string).collect()))
    }

    /// Grants a variable, and sets it.
    #[must_use]
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|state| state.variables.push((name.into(), value.into())))
    }

    /// Changes the random numbers, which are otherwise those of the seed 0 in each test.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.with(|state| state.random = seed)
    }

    /// Sets the clock, and by how much it moves on each time that the probe reads it. It stands still at 0 otherwise.
    #[must_use]
    pub fn clock(self, now: Duration, tick: Duration) -> Self {
        self.with(|state| (state.clock, state.tick) = (now, tick))
    }

    /// Polls the probe once: reads the settings and calls its `check`, as the component's export does.
    #[must_use]
    pub fn check<P: Probe>(&self) -> Verdict {
        let context = self.0.borrow().context.clone();
        self.run(|| export::check::<P>(&context))
    }

    /// Reads the settings and calls the probe's `validate`, as the component's export does.
    ///
    /// # Errors
    /// What is wrong with the settings, each with the path of its field.
    pub fn validate<P: Probe>(&self) -> Validity {
        let settings = self.0.borrow().context.settings.clone();
        self.run(|| export::validate::<P>(&settings))
    }

    /// Runs any code with this sidecar behind the capabilities.
    pub fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        self.0.borrow_mut().deadline = Instant::now() + POLL;
        let _running = host::Running::new(Rc::clone(&self.0));
        code()
    }

    /// What the probe wrote to each connection, in the order in which it opened them.
    #[must_use]
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.0.borrow().sent.clone()
    }

    /// The handshakes that the probe began: the server's name, and the protocols that it offered.
    #[must_use]
    pub fn handshakes(&self) -> Vec<(String, Vec<String>)> {
        self.0.borrow().handshakes.clone()
    }

    /// The granted commands that the probe ran.
    #[must_use]
    pub fn executed(&self) -> Vec<Vec<String>> {
        self.0.borrow().executed.clone()
    }

    /// The lines that the probe wrote for the launcher's trace.
    #[must_use]
    pub fn trace(&self) -> Vec<(Level, String)> {
        self.0.borrow().trace.clone()
    }
}

impl State {
    fn peer(&self, host: &str, port: u16) -> Result<Peer, Denial> {
        let found = self.peers.iter().find(|(known, number, _)| known == host && *number == port);
        found.map(|(_, _, peer)| peer.clone()).ok_or_else(|| {
            let name = if *host == *self.context.host { "self" } else { host };
            Denial::NotGranted(format!(
                "connecting to {host}:{port} is not granted: write `grants = {{ dial = [\"{name}:{port}\"] }}` under \
                 [readiness]"
            ))
        })
    }
}

#[cfg(test)]
mod tests;
