//! What a Swarm can be asked beyond what its manager answers as a Docker engine: services, tasks, nodes, networks of all
//! nodes. Nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::registry::Credentials;
use crate::engine::{EngineInfo, EngineResult, OutputRequest, Written};

/// The label on a service's tasks, and on the service, that tells each making of it from every other one.
pub const LABEL_MAKING: &str = "farrier.making";

/// A service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// The Swarm's id, which stays with each update.
    pub id: String,
    /// Which state this is: an update has to name it.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// All of what is wanted, as the API tells it.
    pub spec: Value,
}

impl Service {
    /// What tells this making from every other one; empty if farrier did not make it.
    #[must_use]
    pub fn making(&self) -> &str {
        self.labels.get(LABEL_MAKING).map(String::as_str).unwrap_or_default()
    }

    /// The ids of its networks.
    pub fn networks(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let of = |network: &Value| network["Target"].as_str().map(str::to_owned);
        let networks = self.spec["TaskTemplate"]["Networks"].as_array().into_iter().flatten();
        networks.filter(move |network| of(network).is_some()).map(|network| {
            let aliases = network["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
            (network["Target"].as_str().unwrap_or_default(), aliases.collect())
        })
    }

    /// The image, as its tasks are made from it.
    #[must_use]
    pub fn image(&self) -> &str {
        self.spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap_or_default()
    }
}

/// How far a task is, in the order in which it gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// Not given to a node yet.
    #[default]
    Pending,
    /// A node has it, fetches its image and makes its container.
    Preparing,
    /// Its container exists, and may start.
    Ready,
    /// Its container was started, and is not known to be healthy yet.
    Starting,
    /// Its container runs.
    Running,
    /// Its container ended with 0.
    Complete,
    /// It was ended from outside.
    Shutdown,
    /// Its container ended with another code, or could not be started.
    Failed,
    /// Its node could not make its container.
    Rejected,
    /// It is being removed.
    Remove,
    /// Its node has been gone for a day.
    Orphaned,
}

impl TaskState {
    /// In the API's words.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "assigned" | "accepted" | "preparing" => Self::Preparing,
            "ready" => Self::Ready,
            "starting" => Self::Starting,
            "running" => Self::Running,
            "complete" => Self::Complete,
            "shutdown" => Self::Shutdown,
            "failed" => Self::Failed,
            "rejected" => Self::Rejected,
            "remove" => Self::Remove,
            "orphaned" => Self::Orphaned,
            _ => Self::Pending,
        }
    }

    /// Whether its container ended, or never will start.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Shutdown | Self::Failed | Self::Rejected | Self::Orphaned)
    }
}

/// One run of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// The Swarm's id.
    pub id: String,
    /// Whose it is.
    pub service: String,
    /// The making of the service that it belongs to.
    pub making: String,
    /// The node that has it; empty before one has.
    pub node: String,
    /// When the Swarm made it.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: TaskState,
    /// How far it is to get.
    pub wanted: TaskState,
    /// Since when it is in its state.
    pub since: Timestamp,
    /// Why it is not as it should be.
    pub error: String,
    /// The exit code of its container, once that has ended.
    pub exit_code: i64,
    /// Its container's id, once there is one.
    pub container: String,
    /// Its addresses by the names of networks.
    pub addresses: BTreeMap<String, (String, Option<IpAddr>)>,
}

impl Task {
    /// Whether the Swarm wants it to run.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        matches!(self.wanted, TaskState::Running | TaskState::Ready)
    }
}

/// A network of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// The id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether containers that are no tasks can join it.
    pub is_attachable: bool,
    /// Whether tasks of all nodes meet on it.
    pub is_overlay: bool,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The id.
    pub id: String,
    /// Its host's name.
    pub hostname: String,
    /// Whether its agent answers.
    pub is_ready: bool,
}

/// What a command wants of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// A launch uses it, or makes it first.
    Use {
        /// What it is to be made of: equal for equal definitions.
        of: String,
        /// The names of the networks that it is to be on.
        networks: BTreeSet<String>,
    },
    /// It is removed.
    Removal,
}

/// A command's mark that it uses services, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The id of the object that it is.
    pub id: String,
    /// What the command wants, by the services' names.
    pub wants: BTreeMap<String, Want>,
    /// What tells the launch's machine from all others.
    pub machine: String,
    /// How people call that machine.
    pub host: String,
    /// The launch's process there.
    pub process: u32,
    /// What it runs.
    pub command: String,
    /// When it was made, by the Swarm's clock.
    pub created_at: Timestamp,
    /// When it was made, or renewed, by the Swarm's clock.
    pub renewed_at: Timestamp,
}

/// A configuration object, which services mount as files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Its id.
    pub id: String,
    /// Its name, which no other has.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, by the Swarm's clock.
    pub created_at: Timestamp,
}

/// The Swarm, and what its manager says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmInfo {
    /// Of the manager's engine; the id is the Swarm's.
    pub engine: EngineInfo,
    /// The manager's own node.
    pub node: String,
    /// How many nodes there are.
    pub nodes: u64,
}

/// The calls of a Swarm. Every one may fail at any time; none decides.
///
/// # Errors
/// Each call returns an [`crate::engine::EngineError`] whose kind says what the caller can do about it.
#[async_trait]
pub trait SwarmApi: Send + Sync {
    /// The Swarm; refused by an engine that is no manager of one.
    async fn swarm(&self) -> EngineResult<SwarmInfo>;
    /// All services.
    async fn services(&self) -> EngineResult<Vec<Service>>;
    /// A service by name or id; `None` if there is none.
    async fn service(&self, name: &str) -> EngineResult<Option<Service>>;
    /// Makes a service and returns its id. [`crate::engine::EngineErrorKind::Conflict`] if its name is taken.
    async fn create_service(&self, spec: &Value, credentials: Option<&Credentials>) -> EngineResult<String>;
    /// Changes a service that is in this state. [`crate::engine::EngineErrorKind::Conflict`] if it is in another one.
    async fn update_service(
        &self,
        service: &Service,
        spec: &Value,
        credentials: Option<&Credentials>,
    ) -> EngineResult<()>;
    /// Removes a service; its tasks end after that.
    async fn remove_service(&self, id: &str) -> EngineResult<()>;
    /// The tasks of services with this label.
    async fn tasks(&self, label: &str) -> EngineResult<Vec<Task>>;
    /// All nodes.
    async fn nodes(&self) -> EngineResult<Vec<Node>>;
    /// The networks of all nodes, and those of this node.
    async fn overlays(&self) -> EngineResult<Vec<Overlay>>;
    /// Makes an attachable network of all nodes.
    async fn create_overlay(&self, name: &str, labels: &BTreeMap<String, String>) -> EngineResult<()>;
    /// The marks of use, and the moment of the answer by the manager's clock.
    async fn marks(&self) -> EngineResult<(Timestamp, Vec<Mark>)>;
    /// Makes a mark and returns its id.
    async fn create_mark(&self, mark: &Mark) -> EngineResult<String>;
    /// Says that a mark has a meaning for longer, and what its command wants now.
    async fn renew_mark(&self, id: &str, wants: &BTreeMap<String, Want>) -> EngineResult<()>;
    /// The configs with this label, which may be `NAME=value`.
    async fn configs(&self, label: &str) -> EngineResult<Vec<Config>>;
    /// Makes a config and returns its id. [`crate::engine::EngineErrorKind::Conflict`] if its name is taken.
    async fn create_config(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        content: &[u8],
    ) -> EngineResult<String>;
    /// Removes a config, such as a mark; one that is gone already is no failure, and one that a service mounts stays.
    async fn remove_config(&self, id: &str) -> EngineResult<()>;
    /// The newest lines that a task wrote since a moment, oldest first.
    async fn lines(&self, task: &str, since: &str, lines: usize) -> EngineResult<Vec<String>>;
    /// What a task writes, on whichever node. Where it is followed, the Swarm does not tell its end.
    async fn output(
        &self,
        task: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>>;
}
