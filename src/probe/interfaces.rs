//! The capabilities as a guest imports them: bindings generated from `wit/`, and the state behind them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::deadline::Deadline;
use super::grants;
use super::limits::{REASON_CHARACTERS, SummingLimiter};
use super::memory::Memory;
use super::numbered_log::NumberedLog;
use super::private_copies::PrivateCopies;
use super::turns::Computing;
use crate::definition::is_sidecar_host;
use crate::definition::model::{DialGrant, Grants};
use crate::engine::Engine;
use crate::engine::dialler::{Dialler, Sockets};
use crate::probe::executions::Executions;

pub mod denied;
mod dial;
mod exec;
mod health;
mod log;
mod logs;
mod names;
mod output;
mod state;
pub mod wasi;

#[allow(missing_docs, reason = "generated; the documentation is in wit/probe.wit")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "complete",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "farrier:probe/dial.connection": super::dial::Connection },
    });
}

use denied::DeniedSocket;

pub use bindings::exports::farrier::probe::{check, settings};
pub use bindings::farrier::probe::types;
pub use bindings::farrier::probe::{
    dial as dial_interface, exec as exec_interface, health as health_interface,
};
pub use bindings::farrier::probe::{log as log_interface, logs as logs_interface, state as state_interface};
use types::Denial;

/// Where a probe may connect, and where that is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub BTreeMap<(String, u16), Option<SocketAddr>>);

/// The container that a probe asks about.
#[derive(Clone)]
pub struct Subject {
    /// The engine that runs it.
    pub engine: Arc<dyn Engine>,
    /// Its id.
    pub container: String,
    /// Since when log lines are of its current run.
    pub log_start: String,
    /// The lines of its current run.
    pub log: Arc<NumberedLog>,
    /// Keeps executed commands apart.
    pub executions: Arc<Executions>,
}

/// Everything that one poll may do. What is absent was not granted, and is not linked either.
#[derive(Clone, Default)]
pub struct Powers {
    /// What the definition grants, for a denial that says what to add to it.
    pub grants: Arc<Grants>,
    /// Granted places to connect to.
    pub targets: Targets,
    /// How connections are made.
    pub dialler: Option<Arc<dyn Dialler>>,
    /// Whether sockets of the guest's own language lead there too.
    pub sockets: Sockets,
    /// The container.
    pub subject: Option<Subject>,
    /// Granted commands.
    pub commands: Vec<Vec<String>>,
    /// The declared command.
    pub declared: Option<Vec<String>>,
    /// Granted variables of the definition's own environment.
    pub environment: Vec<(String, String)>,
    /// Copies of granted folders.
    pub folders: Option<Arc<PrivateCopies>>,
    /// What it remembers from poll to poll of one run.
    pub memory: Memory,
}

/// What a poll saw on the way to its verdict, for whoever explains a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
pub struct Observed {
    /// How the last dial ended.
    pub dialled: Option<Dialled>,
    /// How many dials there were.
    pub dials: u32,
    /// How many of them were refused.
    pub refused: u32,
    /// The name and port of the last dial that was refused.
    pub refused_at: Option<(String, u16)>,
    /// How long the poll had run when it gave up waiting for an answer.
    pub unanswered_after: Option<Duration>,
    /// What it asked for without a grant.
    pub not_granted: Option<String>,
    /// The container has no health test.
    pub no_health_test: bool,
    /// Exit code and output of the health test, where it failed.
    pub health_test: Option<(i64, String)>,
    /// A command is not in the image.
    pub command_missing: bool,
    /// It wanted more memory than it may have.
    pub memory_exhausted: bool,
    /// The poll's end cut short what it waited for.
    pub cut: bool,
}

impl Observed {
    /// Whether it dialled, and nothing listened anywhere.
    #[must_use]
    pub fn was_only_refused(&self) -> bool {
        self.dials > 0 && self.refused == self.dials
    }

    /// This poll's, after what the one before saw: that nothing listened says more than a dial that was cut short, and
    /// how the health test failed more than a run of it that was.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        if self.dialled == Some(Dialled::Unanswered) && earlier.dialled == Some(Dialled::Refused) {
            self.dialled = earlier.dialled;
            self.refused_at.clone_from(&earlier.refused_at);
        }
        if self.unanswered_after.is_some() {
            self.unanswered_after = self.unanswered_after.max(earlier.unanswered_after);
        }
        if self.health_test.is_none() {
            self.health_test.clone_from(&earlier.health_test);
        }
        self
    }
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The connection was made.
    Connected,
    /// Nothing listens.
    Refused,
    /// Neither in time.
    Unanswered,
}

/// Characters of a name that a guest dials in vain, as it is told; no name that resolves has more.
const SHOWN_CHARACTERS: usize = 253;

/// A guest may ask for a name of any length; what is said of it must not be lost behind it.
fn shown_host(host: &str) -> String {
    let mut shown: String = host.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < host.len() {
        shown.push('…');
    }
    shown
}

/// What a store holds.
pub struct HostState {
    /// Host objects that the guest has handles to.
    pub table: ResourceTable,
    /// What it may use up.
    pub limiter: SummingLimiter,
    /// What it may do.
    pub powers: Powers,
    /// The sidecar's own name and port, while a poll asks about it.
    pub own: Option<(String, Option<u16>)>,
    /// Lines that it wrote to the trace.
    pub trace: Vec<(log_interface::Level, String)>,
    /// What it saw.
    pub observed: Observed,
    /// What WASI offers it; made at the first use.
    pub wasi: Option<Box<WasiCtx>>,
    /// What it wrote and tried through WASI.
    pub traces: wasi::Traces,
    /// When the poll must be over.
    pub deadline: Deadline,
    /// Whether it computes, and for how long it then pauses.
    pub computing: Option<Computing>,
}

impl HostState {
    /// How long a call that waits may take.
    fn left(&mut self) -> Duration {
        self.computing = None;
        self.deadline.left()
    }

    /// Notes that a call took all that was left of the poll, and leaves the guest its moment to answer.
    fn unanswered(&mut self) -> Denial {
        self.observed.unanswered_after = Some(self.deadline.elapsed());
        self.deadline.let_answer();
        Denial::TimedOut
    }

    /// A denial, noted for whoever explains a failure. What the guest asked for may be of any length.
    fn not_granted(&mut self, what: &str) -> Denial {
        let mut kept: String = what.chars().take(REASON_CHARACTERS).collect();
        if kept.len() < what.len() {
            kept.push('…');
        }
        self.observed.not_granted = Some(kept.clone());
        Denial::NotGranted(kept)
    }

    /// What a definition has to grant for a dial, or why nothing can be.
    fn dial_denial(&self, host: &str, port: u16) -> String {
        let shown = shown_host(host);
        let asked = format!("connecting to {shown}:{port} is not granted");
        let own = self.own.as_ref().filter(|(name, _)| name == host);
        let grant = match own {
            Some((_, declared)) if *declared == Some(port) => DialGrant::This(None),
            Some(_) => DialGrant::This(Some(port)),
            None => DialGrant::Sidecar { name: host.to_owned(), port },
        };
        match grants::adding_dial(&self.powers.grants, grant) {
            Some(line) if own.is_some() => format!("{asked}: write `{line}` under [readiness]"),
            Some(line) => {
                format!("{asked}: if {shown} is a sidecar of this launch, write `{line}` under [readiness]")
            }
            None => format!(
                "{asked}, and cannot be: a probe dials the context's host, or another sidecar by its name, at a port"
            ),
        }
    }

    /// What a definition has to grant for a name that was looked up: the port is not known yet.
    fn lookup_denial(&self, host: &str) -> String {
        let own = self.own.as_ref().filter(|(name, _)| name == host);
        if let Some((_, Some(port))) = own {
            return self.dial_denial(host, *port);
        }
        let asked = format!("looking up {host} is not granted");
        if own.is_some() {
            return format!("{asked}: add `\"self:PORT\"` to `grants.dial` under [readiness]");
        }
        if !is_sidecar_host(host) {
            return format!(
                "{asked}, and cannot be: a probe finds the context's host, or another sidecar, by its name"
            );
        }
        format!(
            "{asked}: if {host} is a sidecar of this launch, add `\"{host}:PORT\"` to `grants.dial` under [readiness]"
        )
    }

    /// Notes what the guest's own sockets were denied.
    pub fn note_denied_socket(&mut self) {
        let denied = self.traces.socket_denied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(denied) = denied else { return };
        let what = match &denied {
            DeniedSocket::Connect(address) => {
                // Sockets know addresses only: whose it is tells which grant is missing.
                let places = self.powers.targets.0.iter();
                let mut hosts =
                    places.filter(|(_, place)| place.is_some_and(|place| place.ip() == address.ip()));
                let host =
                    hosts.next().map_or_else(|| address.ip().to_string(), |((host, _), _)| host.clone());
                self.dial_denial(&host, address.port())
            }
            DeniedSocket::Lookup(name) => self.lookup_denial(name),
            DeniedSocket::Listen | DeniedSocket::Udp => {
                format!("{denied} is not granted, and cannot be: a probe only connects, and only over TCP")
            }
        };
        drop(self.not_granted(&what));
    }

    fn subject(&self) -> Result<Subject, Denial> {
        let missing = || Denial::Other("no container stands behind this probe".to_owned());
        self.powers.subject.clone().ok_or_else(missing)
    }
}

impl types::Host for HostState {}

/// Commands of other sidecars are in flight.
fn no_turn() -> Denial {
    Denial::Limit("waiting for other commands to end".to_owned())
}

/// An engine's failure as a guest sees it. It may pass: the container's end is noticed by the wait itself.
fn engine_denial(_: &crate::engine::EngineError) -> Denial {
    Denial::Closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_dial_that_was_not_refused_reached_somebody() {
        for (dials, refused, expected) in [(0, 0, false), (1, 1, true), (3, 3, true), (2, 1, false)] {
            let observed = Observed { dials, refused, ..Observed::default() };
            assert_eq!(observed.was_only_refused(), expected, "{refused} of {dials}");
        }
    }
}
