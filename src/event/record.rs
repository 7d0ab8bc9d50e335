//! The JSON form of events, as types. The schema (`farrier schema --events`) and `docs/events.md` are made from
//! them, so what is documented is what is written.

mod conversions;
mod usage;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of `--events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The version of the format. Within one version, farrier only adds events and fields.
    pub schema: u32,
    /// Milliseconds since farrier started.
    pub at_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Record {
    /// A problem that prevents the launch (`error`), or one that does not (`warning`).
    Problem(ProblemRecord),
    /// The engine answered. Earlier events do not depend on the engine.
    Connected,
    /// The user answered the approval question for a workspace sidecar.
    Asked {
        /// The sidecar.
        sidecar: String,
        /// How long the answer took.
        took_ms: f64,
    },
    /// This launch waits for the lock of a sidecar, which another process holds.
    WaitingForLaunch {
        /// The sidecar whose container is locked.
        sidecar: String,
        /// The other process; `null` if it is unknown.
        holder: Option<HolderRecord>,
    },
    /// This launch waits for a network that another process is creating or removing.
    WaitingForNetwork {
        /// The network's name.
        network: String,
        /// The other process; `null` if it is unknown.
        holder: Option<HolderRecord>,
    },
    /// The plan for a sidecar. farrier plans all sidecars before it changes anything.
    Planned {
        /// The sidecar.
        sidecar: String,
        /// The container's name.
        container: String,
        /// `reuse`, `resume`, `create` or `recreate`.
        action: String,
        /// The reasons.
        causes: Vec<String>,
    },
    /// farrier created the network that the harness and the sidecars share.
    NetworkCreated {
        /// The network's name.
        network: String,
    },
    /// A pull began.
    Pulling {
        /// The sidecar that needs the image.
        sidecar: String,
        /// The image; `oci://…` for a probe in a registry.
        image: String,
    },
    /// A pull made progress.
    PullProgress {
        /// The sidecar that needs the image.
        sidecar: String,
        /// The bytes pulled so far.
        current: u64,
        /// The total bytes that the engine knows of so far.
        total: u64,
    },
    /// A pull ended, and the image is present.
    Pulled {
        /// The sidecar that needs the image.
        sidecar: String,
        /// The image; `oci://…` for a probe in a registry.
        image: String,
    },
    /// farrier asked the engine to stop a container that farrier is recreating or removing.
    Stopping {
        /// The container's sidecar.
        sidecar: String,
        /// The container's ID.
        container: String,
        /// How long the container may take to stop before the engine kills it.
        grace_ms: f64,
    },
    /// A sidecar that farrier is starting takes long to start.
    Delayed {
        /// The sidecar.
        sidecar: String,
        /// What the start waits for, in words.
        reason: String,
    },
    /// farrier created a container and gave it its name.
    Created {
        /// The container's sidecar.
        sidecar: String,
        /// The container's ID.
        container: String,
    },
    /// farrier started or resumed a container.
    Started {
        /// The container's sidecar.
        sidecar: String,
        /// The container's ID.
        container: String,
    },
    /// The wait for one readiness condition begins.
    Waiting {
        /// The sidecar.
        sidecar: String,
        /// The probe that decides.
        probe: String,
        /// The condition, in words, without command arguments or request paths.
        until: String,
        /// The timeout.
        timeout_ms: f64,
    },
    /// A probe answered.
    Answered {
        /// The sidecar.
        sidecar: String,
        /// The probe.
        probe: String,
        /// The number of the answer, from 1.
        attempt: u32,
        /// The answer, in words; `ready` if the probe has reported ready as often as `successes` requires.
        answer: String,
        /// How long the poll took.
        took_ms: f64,
    },
    /// A wait ended. The event says what the sidecar's probes used of their grants meanwhile; farrier writes it only if they used
    /// something. What farrier itself dialled between two polls is not included.
    Used {
        /// The sidecar.
        sidecar: String,
        /// Each probe that used something.
        probes: Vec<UsageRecord>,
    },
    /// A probe wrote to the trace.
    Traced {
        /// The sidecar.
        sidecar: String,
        /// The line.
        line: String,
    },
    /// A sidecar is ready.
    Ready {
        /// The sidecar.
        sidecar: String,
        /// The time since the container's start, or since the wait began if the container was already running.
        after_ms: f64,
        /// The number of polls by all its probes.
        attempts: u32,
        /// If the sidecar has several probes, the last one to report ready.
        last_probe: Option<String>,
    },
    /// A job ended with exit code 0.
    Succeeded {
        /// The job.
        sidecar: String,
        /// How long the job took, counted from its start, or from the beginning of the wait if it was already running; `null` if
        /// the job had succeeded before this launch.
        after_ms: Option<f64>,
    },
    /// farrier does not start a sidecar yet, because the sidecar waits for those in its `after`.
    Held {
        /// The sidecar.
        sidecar: String,
        /// The sidecars that it waits for.
        after: Vec<String>,
    },
    /// All sidecars in a sidecar's `after` have reached the state that it waits for.
    Released {
        /// The sidecar.
        sidecar: String,
    },
    /// farrier waits again for a sidecar that was ready, because its container restarted before all others were ready.
    NoLongerReady {
        /// The sidecar.
        sidecar: String,
    },
    /// A sidecar did not become ready. The event contains everything that farrier knows about it.
    NotReady(Box<FailureRecord>),
    /// Every sidecar is ready.
    AllReady,
    /// The addresses of a sidecar. Only `farrier up` writes this event, for each sidecar that has an address.
    Reachable {
        /// The sidecar.
        sidecar: String,
        /// The sidecar's address with each of its ports (`172.18.0.2:5432`), and its ports on the engine's host
        /// (`127.0.0.1:15432->5432`).
        addresses: Vec<String>,
    },
    /// The harness starts.
    HarnessStarting,
    /// A sidecar ended while the harness was running. farrier writes the event at once, and writes it again, with
    /// `runs_again`, if the sidecar is running again when the harness has ended.
    SidecarEnded(SidecarEndRecord),
    /// The harness has ended. Only two kinds of event can follow: `stopping`, if farrier removes a session, and `problem`, for
    /// example if a sidecar's `on_exit = "stop"` ended the harness, or if farrier could not remove the session.
    HarnessEnded {
        /// The harness's exit code; 128 + N if signal N ended the harness. farrier exits with the same code, or with 125 if a
        /// sidecar's `on_exit = "stop"` ended the harness.
        exit_code: u8,
    },
}

/// What the polls of one probe used of their grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRecord {
    /// The probe.
    pub probe: String,
    /// Where the probe connected, or tried to; at most 20 entries.
    pub dialled: Vec<DialledRecord>,
    /// How many TLS handshakes it began.
    pub handshakes: u64,
    /// The commands that it ran in the container; at most 20 entries.
    pub ran: Vec<RanRecord>,
    /// How often it read the log.
    pub log_reads: u64,
    /// How often it read the health status.
    pub health_reads: u64,
    /// How often it ran the image's health test.
    pub health_tests: u64,
    /// The variables that it read, without their values; at most 20.
    pub variables: Vec<String>,
    /// The folders that it asked for, by the paths at which it sees them; at most 20.
    pub folders: Vec<String>,
    /// How many entries of all these lists are left out.
    pub left_out: u64,
}

/// A place that a probe dialled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DialledRecord {
    /// The sidecar's name and the port: `db:5432`.
    pub address: String,
    /// How often.
    pub count: u64,
}

/// A command that a probe ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RanRecord {
    /// The words of the command as JSON; shortened to 1000 characters.
    pub command: String,
    /// How often.
    pub count: u64,
}

/// How a sidecar ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SidecarEndRecord {
    /// The sidecar.
    pub sidecar: String,
    /// Its container's name.
    pub container: String,
    /// The end in one sentence.
    pub message: String,
    /// The exit code; `null` if the container is gone or already running again.
    pub exit_code: Option<i64>,
    /// The signal that ended the container, such as `SIGKILL`, if the exit code shows it.
    pub signal: Option<String>,
    /// Whether the sidecar is running again.
    pub runs_again: bool,
    /// Whether another farrier command, such as `farrier down --force`, stopped the sidecar.
    pub by_farrier: bool,
    /// Why the sidecar ended; `null` if unknown.
    pub cause: Option<CauseRecord>,
    /// The newest log lines, oldest first, each shortened to 1000 characters.
    pub log: Vec<String>,
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HolderRecord {
    /// The process ID.
    pub process: u32,
    /// The process's command, without arguments.
    pub command: String,
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemRecord {
    /// The stable error code, which `farrier explain` explains.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
    /// The affected sidecar, or `null`.
    pub sidecar: Option<String>,
    /// The place in a file, or `null`.
    pub place: Option<PlaceRecord>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceRecord {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
}

/// Why a sidecar is not ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRecord {
    /// The sidecar.
    pub sidecar: String,
    /// Its container's name.
    pub container: String,
    /// The code of the error that ended the wait.
    pub code: String,
    /// The failure in one sentence.
    pub message: String,
    /// The likely cause, or `null` if the evidence is not enough.
    pub cause: Option<CauseRecord>,
    /// How long farrier waited.
    pub waited_ms: f64,
    /// The declared timeout; the longest if there are several conditions.
    pub timeout_ms: f64,
    /// What each probe waited for and answered.
    pub probes: Vec<AnswersRecord>,
    /// The container's state at the end; `null` if the container is gone or its state is unknown.
    pub state: Option<StateRecord>,
    /// Whether the engine reported the container's state.
    pub state_is_known: bool,
    /// The state of the launch's other sidecars at that time.
    pub others: Vec<OtherRecord>,
    /// The sidecars that were never started, because they come after this one.
    #[serde(default)]
    pub held_back: Vec<String>,
    /// The newest log lines since the container's latest start, oldest first.
    pub log: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// A likely cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseRecord {
    /// The cause's stable name.
    pub name: String,
    /// The cause in one sentence.
    pub message: String,
}

/// What one probe waited for and answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswersRecord {
    /// The probe.
    pub probe: String,
    /// What the probe waited for, in words, without command arguments or request paths.
    pub until: String,
    /// The total number of polls.
    pub attempts: u32,
    /// The distinct answers, in the order of their first appearance; at most 50.
    pub answers: Vec<AnswerRecord>,
    /// The deadline, counted from the beginning of the wait, if reported progress extended it beyond the timeout.
    pub extended_to_ms: Option<f64>,
}

/// One distinct answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerRecord {
    /// The answer, in words.
    pub answer: String,
    /// How often the probe gave the answer.
    pub count: u32,
    /// When the answer was first seen, counted from the beginning of the wait.
    pub first_ms: f64,
    /// When the answer was last seen, counted from the beginning of the wait.
    pub last_ms: f64,
}

/// A container's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateRecord {
    /// `running`, `exited`, …
    pub status: String,
    /// The exit code of the last run; meaningless while the container is running.
    pub exit_code: i64,
    /// The signal that ended the last run, such as `SIGKILL`, or `null`.
    pub signal: Option<String>,
    /// Whether the kernel killed the container because it ran out of memory.
    pub oom_killed: bool,
    /// Why the engine could not start the container; usually empty.
    pub error: String,
    /// How often the engine restarted the container.
    pub restarts: i64,
    /// The latest runs of the health test, oldest first; `null` if there is no health test.
    pub health: Option<Vec<HealthRunRecord>>,
}

/// One run of a health test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRunRecord {
    /// The run's exit code.
    pub exit_code: i64,
    /// The run's output.
    pub output: String,
}

/// Another sidecar of the launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherRecord {
    /// The sidecar.
    pub sidecar: String,
    /// `not started` (it waits for the sidecars that it comes after), `starting`, `waiting`, `ready` or `failed`.
    pub state: String,
}
