//! What one poll may do: the grants of a definition, resolved to addresses, commands, values and copies of folders.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::executions::Executions;
use super::memory::Memory;
use super::numbered_log::NumberedLog;
use super::private_copies::PrivateCopies;
use super::randomness::Randomness;
use super::tls::Handshakes;
use super::usage::UsageTotal;
use crate::definition::grants::Grants;
use crate::engine::Engine;
use crate::engine::dialler::{Dialler, Sockets};

/// Where a probe may connect, and where that is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub BTreeMap<(String, u16), Option<SocketAddr>>);

/// The instance that a probe asks about.
#[derive(Clone)]
pub struct Subject {
    /// The engine that runs it.
    pub engine: Arc<dyn Engine>,
    /// Its id.
    pub instance: String,
    /// Since when log lines are of its current run.
    pub log_start: String,
    /// The lines of its current run.
    pub log: Arc<NumberedLog>,
    /// Keeps executed commands apart.
    pub executions: Arc<Executions>,
}

/// Everything that one poll may do. What is absent was not granted, and is not linked either.
#[derive(Clone, Default)]
pub struct ProbeContext {
    /// What the definition grants, for a denial that says what to add to it.
    pub grants: Arc<Grants>,
    /// Granted places to connect to.
    pub targets: Targets,
    /// How TLS is spoken over them.
    pub tls: Option<Arc<dyn Handshakes>>,
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
    /// Where its random numbers come from.
    pub randomness: Randomness,
    /// Where it is noted what the poll used of its grants.
    pub used: UsageTotal,
    /// The time since 1970 at which a stopped clock began; `None` while the clock runs.
    pub stopped_at: Option<(Instant, Duration)>,
}

impl ProbeContext {
    /// Whether sockets of the guest's own language lead nowhere, whatever is granted.
    #[must_use]
    pub fn has_no_sockets(&self) -> bool {
        match self.sockets {
            Sockets::Direct => false,
            Sockets::Relayed => self.dialler.is_none(),
            Sockets::Played => true,
        }
    }
}
