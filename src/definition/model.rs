//! A definition after parsing and validation: plain data on which the rest of farrier decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::artifact_reference::ArtifactReference;
use super::declared::Declared;
use super::files::ReadFile;
pub use super::files::{Bound, BoundKind};
use super::grants::Grants;
use super::keys::{ContainerKeys, JobRuns};
use super::order::{After, OnExit};
use super::read::Access;
use super::reader::key_of;
use super::template::{Part, Template};
use crate::report::error::{Place, Source};

/// Where a definition comes from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The user's own.
    User,
    /// The organisation's.
    Org,
    /// The repository that the launcher belongs to.
    Repo,
    /// The checkout that is being worked on; not trusted.
    Workspace,
}

impl Layer {
    /// All layers, from the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::User, Self::Org, Self::Repo, Self::Workspace];

    /// The name in messages, options and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Org => "org",
            Self::Repo => "repo",
            Self::Workspace => "workspace",
        }
    }

    /// Whether its definitions may start containers without an approval.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        !matches!(self, Self::Workspace)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One sidecar, as declared.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The file's name without its extension.
    pub name: String,
    /// The highest layer that declares it.
    pub layer: Layer,
    /// The file.
    pub source: Arc<Source>,
    /// How farrier opens the file, and the files that it names.
    pub access: Access,
    /// Everything that the file says, unknown keys included.
    pub declared: Declared,
    /// The place of each field, by its path (`readiness.probe`, `readiness[1].probe`, `networks[0]`).
    pub places: BTreeMap<String, Place>,
    /// Its purpose in one line.
    pub description: Option<String>,
    /// How long its container lives.
    pub lifecycle: Lifecycle,
    /// The image reference; `None` if it runs a program of this host.
    pub image: Option<String>,
    /// The keys that make the container what it is, beside its image.
    pub container: ContainerKeys,
    /// How the harness reaches it.
    pub interface: Interface,
    /// The conditions of its readiness, all of which must hold; empty only for a job.
    pub readiness: Vec<Readiness>,
    /// Whether the workspace is forbidden to disable it.
    pub required: bool,
    /// The secret references in all of its values.
    pub secrets: Vec<SecretReference>,
    /// The variables of the launcher's environment, or of its file, that its text names.
    pub variables: BTreeSet<String>,
    /// What the harness gets beside host and port, by the variable's name.
    pub harness_env: BTreeMap<String, Template>,
    /// The profiles in which it takes part; empty for all launches.
    pub profiles: Vec<String>,
    /// The sidecars that it comes after.
    pub after: Vec<After>,
    /// What its end means while the harness runs.
    pub on_exit: OnExit,
    /// How long it may run if it is a job, from its start, or from the beginning of the wait if it runs already.
    pub job_timeout: Duration,
    /// The files that its keys name, which were read.
    pub files: Vec<ReadFile>,
}

impl Definition {
    /// The place of a field, or of its nearest parent, or of the file.
    #[must_use]
    pub fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => {
                    return Place { source: Arc::clone(&self.source), span: 0..0 };
                }
            }
        }
    }

    /// Where the key of a setting stands, if its value stands elsewhere.
    #[must_use]
    pub fn key_place(&self, field: &str) -> Place {
        self.places.get(&key_of(field)).cloned().unwrap_or_else(|| self.place(field))
    }

    /// When it runs, if it ends by itself; `None` if it keeps running.
    #[must_use]
    pub const fn job(&self) -> Option<JobRuns> {
        self.container.job
    }

    /// What the harness gets beside host and port, if it reaches the sidecar at this host.
    #[must_use]
    pub fn harness_variables(&self, host: &str) -> Vec<(String, String)> {
        let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
        let named = |name: &str| {
            port(self.more_ports().into_iter().find(|(other, _)| *other == name).map(|(_, port)| port))
        };
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            // An address of IPv6 stands in brackets where a port follows; nobody writes one otherwise.
            Part::Host if host.contains(':') => format!("[{host}]"),
            Part::Host => host.to_owned(),
            Part::Port => port(self.port()),
            Part::NamedPort(name) => named(name),
            Part::Variable(name) => self.container.env.get(name).cloned().unwrap_or_default(),
        };
        let filled = |(name, template): (&String, &Template)| {
            (name.clone(), template.parts().iter().map(fill).collect::<String>())
        };
        self.harness_env.iter().map(filled).collect()
    }

    /// A copy at other ports, each by the declared one: as the harness sees it if its ports are forwarded.
    #[must_use]
    pub fn at_ports(&self, others: &BTreeMap<u16, u16>) -> Self {
        let mut forwarded = self.clone();
        if let Interface::Port { port, ports, .. } = &mut forwarded.interface {
            for port in ports.values_mut().chain([port]) {
                *port = others.get(port).copied().unwrap_or(*port);
            }
        }
        forwarded
    }

    /// The file that declares it.
    #[must_use]
    pub fn file(&self) -> &PathBuf {
        &self.source.path
    }

    /// The names by which the harness reaches it, the canonical one first; empty without a port.
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        match &self.interface {
            Interface::Port { aliases, .. } => {
                let mut names = vec![self.name.clone()];
                for alias in aliases {
                    if !names.contains(alias) {
                        names.push(alias.clone());
                    }
                }
                names
            }
            _ => Vec::new(),
        }
    }

    /// The ports beside the declared one, by their names.
    #[must_use]
    pub fn more_ports(&self) -> Vec<(&str, u16)> {
        match &self.interface {
            Interface::Port { ports, .. } => {
                ports.iter().map(|(name, port)| (name.as_str(), *port)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// All of its ports, the one that `{port}` stands for first.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.port().into_iter().chain(self.more_ports().into_iter().map(|(_, port)| port)).collect()
    }

    /// The declared port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.interface {
            Interface::Port { port, .. } | Interface::Mcp { port, .. } => Some(port),
            Interface::None | Interface::Volume { .. } => None,
        }
    }
}

/// A workspace file that disables a sidecar of a trusted layer.
#[derive(Clone, Debug)]
pub struct Disablement {
    /// The sidecar's name.
    pub name: String,
    /// The trusted layer that declares it.
    pub layer: Layer,
    /// The file there.
    pub file: PathBuf,
    /// The place of `disable` in the workspace's file.
    pub place: Place,
    /// Everything that the workspace's file says.
    pub declared: Declared,
}

/// How long a sidecar's container lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// One container for all launches, left running.
    Shared,
    /// One container for each launch.
    Session,
}

/// How the harness reaches a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// A TCP port.
    Port {
        /// 1 to 65535.
        port: u16,
        /// More ports, by their names.
        ports: BTreeMap<String, u16>,
        /// Names beside the sidecar's own.
        aliases: Vec<String>,
    },
    /// No interface.
    None,
    /// A Model Context Protocol server.
    Mcp {
        /// Its alias and the name in the harness's configuration.
        name: String,
        /// 1 to 65535.
        port: u16,
        /// The URL's path, with its leading slash.
        path: String,
        /// Names beside `name`.
        aliases: Vec<String>,
    },
    /// A named volume that both mount.
    Volume {
        /// The volume's name.
        volume: String,
        /// The path in the harness.
        mountpoint: String,
    },
}

impl Interface {
    /// The value of `kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Port { .. } => "port",
            Self::None => "none",
            Self::Mcp { .. } => "mcp",
            Self::Volume { .. } => "volume",
        }
    }
}

/// Something mounted into a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The checkout that is being worked on.
    Workspace {
        /// The path in the container.
        target: String,
        /// Whether it is writable.
        writable: bool,
    },
    /// The engine's socket, at its own path.
    DockerSocket {
        /// Whether it is writable.
        writable: bool,
    },
    /// Data that outlives the container.
    Volume {
        /// Its name among the sidecar's volumes.
        name: String,
        /// The path in the container.
        target: String,
        /// Whether it is writable.
        writable: bool,
    },
    /// A file or folder of the engine's host.
    Bind {
        /// Its path as written, in its shortest form.
        source: String,
        /// The path in the container.
        target: String,
        /// Whether it is writable.
        writable: bool,
        /// What is there; `None` until it was read.
        bound: Option<Arc<Bound>>,
    },
    /// Memory, which the container loses at its end.
    Tmpfs {
        /// The path in the container.
        target: String,
        /// The most bytes; `None` if there is no limit.
        size: Option<u64>,
    },
}

impl Mount {
    /// The path in the container; `None` for the engine's socket, which has its own.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::DockerSocket { .. } => None,
            Self::Workspace { target, .. }
            | Self::Volume { target, .. }
            | Self::Bind { target, .. }
            | Self::Tmpfs { target, .. } => Some(target),
        }
    }

    /// Whether it is the socket at which the engine listens.
    #[must_use]
    pub const fn is_engine_socket(&self) -> bool {
        matches!(self, Self::DockerSocket { .. })
    }
}

/// A `${secret:provider:reference}` in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// The field's path.
    pub field: String,
    /// The whole reference as written.
    pub text: String,
}

/// One condition of a sidecar's readiness.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// The component that decides.
    pub probe: ProbeReference,
    /// How long to wait: from the container's start, without pulls, or from the beginning of the wait if it runs already.
    pub timeout: Duration,
    /// How far a probe that reports progress may extend it; at least `timeout`.
    pub max_timeout: Duration,
    /// How many polls in a row of one run must say ready; from 1 to [`Readiness::MOST_SUCCESSES`].
    pub successes: u32,
    /// The shortest time between two of these polls.
    pub interval: Duration,
    /// The declared command; what `exec` runs.
    pub command: Option<Vec<String>>,
    /// The pinned digest of a custom component: 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// Handed to the probe as JSON.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What the probe may do.
    pub grants: Grants,
    /// What the probe may use up.
    pub limits: Limits,
    /// Whether the definition says how long a poll may take. If not, a built-in probe that runs commands has more time.
    pub has_poll_limit: bool,
    /// Its path in the definition: `readiness` or `readiness[1]`.
    pub field: String,
}

impl Readiness {
    /// The largest accepted number of successes in a row.
    pub const MOST_SUCCESSES: u32 = 1_000;
}

/// The component that decides a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeReference {
    /// A component that is found by its name, such as the built-in `tcp`.
    Named(String),
    /// The path of a file as written, relative to the definition's folder.
    File(PathBuf),
    /// A component in a registry.
    Artifact(ArtifactReference),
}

impl fmt::Display for ProbeReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => formatter.write_str(name),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Artifact(reference) => write!(formatter, "{reference}"),
        }
    }
}

/// The resources that one poll of a probe may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, for all memories together.
    pub memory: u64,
    /// How long one poll may take.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 * 1024 * 1024, poll: Duration::from_secs(2) }
    }
}
