//! Why a plan does what it does with a sidecar.

use std::fmt;

use crate::plan::instance::Status;

/// Why an action is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It runs, and configuration and image match.
    Matches,
    /// A job succeeded, and matches.
    Succeeded,
    /// It matches, but is paused.
    Paused,
    /// There is no such container.
    Absent,
    /// It is not running.
    Stopped(Status, i64),
    /// A job ended with this exit code.
    Failed(i64),
    /// A job runs in every launch.
    EveryLaunch,
    /// A job comes after these, which are other instances than when it ran.
    After(Vec<String>),
    /// These fields of the definition changed; empty if the old fields are unknown.
    Configuration(Vec<String>),
    /// The tag names another image now.
    Image {
        /// The container's image.
        from: String,
        /// The tag's image.
        to: String,
    },
    /// The program's file has another content now.
    Program {
        /// The digest of what runs.
        from: String,
        /// The digest of the file.
        to: String,
    },
    /// The container is not what its labels claim, in these respects.
    Drifted(Vec<String>),
    /// It was created but never started.
    HalfMade,
    /// It was started under the name that it was to have only until the one before it was gone.
    Misnamed,
    /// `--recreate`.
    Asked,
}

/// The beginning of an id, as people compare ids.
#[must_use]
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

impl Cause {
    /// The stable name in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::EveryLaunch => "every-launch",
            Self::After(_) => "after",
            Self::Paused => "paused",
            Self::Absent => "absent",
            Self::Stopped(..) => "stopped",
            Self::Configuration(_) => "configuration",
            Self::Image { .. } => "image",
            Self::Program { .. } => "program",
            Self::Drifted(_) => "drifted",
            Self::HalfMade => "half-made",
            Self::Misnamed => "misnamed",
            Self::Asked => "asked",
        }
    }
}

impl Cause {
    /// As data for scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::json!({"kind": self.kind(), "message": self.to_string()});
        match self {
            Self::Configuration(fields) | Self::Drifted(fields) => {
                value["fields"] = serde_json::json!(fields);
            }
            Self::Image { from, to } | Self::Program { from, to } => {
                value["from"] = serde_json::json!(from);
                value["to"] = serde_json::json!(to);
            }
            Self::Stopped(status, exit_code) => {
                value["state"] = serde_json::json!(status.to_string());
                value["exit_code"] = serde_json::json!(exit_code);
            }
            Self::Failed(exit_code) => value["exit_code"] = serde_json::json!(exit_code),
            Self::After(names) => value["sidecars"] = serde_json::json!(names),
            Self::Matches
            | Self::Succeeded
            | Self::EveryLaunch
            | Self::Paused
            | Self::Absent
            | Self::HalfMade
            | Self::Misnamed
            | Self::Asked => {}
        }
        value
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => write!(formatter, "it is running and matches its definition"),
            Self::Succeeded => write!(formatter, "it succeeded and matches its definition"),
            Self::Failed(code) => write!(formatter, "it failed (exit code {code})"),
            Self::EveryLaunch => write!(formatter, "it runs in every launch"),
            Self::After(names) => {
                let verb = if names.len() == 1 { "was" } else { "were" };
                write!(formatter, "{} {verb} recreated since it ran", names.join(", "))
            }
            Self::Paused => write!(formatter, "it matches but is paused"),
            Self::Absent => write!(formatter, "it does not exist"),
            Self::Stopped(status, code) => {
                write!(formatter, "it is not running: {status} (exit code {code})")
            }
            Self::Configuration(fields) if fields.is_empty() => {
                write!(formatter, "its configuration changed")
            }
            Self::Configuration(fields) => write!(formatter, "{} changed", fields.join(", ")),
            Self::Image { from, to } => {
                write!(formatter, "its image changed from {} to {}", short(from), short(to))
            }
            Self::Program { from, to } => {
                write!(formatter, "its program changed from {} to {}", short(from), short(to))
            }
            Self::Drifted(what) => write!(formatter, "it no longer matches its labels: {}", what.join(", ")),
            Self::HalfMade => write!(formatter, "it was created but never started"),
            Self::Misnamed => write!(formatter, "it still has its temporary name"),
            Self::Asked => write!(formatter, "--recreate was given"),
        }
    }
}
