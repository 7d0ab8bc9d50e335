//! The JSON form of events, as types. The schema (`farrier schema --events`) and `docs/events.md` are made from
//! them, so what is documented is what is written.

mod conversions;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of `--events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The version of this form. Within one version, events and fields are only added.
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
    /// Something stands against the launch (`error`) or is worth knowing (`warning`).
    Problem(ProblemRecord),
    /// The engine answered; everything before needed none.
    Connected,
    /// Somebody was asked about a sidecar of the workspace, and answered.
    Asked {
        /// Which sidecar.
        sidecar: String,
        /// How long the answer took.
        took_ms: f64,
    },
    /// Another process holds the lock of a sidecar that this one waits for.
    WaitingForLaunch {
        /// Whose container is locked.
        sidecar: String,
        /// The other process; `null` if it is unknown.
        holder: Option<HolderRecord>,
    },
    /// Another process creates or removes the network that this one waits for.
    WaitingForNetwork {
        /// The network's name.
        network: String,
        /// The other process; `null` if it is unknown.
        holder: Option<HolderRecord>,
    },
    /// What will be done with a sidecar. All sidecars are planned before anything is done.
    Planned {
        /// Which sidecar.
        sidecar: String,
        /// Its container's name.
        container: String,
        /// `reuse`, `resume`, `create` or `recreate`.
        action: String,
        /// Why, in words.
        causes: Vec<String>,
    },
    /// The network where harness and sidecars meet was made.
    NetworkCreated {
        /// Its name.
        network: String,
    },
    /// A pull began.
    Pulling {
        /// For which sidecar.
        sidecar: String,
        /// What.
        image: String,
    },
    /// A pull went on.
    PullProgress {
        /// For which sidecar.
        sidecar: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, as far as the engine knows yet.
        total: u64,
    },
    /// A pull ended, and the image is there.
    Pulled {
        /// For which sidecar.
        sidecar: String,
        /// What.
        image: String,
    },
    /// A container that is recreated was asked to end.
    Stopping {
        /// Whose.
        sidecar: String,
        /// Its id.
        container: String,
        /// How long it may take before it is killed.
        grace_ms: f64,
    },
    /// A container was made, and has its name.
    Created {
        /// Whose.
        sidecar: String,
        /// Its id.
        container: String,
    },
    /// A container was started or resumed.
    Started {
        /// Whose.
        sidecar: String,
        /// Its id.
        container: String,
    },
    /// The wait for one readiness condition begins.
    Waiting {
        /// Whose.
        sidecar: String,
        /// Which probe decides.
        probe: String,
        /// What it waits for, in words; without a command's arguments and a request's path.
        until: String,
        /// How long it may take.
        timeout_ms: f64,
    },
    /// A probe answered.
    Answered {
        /// Whose.
        sidecar: String,
        /// Which probe.
        probe: String,
        /// The how-manieth answer, from 1.
        attempt: u32,
        /// In words; `ready` ends the wait.
        answer: String,
        /// How long the poll took.
        took_ms: f64,
    },
    /// A probe wrote to the trace.
    Traced {
        /// Whose.
        sidecar: String,
        /// The line.
        line: String,
    },
    /// A sidecar is ready.
    Ready {
        /// Which.
        sidecar: String,
        /// Since its start, or since the wait began for one that ran already.
        after_ms: f64,
        /// Polls it took, of all its probes.
        attempts: u32,
        /// Of several probes, the one that said ready last.
        last_probe: Option<String>,
    },
    /// A sidecar that was ready is waited for again: its container restarted before all others were ready.
    NoLongerReady {
        /// Which.
        sidecar: String,
    },
    /// A sidecar will not be ready: everything known about it.
    NotReady(FailureRecord),
    /// Every sidecar is ready.
    AllReady,
    /// The harness takes over.
    HarnessStarting,
    /// A sidecar ended while the harness ran; written at once, and again, with `runs_again`, if the sidecar is seen
    /// running again when the harness has ended.
    SidecarEnded(SidecarEndRecord),
    /// The harness has ended. Nothing follows.
    HarnessEnded {
        /// Its exit code, which is farrier's too; 128 + N if signal N ended it.
        exit_code: u8,
    },
}

/// How a sidecar ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SidecarEndRecord {
    /// Which sidecar.
    pub sidecar: String,
    /// Its container's name.
    pub container: String,
    /// In one sentence.
    pub message: String,
    /// Its exit code; `null` if the container is gone, or runs again already.
    pub exit_code: Option<i64>,
    /// The signal that ended it, as far as the exit code tells: `SIGKILL`.
    pub signal: Option<String>,
    /// Whether it runs again.
    pub runs_again: bool,
    /// Whether another farrier command stopped it: `farrier down --force`.
    pub by_farrier: bool,
    /// Why it ended; `null` if the engine did not tell.
    pub cause: Option<CauseRecord>,
    /// Its newest log lines, the oldest first, each shortened to 1000 characters.
    pub log: Vec<String>,
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HolderRecord {
    /// Its process id.
    pub process: u32,
    /// What it runs, without arguments.
    pub command: String,
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemRecord {
    /// Its stable name, which `farrier explain` knows.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
    /// Which sidecar it is about, where it is about one.
    pub sidecar: Option<String>,
    /// Where it stands, where it stands in a file.
    pub place: Option<PlaceRecord>,
}

/// Where something stands.
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
    /// Which sidecar.
    pub sidecar: String,
    /// Its container's name.
    pub container: String,
    /// What ended the wait.
    pub code: String,
    /// In one sentence.
    pub message: String,
    /// What is probably wrong, where the evidence supports it.
    pub cause: Option<CauseRecord>,
    /// How long it was waited for.
    pub waited_ms: f64,
    /// The declared limit; of several conditions, the longest.
    pub timeout_ms: f64,
    /// What each probe waited for and answered.
    pub probes: Vec<AnswersRecord>,
    /// The container at the end; `null` if it is gone, or the engine did not tell.
    pub state: Option<StateRecord>,
    /// Whether the engine told how the container is.
    pub state_is_known: bool,
    /// How the launch's other sidecars were then.
    pub others: Vec<OtherRecord>,
    /// Its newest log lines since its current start, the oldest first.
    pub log: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// What is probably wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseRecord {
    /// Its stable name.
    pub name: String,
    /// In one sentence.
    pub message: String,
}

/// What one probe waited for and answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswersRecord {
    /// The probe.
    pub probe: String,
    /// What it waited for, in words; without a command's arguments and a request's path.
    pub until: String,
    /// Polls in all.
    pub attempts: u32,
    /// The distinct answers, in the order of their first appearance; at most 50.
    pub answers: Vec<AnswerRecord>,
    /// Until when after the wait's beginning it got time, where it reported progress and so got more than
    /// its timeout.
    pub extended_to_ms: Option<f64>,
}

/// One distinct answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerRecord {
    /// In words.
    pub answer: String,
    /// How often.
    pub count: u32,
    /// First seen, since the wait began.
    pub first_ms: f64,
    /// Last seen, since the wait began.
    pub last_ms: f64,
}

/// A container's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateRecord {
    /// `running`, `exited`, …
    pub status: String,
    /// The exit code of its last run; of no meaning while it runs.
    pub exit_code: i64,
    /// The signal that ended its last run, where one did: `SIGKILL`.
    pub signal: Option<String>,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
    /// Why the engine could not start it; mostly empty.
    pub error: String,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// The latest runs of its health test, the oldest first; `null` where it has none.
    pub health: Option<Vec<HealthRunRecord>>,
}

/// One run of a health test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRunRecord {
    /// Its exit code.
    pub exit_code: i64,
    /// What it printed.
    pub output: String,
}

/// Another sidecar of the launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherRecord {
    /// Which.
    pub sidecar: String,
    /// `starting`, `waiting`, `ready` or `failed`.
    pub state: String,
}
