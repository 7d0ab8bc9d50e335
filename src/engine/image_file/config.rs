//! An image's configuration, as far as something follows from it. `oci-spec` would bring forty crates, and does not know the
//! health test, which is Docker's.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{MOST_LAYERS, damaged, digest};
use crate::plan::instance::HealthCommand;

/// Docker's values where an image says nothing.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
const HEALTH_RETRIES: u32 = 3;

/// The configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The machine's architecture, in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// Its operating system.
    #[serde(default)]
    pub os: String,
    /// What its process is.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ProcessConfig,
    /// What it consists of.
    pub rootfs: RootFs,
}

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// The digests of their uncompressed content, the lowest layer first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<String>,
}

/// What an image says of its process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProcessConfig {
    /// `user[:group]`, by name or number.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=VALUE` each.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// What is executed.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// What asks it to end.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
    /// Its ports: `5432/tcp`.
    #[serde(deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// The paths for which Docker makes volumes.
    #[serde(deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// How its health is tested.
    #[serde(deserialize_with = "or_default")]
    pub healthcheck: Option<HealthCheck>,
}

/// How an image's health is tested; durations in nanoseconds, 0 is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// `CMD` and words, `CMD-SHELL` and a text, or `NONE`.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// The pause before each run.
    pub interval: i64,
    /// How long one run may take.
    pub timeout: i64,
    /// How long after the start failures do not count.
    pub start_period: i64,
    /// How many failures in a row make it unhealthy.
    pub retries: i64,
}

/// Writers leave fields out, or write `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl ImageConfig {
    /// Reads the configuration of an image with this many layers.
    ///
    /// # Errors
    /// If it is damaged, or names another number of layers.
    pub fn of_image(bytes: &[u8], layers: usize) -> io::Result<Self> {
        let config = Self::parse(bytes)?;
        let told = config.rootfs.diff_ids.len();
        if told == layers {
            return Ok(config);
        }
        Err(damaged(format!("its manifest names {layers} layers, but its configuration names {told}")))
    }

    /// Reads a configuration.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("its configuration cannot be read: {error}")))?;
        let ids = &config.rootfs.diff_ids;
        if ids.len() > MOST_LAYERS {
            return Err(damaged(format!(
                "it has {} layers, but farrier accepts at most {MOST_LAYERS}",
                ids.len()
            )));
        }
        ids.iter().try_for_each(|id| digest::hex_digits(id).map(drop))?;
        Ok(config)
    }

    /// The machine that it is built for, if that is another one than this.
    #[must_use]
    pub fn other_architecture(&self) -> Option<String> {
        let is_own = |own: &str, found: &str| found.is_empty() || found == own;
        let fits = is_own("linux", &self.os) && is_own(own_architecture(), &self.architecture);
        (!fits).then(|| format!("{}/{}", self.os, self.architecture))
    }
}

/// The architecture of this machine, in Go's words.
#[must_use]
pub fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

impl ProcessConfig {
    /// The TCP ports that it exposes, in ascending order.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let tcp = |port: &String| port.strip_suffix("/tcp").unwrap_or(port).parse().ok();
        let mut ports: Vec<u16> = self.exposed_ports.keys().filter_map(tcp).collect();
        ports.sort_unstable();
        ports
    }

    /// The health test, as it is executed; `None` if there is none.
    #[must_use]
    pub fn health_command(&self) -> Option<HealthCommand> {
        let check = self.healthcheck.as_ref()?;
        let (word, rest) = check.test.split_first()?;
        let arguments = match word.as_str() {
            "CMD" if !rest.is_empty() => rest.to_vec(),
            "CMD-SHELL" => {
                ["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => return None,
        };
        Some(HealthCommand {
            arguments,
            timeout: duration(check.timeout).unwrap_or(HEALTH_TIMEOUT),
            start_period: duration(check.start_period).unwrap_or(Duration::ZERO),
        })
    }

    /// The pause before each run of the health test, and how many failures in a row count.
    #[must_use]
    pub fn health_schedule(&self) -> (Duration, u32) {
        let check = self.healthcheck.as_ref();
        let interval = check.and_then(|check| duration(check.interval)).unwrap_or(HEALTH_INTERVAL);
        let retries =
            check.and_then(|check| u32::try_from(check.retries).ok()).filter(|retries| *retries > 0);
        (interval, retries.unwrap_or(HEALTH_RETRIES))
    }
}

/// A length of time in nanoseconds; `None` if it is the default.
fn duration(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().filter(|length| *length > 0).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_several_writers_are_read() {
        let id = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=b"],"Cmd":["serve"],"Entrypoint":null,"User":"redis",
            "ExposedPorts":{{"6379/tcp":{{}}}},"Healthcheck":{{"Test":["CMD-SHELL","true"],"Timeout":2000000000,"Interval":5000000000}},
            "Volumes":null,"ArgsEscaped":true}},"rootfs":{{"type":"layers","diff_ids":["{id}"]}},"history":[]}}"#
        );
        let config = ImageConfig::parse(text.as_bytes()).expect("a configuration");
        assert_eq!((config.config.user.as_str(), config.config.cmd.len()), ("redis", 1));
        let health = config.config.health_command().expect("a test");
        assert_eq!(health.arguments, ["/bin/sh", "-c", "true"]);
        assert_eq!((health.timeout, health.start_period), (Duration::from_secs(2), Duration::ZERO));
        assert_eq!(config.config.health_schedule(), (Duration::from_secs(5), 3));
        let bare =
            ImageConfig::parse(br#"{"rootfs":{"diff_ids":null},"config":null}"#).expect("a configuration");
        assert_eq!(bare, ImageConfig::default());
        assert_eq!(bare.other_architecture(), None);
        for text in [&b"{}"[..], b"[]", br#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#] {
            assert_eq!(ImageConfig::parse(text).expect_err("refused").kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn another_machine_is_told() {
        let of = |os: &str, architecture: &str| ImageConfig {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..ImageConfig::default()
        };
        assert_eq!(of("linux", own_architecture()).other_architecture(), None);
        assert_eq!(of("linux", "s390x").other_architecture().as_deref(), Some("linux/s390x"));
        assert!(of("windows", own_architecture()).other_architecture().is_some());
    }
}
