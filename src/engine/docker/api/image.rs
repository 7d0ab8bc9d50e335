//! Images: what they run, and how they are pulled.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::Settings;
use crate::plan::instance::HealthCommand;

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

/// What Docker uses if a HEALTHCHECK names no timeout.
pub const DEFAULT_TEST_TIMEOUT: Duration = Duration::from_secs(30);

impl Process {
    /// The health test as the engine would execute it; `None` without a test.
    #[must_use]
    pub fn health_command(&self) -> Option<HealthCommand> {
        let declared = self.health.as_ref()?;
        let arguments = match declared.test.split_first()? {
            (kind, rest) if kind == "CMD" && !rest.is_empty() => rest.to_vec(),
            (kind, [command]) if kind == "CMD-SHELL" => {
                let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let mut arguments = if self.shell.is_empty() { default() } else { self.shell.clone() };
                arguments.push(command.clone());
                arguments
            }
            _ => return None,
        };
        let timeout = Some(declared.timeout).filter(|timeout| *timeout != Duration::ZERO);
        let (timeout, start_period) = (timeout.unwrap_or(DEFAULT_TEST_TIMEOUT), declared.start_period);
        Some(HealthCommand { arguments, timeout, start_period })
    }

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
    /// How long one run may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
}
