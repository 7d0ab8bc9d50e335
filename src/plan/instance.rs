//! What an engine runs for a sidecar: a container, a service's task, a supervised program.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use rustix::process::Pid;

use super::sidecar::{LABEL_HASH, LABEL_REPLACED, LABEL_SIDECAR, Sidecar};
use crate::definition::PublishedPort;

/// An instance's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Created, never started.
    #[default]
    Created,
    /// Its engine starts it, or does not let it be found yet: nobody reaches it.
    Starting,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Being removed.
    Removing,
    /// Its process ended.
    Exited,
    /// Half removed.
    Dead,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// The engine's word on an instance's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// No result counts yet.
    Starting,
    /// The last run passed.
    Healthy,
    /// The last runs failed.
    Unhealthy,
}

/// Health with the last runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The status.
    pub status: HealthStatus,
    /// Exit code and output of the latest runs, oldest first.
    pub runs: Vec<(i64, String)>,
}

/// The health test that an instance has of its own, as an engine would execute it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCommand {
    /// The arguments, the program first.
    pub arguments: Vec<String>,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
}

/// An instance's connection to a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The engine's id of this very connection: another one after each start and each joining. Empty while the instance
    /// does not run, and if the engine does not tell.
    pub id: String,
    /// The network's id.
    pub network_id: String,
    /// The instance's address there while it runs.
    pub address: Option<IpAddr>,
    /// Its IPv6 address there, if `address` is an IPv4 address.
    pub ipv6: Option<IpAddr>,
    /// Whether a launch saw it accept connections at its IPv6 address only. No engine tells.
    pub is_reached_by_ipv6: bool,
    /// The network's gateway.
    pub gateway: Option<IpAddr>,
    /// The interface of the engine's host that carries the network, if its name is known.
    pub bridge: String,
    /// Names that the instance has there beside its own name and id.
    pub aliases: Vec<String>,
}

/// A mount of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// `bind`, `volume`, `tmpfs`, …
    pub kind: String,
    /// The volume's name, or the host's path.
    pub source: String,
    /// The path inside.
    pub target: String,
    /// Whether it is writable.
    pub writable: bool,
}

impl Mounted {
    /// Whether this is a volume that the engine named itself: 64 hex digits.
    #[must_use]
    pub fn is_anonymous_volume(&self) -> bool {
        self.kind == "volume"
            && self.source.len() == 64
            && self.source.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// One instance, as its engine describes it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The engine's id, which no other instance ever gets.
    pub id: String,
    /// Its name on the engine.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The id of the image that it was made from; empty if it has none.
    pub image_id: String,
    /// Its state.
    pub status: Status,
    /// The exit code of its last run.
    pub exit_code: i64,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
    /// Why the engine could not start it.
    pub error: String,
    /// When its current or last run began (RFC 3339).
    pub started_at: String,
    /// When its last run ended (RFC 3339); a moment long ago if none did.
    pub finished_at: String,
    /// Its first process on the engine's host; 0 while it does not run.
    pub process_id: u32,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// Its health, if it has a test.
    pub health: Option<Health>,
    /// Its own health test.
    pub health_command: Option<HealthCommand>,
    /// Its anonymous volumes.
    pub volumes: Vec<Mounted>,
    /// How long it may take to end after its stop signal, before the engine kills it.
    pub grace: Duration,
    /// Whether it runs beside everything else, although what it runs is made for a container.
    pub lacks_isolation: bool,
    /// Whether the host that it ran on does not answer any more; nobody knows how it ended, or whether it did.
    pub is_lost: bool,
    /// Memory limit in bytes; 0 is none.
    pub memory: u64,
    /// Its networks by name.
    pub networks: BTreeMap<String, Endpoint>,
    /// Its ports on the engine's host, as they are while it runs.
    pub published: Vec<PublishedPort>,
}

/// How much earlier than the noted start a process may have written, on a busy machine. Only a run that ended
/// again needs it, for the report about it: while one goes on, the end of the run before is known.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// What an exit code stands for above this number is a signal, as shells and engines have it.
const SIGNALLED: i64 = 128;

impl Instance {
    /// Whether its current run goes on, or begins.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.status, Status::Starting | Status::Running | Status::Paused | Status::Restarting)
    }

    /// Whether its labels say that it was made for this sidecar as it is declared.
    #[must_use]
    pub fn is_of(&self, sidecar: &Sidecar) -> bool {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        label(LABEL_SIDECAR) == Some(sidecar.name()) && label(LABEL_HASH) == Some(&sidecar.hash)
    }

    /// Its address on this network: the IPv4 address if it has one, unless it accepts connections at its IPv6 address only.
    #[must_use]
    pub fn address(&self, network: &str) -> Option<IpAddr> {
        let endpoint = self.networks.get(network)?;
        endpoint.ipv6.filter(|_| endpoint.is_reached_by_ipv6).or(endpoint.address)
    }

    /// The address that the engine told of this network: its IPv4 address if it has one.
    #[must_use]
    pub fn told_address(&self, network: &str) -> Option<IpAddr> {
        self.networks.get(network)?.address
    }

    /// Its IPv6 address on this network, if it also has an IPv4 address there.
    #[must_use]
    pub fn ipv6(&self, network: &str) -> Option<IpAddr> {
        self.networks.get(network)?.ipv6
    }

    /// Whether it is on this network.
    #[must_use]
    pub fn is_on(&self, network: &str) -> bool {
        self.networks.contains_key(network)
    }

    /// Whether `now` is the same run of the same instance at the same address, and the run goes on.
    #[must_use]
    pub fn goes_on_as(&self, now: &Self, network: &str) -> bool {
        now.status == Status::Running
            && self.id == now.id
            && self.started_at == now.started_at
            && self.told_address(network) == now.told_address(network)
    }

    /// The ids under which launches may have marked that they use it: its own, and those of instances that it
    /// replaced while they were in use.
    pub fn lease_ids(&self) -> impl Iterator<Item = &str> {
        let replaced = self.labels.get(LABEL_REPLACED).map(String::as_str).unwrap_or_default();
        replaced.split(' ').filter(|id| !id.is_empty()).chain([self.id.as_str()])
    }

    /// The name of the signal that ended its last run, as far as the exit code tells: `SIGKILL`.
    #[must_use]
    pub fn signal(&self) -> Option<String> {
        let has_ended = matches!(self.status, Status::Exited | Status::Dead);
        let number = i32::try_from(self.exit_code - SIGNALLED).ok().filter(|_| has_ended)?;
        Some(nix::sys::signal::Signal::try_from(number).ok()?.as_str().to_owned())
    }

    /// Its first process, if this process sees it: on another host, or in another namespace of processes, the number is
    /// another one's or nobody's.
    #[must_use]
    pub fn visible_process(&self) -> Option<Pid> {
        // Files of the kernel's tell no size, and would be read a few bytes at a time.
        let mut groups = String::with_capacity(4096);
        File::open(format!("/proc/{}/cgroup", self.process_id)).ok()?.read_to_string(&mut groups).ok()?;
        let is_its = !self.id.is_empty() && groups.contains(&self.id);
        i32::try_from(self.process_id).ok().filter(|_| is_its).and_then(Pid::from_raw)
    }

    /// The moment since which log lines are of the current or last run. An engine notes a start only once the
    /// process runs, which may have written, and even ended, by then; so the end of the run before bounds it.
    #[must_use]
    pub fn log_start(&self) -> String {
        let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let (Some(started), Some(finished)) = (parse(&self.started_at), parse(&self.finished_at)) else {
            return self.started_at.clone();
        };
        // One that ended at once may have been noted as ended before it was noted as started.
        let goes_on = matches!(self.status, Status::Running | Status::Paused);
        if goes_on && finished < started {
            return self.finished_at.clone();
        }
        let earliest = if goes_on { started } else { started.min(finished) };
        earliest.checked_sub(FIRST_WORDS).unwrap_or(earliest).to_string()
    }

    /// Since when it is in its state: the start of a run that goes on, or the end of the last one; `None` if it was never
    /// started.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        let moment = if self.is_up() { &self.started_at } else { &self.finished_at };
        // Engines write a moment long ago if there is none.
        moment.parse().ok().filter(|moment| *moment > jiff::Timestamp::UNIX_EPOCH)
    }
}
