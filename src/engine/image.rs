//! Images: what they run, and how they are pulled.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::Settings;

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

impl Process {
    /// Takes over the settings that an image can have, too.
    pub fn apply(&mut self, settings: &Settings) {
        for (name, field) in [
            ("StopSignal", &mut self.stop_signal),
            ("User", &mut self.user),
            ("WorkingDir", &mut self.directory),
        ] {
            if let Some(text) = settings.get(name).and_then(serde_json::Value::as_str) {
                text.clone_into(field);
            }
        }
    }
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
