//! What a guest's store holds: what all its capabilities share, and what each has to itself.
//!
//! A capability sees the parts that its own view borrows, and no others; the view is in its file.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::context::ProbeContext;
use super::deadline::Deadline;
use super::grants;
use super::limits::{REASON_CHARACTERS, SummingLimiter};
use super::observed::Observed;
use super::turns::{Computing, Stretch};
use super::usage::Usage;
use super::wasi::Traces;
use crate::definition::grants::{DialGrant, Grants};

/// Characters of a name that a guest dials in vain, as it is told; no name that resolves has more.
const SHOWN_CHARACTERS: usize = 253;

/// What a store holds.
pub struct HostState {
    /// Host objects that the guest has handles to.
    pub table: ResourceTable,
    /// What it may use up.
    pub limiter: SummingLimiter,
    /// What it may do.
    pub probe_context: ProbeContext,
    /// What all capabilities share.
    pub poll: Poll,
    /// Lines that it wrote to the trace.
    pub trace: Vec<(Level, String)>,
    /// What WASI offers it; made at the first use.
    pub wasi: Option<Box<WasiCtx>>,
    /// What it wrote and tried through WASI.
    pub traces: Traces,
}

impl Drop for HostState {
    /// A poll that is cut short has used something, too.
    fn drop(&mut self) {
        self.note_dialled_sockets();
        self.probe_context.used.enter(std::mem::take(&mut self.poll.used));
    }
}

/// How much a line of the trace matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// To the probe's author.
    Debug,
    /// To whoever looks closely.
    Info,
    /// To everybody.
    Warn,
}

impl Level {
    /// As lines of the trace begin.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
        }
    }
}

/// One poll, as all capabilities see it.
pub struct Poll {
    /// The sidecar's own name and port, while a poll asks about it.
    pub own: Option<(String, Option<u16>)>,
    /// What the definition grants.
    pub grants: Arc<Grants>,
    /// What it saw.
    pub observed: Observed,
    /// What it used of its grants.
    pub used: Usage,
    /// When the poll must be over.
    pub deadline: Deadline,
    /// Since when the guest has had the thread.
    pub stretch: Stretch,
    /// How many TLS handshakes it began.
    pub handshakes: u32,
    /// Whether it computes, and for how long it then pauses.
    pub computing: Option<Computing>,
}

impl Poll {
    /// How long a call that waits may take.
    pub fn left(&mut self) -> Duration {
        self.computing = None;
        self.deadline.left()
    }

    /// Notes that a call took all that was left of the poll, and leaves the guest its moment to answer.
    pub fn note_unanswered(&mut self) {
        self.observed.unanswered_after = Some(self.deadline.elapsed());
        self.deadline.let_answer();
    }

    /// Notes a denial for whoever explains a failure, and returns it as the guest is told. What the guest asked for may be
    /// of any length.
    pub fn note_not_granted(&mut self, what: &str) -> String {
        let mut kept: String = what.chars().take(REASON_CHARACTERS).collect();
        if kept.len() < what.len() {
            kept.push('…');
        }
        self.observed.not_granted = Some(kept.clone());
        kept
    }

    /// What a definition has to grant for a dial, or why nothing can be.
    #[must_use]
    pub fn dial_denial(&self, host: &str, port: u16) -> String {
        let shown = shown_host(host);
        let asked = format!("connecting to {shown}:{port} is not granted");
        let own = self.own.as_ref().filter(|(name, _)| name == host);
        // The definition grants it, so that only the approval can have denied it.
        if self.grants.dial.iter().any(|grant| is_dial_of(grant, host, port, own)) {
            return format!("{asked}: {DENIED}");
        }
        let grant = match own {
            Some((_, declared)) if *declared == Some(port) => DialGrant::This(None),
            Some(_) => DialGrant::This(Some(port)),
            None => DialGrant::Sidecar { name: host.to_owned(), port },
        };
        match grants::adding_dial(&self.grants, grant) {
            Some(line) if own.is_some() => format!("{asked}: write `{line}` under [readiness]"),
            Some(line) => {
                format!("{asked}: if {shown} is a sidecar of this launch, write `{line}` under [readiness]")
            }
            None => format!(
                "{asked}, and cannot be: a probe dials the context's host, or another sidecar by its name, at a port"
            ),
        }
    }
}

/// Why a grant that the definition writes is not in force.
pub const DENIED: &str = "it was denied when the definition was approved";

/// Whether a grant is for this place.
fn is_dial_of(grant: &DialGrant, host: &str, port: u16, own: Option<&(String, Option<u16>)>) -> bool {
    match grant {
        DialGrant::This(granted) => own.is_some_and(|(_, declared)| granted.or(*declared) == Some(port)),
        DialGrant::Sidecar { name, port: granted } => name == host && *granted == port,
    }
}

/// A guest may ask for a name of any length; what is said of it must not be lost behind it.
pub fn shown_host(host: &str) -> String {
    let mut shown: String = host.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < host.len() {
        shown.push('…');
    }
    shown
}
