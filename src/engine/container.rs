//! Containers: what is asked for, and what an engine says of them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rustix::process::Pid;

use super::image::Process;

/// Settings of a container that an engine takes as they stand and shows again. Their names are those of docker's API, which
/// Podman has, too: `StopSignal`, and with its part `HostConfig.Memory`. An engine of another kind carries out those that it
/// knows and refuses all others.
pub type Settings = BTreeMap<String, serde_json::Value>;

/// A container to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The name.
    pub name: String,
    /// Reference or id.
    pub image: String,
    /// Replaces the image's; the image's where empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's; the image's where empty and no entrypoint is given.
    pub command: Vec<String>,
    /// Added to the image's.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Binds and volumes.
    pub mounts: Vec<Mounted>,
    /// What the engine takes as it stands.
    pub settings: Settings,
    /// The network it starts on, by name, and its names there.
    pub network: String,
    /// Names on that network.
    pub aliases: Vec<String>,
    /// A throwaway helper: an open standard input that ends it, no capabilities, no new privileges, little memory, removed at
    /// its end.
    pub helper: bool,
}

/// A container's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Made, never started.
    Created,
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
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// The engine's word on a container's health.
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

/// A container's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The engine's id of this very connection: another one after each start and each joining. Empty while it does
    /// not run, and where the engine does not tell.
    pub id: String,
    /// The network's id.
    pub network_id: String,
    /// Its address there while it runs.
    pub address: Option<IpAddr>,
    /// The network's gateway.
    pub gateway: Option<IpAddr>,
    /// The interface of the engine's host that carries the network, where its name is known.
    pub bridge: String,
    /// Names it has there beside its container's name and id.
    pub aliases: Vec<String>,
}

/// What is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// `bind`, `volume`, `tmpfs`, …
    pub kind: String,
    /// The volume's name, or the host's path.
    pub source: String,
    /// The path in the container.
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

/// Seconds as engines count a grace period, rounded up: it is never shortened.
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A container as inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// The id of the image it was made from.
    pub image_id: String,
    /// What it runs.
    pub process: Process,
    /// Its state.
    pub status: Status,
    /// The exit code of its last run.
    pub exit_code: i64,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
    /// Why the engine could not start it.
    pub error: String,
    /// When its current or last run began, as the engine writes it.
    pub started_at: String,
    /// When its last run ended, as the engine writes it; a moment long ago where none did.
    pub finished_at: String,
    /// Its first process on the engine's host; 0 while it does not run.
    pub process_id: u32,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// Its health, where it has a test.
    pub health: Option<Health>,
    /// What is mounted.
    pub mounts: Vec<Mounted>,
    /// All fields of its configuration that have a value.
    pub settings: Settings,
    /// Settings of the host part that are not the engine's defaults, by their API name, except `Memory`.
    pub privileges: BTreeMap<String, String>,
    /// How long it may take to end after its stop signal, if it was created with such a time.
    pub stop_timeout: Option<Duration>,
    /// Memory limit in bytes; 0 is none.
    pub memory: u64,
    /// `bridge`, `host`, a network's name, `container:…`.
    pub network_mode: String,
    /// Its networks by name.
    pub networks: BTreeMap<String, Endpoint>,
}

/// How much earlier than the noted start a process may have written, on a busy machine. Only a run that ended
/// again needs it, for the report about it: while one goes on, the end of the run before is known.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// How long a container may take to end after its stop signal, where nothing else was declared: docker's default.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What an exit code stands for above this number is a signal, as shells and the engine have it.
const SIGNALLED: i64 = 128;

impl Container {
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
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", self.process_id)).ok()?;
        let is_its = !self.id.is_empty() && groups.contains(&self.id);
        i32::try_from(self.process_id).ok().filter(|_| is_its).and_then(Pid::from_raw)
    }

    /// The moment since which log lines are of the current or last run. The engine notes a start only once the
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
}

impl Container {
    /// How long it may take to end after its stop signal, before the engine kills it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.stop_timeout.unwrap_or(DEFAULT_GRACE)
    }

    /// Since when it is in its state: the start of a run that goes on, or the end of the last one; none where it
    /// was never started.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        let goes_on = matches!(self.status, Status::Running | Status::Paused | Status::Restarting);
        let moment = if goes_on { &self.started_at } else { &self.finished_at };
        // The engine writes a moment long ago where there is none.
        moment.parse().ok().filter(|moment| *moment > jiff::Timestamp::UNIX_EPOCH)
    }
}

/// A container as a listing tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its state; `None` if the engine does not tell it.
    pub status: Option<Status>,
    /// Whether its health test has failed as often as the image allows.
    pub is_unhealthy: bool,
    /// Its connections by the network's name: [`Endpoint::id`] and address.
    pub places: BTreeMap<String, (String, Option<IpAddr>)>,
    /// What it was made from, as it was named then, as long as that still names the same image; else that image's
    /// id.
    pub image: String,
    /// The id of the image it was made from.
    pub image_id: String,
}
