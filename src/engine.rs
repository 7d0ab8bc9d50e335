//! The container engine as farrier sees it: one narrow trait in our own types.
//!
//! Nothing here decides anything. `docker` speaks to a real engine, `memory` is a stateful double for
//! exhaustive decisions and faults; `tests/engine_contract.rs` runs one suite on both.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

pub mod address;
pub mod bounded;
pub mod docker;
pub mod memory;
pub mod words;

/// Why an engine call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// Nothing answers at the address, or the connection broke.
    Unreachable,
    /// The socket may not be opened by this user.
    PermissionDenied,
    /// The object does not exist.
    NotFound,
    /// The name is taken, or the object is in another state.
    Conflict,
    /// The engine answered that it cannot do it.
    Refused,
    /// No answer in time.
    TimedOut,
}

impl EngineErrorKind {
    /// Whether the way to the engine failed, which says nothing about what was asked: it may do later.
    #[must_use]
    pub const fn is_of_the_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::PermissionDenied | Self::TimedOut)
    }
}

/// A failed engine call: the kind to decide on, the text to show.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What callers decide on.
    pub kind: EngineErrorKind,
    /// The engine's own words.
    pub message: String,
}

impl EngineError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What every call returns.
pub type EngineResult<T> = Result<T, EngineError>;

/// The engine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Stable across restarts; keys the locks.
    pub id: String,
    /// Seconds and nanoseconds since 1970 by the engine's clock, as `events` takes it.
    pub time: String,
    /// Its version (`20.10.24`).
    pub version: String,
    /// As the engine names it (`x86_64`).
    pub architecture: String,
    /// Whether it is reached over a socket of this host.
    pub local: bool,
}

impl EngineInfo {
    /// The moment of its answer by its own clock.
    #[must_use]
    pub fn moment(&self) -> Option<jiff::Timestamp> {
        let (seconds, nanoseconds) = self.time.split_once('.')?;
        jiff::Timestamp::new(seconds.parse().ok()?, nanoseconds.parse().ok()?).ok()
    }
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// Its name; Docker accepts two networks of one name.
    pub name: String,
    /// `bridge`, `overlay`, `host`, `null`, …
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether it has the form of the ids that Docker makes by chance for containers, networks and endpoints.
#[must_use]
pub fn is_whole_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A running container's place on a network, as the network tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// What [`Endpoint::id`] says too.
    pub endpoint: String,
    /// Its address there.
    pub address: Option<IpAddr>,
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

/// An image that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of its configuration.
    pub id: String,
    /// What it runs by default.
    pub process: Process,
    /// Paths that get an anonymous volume each.
    pub volumes: Vec<String>,
    /// The TCP ports that it exposes, in ascending order.
    pub ports: Vec<u16>,
    /// As Docker names it (`amd64`).
    pub architecture: String,
    /// Its labels, which its containers inherit.
    pub labels: BTreeMap<String, String>,
}

/// What a container or an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The entrypoint.
    pub entrypoint: Vec<String>,
    /// The command, or the entrypoint's arguments.
    pub command: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// The user; empty is root.
    pub user: String,
    /// The working directory; empty is `/`.
    pub directory: String,
    /// What runs a `CMD-SHELL` test; empty is `/bin/sh -c`.
    pub shell: Vec<String>,
    /// The health test.
    pub health: Option<HealthTest>,
    /// The signal that asks it to end, by name or number; empty is SIGTERM.
    pub stop_signal: String,
}

/// A HEALTHCHECK as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTest {
    /// `CMD …`, `CMD-SHELL …` or `NONE`.
    pub test: Vec<String>,
    /// How long one run may take; zero is the engine's default of 30 s.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
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
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Replaces the image's stop signal.
    pub stop_signal: Option<String>,
    /// How long it may take to end after its stop signal; the engine takes whole seconds.
    pub stop_timeout: Option<Duration>,
    /// The network it starts on, by name, and its names there.
    pub network: String,
    /// Names on that network.
    pub aliases: Vec<String>,
    /// A throwaway helper: an open standard input that ends it, no capabilities, no new privileges, little memory, removed at
    /// its end.
    pub helper: bool,
}

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// The container's id.
    pub container: String,
    /// The engine's word (`die`, `oom`, `health_status: healthy`).
    pub action: String,
    /// Nanoseconds since 1970 by the engine's clock.
    pub time: i64,
}

/// A container as the events of its creation tell it; it may be gone already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedContainer {
    /// Its name, without the leading slash.
    pub name: String,
    /// What it was created from, as it was named then.
    pub image: String,
    /// Its labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// The networks that it was connected to, by name; empty if it was never started.
    pub networks: Vec<String>,
}

/// Which of the lines that a container wrote are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputRequest {
    /// Those since this moment (RFC 3339); all where it is empty.
    pub since: String,
    /// Of what was written so far, no more than the newest so many.
    pub lines: Option<usize>,
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
}

/// What a container wrote at once: mostly a line with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether it went to standard error.
    pub is_error: bool,
    /// As it was written.
    pub bytes: Vec<u8>,
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The arguments, the program first.
    pub arguments: Vec<String>,
    /// Bytes of each stream that are kept.
    pub output_limit: usize,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i64,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether either was cut.
    pub truncated: bool,
}

/// Both ends of an attached process.
pub struct Attached {
    /// Its standard input; dropping it closes it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its standard output.
    pub output: Pin<Box<dyn AsyncRead + Send>>,
}

/// Credentials for one registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user, empty with an identity token.
    pub username: String,
    /// The password.
    pub password: String,
    /// An identity token in place of both.
    pub token: Option<String>,
}

/// How far a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes received of all layers known so far.
    pub current: u64,
    /// Their size.
    pub total: u64,
}

/// The engine. Every call may fail at any time; none of them decides.
///
/// # Errors
/// Each call returns an [`EngineError`] whose kind says what the caller can do about it.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Identity, clock and place of the engine.
    async fn info(&self) -> EngineResult<EngineInfo>;
    /// All networks with exactly this name, or the one with this id.
    async fn networks(&self, name: &str) -> EngineResult<Vec<Network>>;
    /// The networks that carry this label.
    async fn labelled_networks(&self, label: &str) -> EngineResult<Vec<Network>>;
    /// Makes a bridge network and returns its id.
    async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<String>;
    /// Removes a network that nothing uses.
    async fn remove_network(&self, id: &str) -> EngineResult<()>;
    /// Puts a container on a network.
    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()>;
    /// Takes a container off a network.
    async fn disconnect(&self, network: &str, container: &str) -> EngineResult<()>;
    /// Ids of the containers that run on a network.
    async fn members(&self, network: &str) -> EngineResult<Vec<String>>;
    /// The same networks as [`Engine::networks`] finds, with who runs on it where it is one.
    async fn inhabited(&self, name: &str) -> EngineResult<(Vec<Network>, Vec<Member>)>;
    /// An image by reference or id; none where it is absent.
    async fn image(&self, reference: &str) -> EngineResult<Option<Image>>;
    /// Pulls an image. `progress` is called whenever the engine says something, also where nothing changed.
    async fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()>;
    /// A container by name or id; none where it is absent.
    async fn container(&self, name: &str) -> EngineResult<Option<Container>>;
    /// The containers that carry this label, whatever their state.
    async fn labelled(&self, label: &str) -> EngineResult<Vec<Listed>>;
    /// Makes a container and returns its id.
    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String>;
    /// Gives a container another name.
    async fn rename(&self, id: &str, name: &str) -> EngineResult<()>;
    /// Starts a container.
    async fn start(&self, id: &str) -> EngineResult<()>;
    /// Resumes a paused container.
    async fn resume(&self, id: &str) -> EngineResult<()>;
    /// Sends a container its stop signal, waits for its end, and kills it after the grace period. One that does not
    /// run is left as it is.
    async fn stop(&self, id: &str, grace: Duration) -> EngineResult<()>;
    /// Kills and removes a container; its anonymous volumes stay unless told.
    async fn remove(&self, id: &str, volumes: bool) -> EngineResult<()>;
    /// What happens to containers with this label, from this moment of the engine's clock.
    async fn events(
        &self,
        label: &str,
        since: &str,
    ) -> EngineResult<BoxStream<'static, EngineResult<EngineEvent>>>;
    /// The containers that were created between two moments of the engine's clock (seconds since 1970, with a
    /// fraction), as far as the engine still keeps their events: Docker keeps the newest 256 of all kinds.
    async fn created(&self, since: &str, until: &str) -> EngineResult<Vec<CreatedContainer>>;
    /// Runs a command to its end.
    async fn exec(&self, container: &str, request: &ExecRequest) -> EngineResult<ExecOutput>;
    /// Runs a command with its streams attached.
    async fn exec_attached(&self, container: &str, arguments: &[String]) -> EngineResult<Attached>;
    /// The newest log lines since a moment (RFC 3339), oldest first.
    async fn logs(&self, container: &str, since: &str, lines: usize) -> EngineResult<Vec<String>>;
    /// What a container wrote, as it wrote it; a failure may also come as an item.
    async fn output(
        &self,
        container: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>>;
    /// Removes a volume that no container has; one that is gone already is no failure.
    async fn remove_volume(&self, name: &str) -> EngineResult<()>;
    /// Unpacks a tar archive into a container's root.
    async fn upload(&self, container: &str, archive: Vec<u8>) -> EngineResult<()>;
    /// Attaches to a container's main process.
    async fn attach(&self, container: &str) -> EngineResult<Attached>;
}
