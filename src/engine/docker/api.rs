//! What the Docker engine can be asked, in our own types: the calls that [`super::Docker`] is built from.
//!
//! Nothing here decides anything. `client` speaks to a real engine, `double` is a stateful double for exhaustive
//! decisions and faults; `tests/docker/docker_api` runs one suite on both.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::engine::{
    Attached, EngineInfo, EngineResult, ExecOutput, ExecRequest, OutputRequest, PullProgress, Written,
};

mod container;
mod image;
mod network;
mod port;
mod volume;

pub use crate::engine::registry::Credentials;
pub use container::{Container, ContainerSpec, DEFAULT_GRACE, Listed};
pub use image::{DEFAULT_TEST_TIMEOUT, HealthTest, Image, Process};
pub use network::{BRIDGE_OPTION, Member, Network, bridge_of, is_whole_id};
pub use port::ContainerPort;
pub use volume::Volume;

pub use crate::definition::{Settings, whole_seconds};
pub use crate::engine::CreatedContainer;
pub use crate::plan::instance::{Endpoint, Health, HealthStatus, Mounted, Status};

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

/// The calls of a container engine. Every one may fail at any time; none decides.
///
/// # Errors
/// Each call returns an [`EngineError`] whose kind says what the caller can do about it.
#[async_trait]
pub trait Api: Send + Sync {
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
    /// The networks that [`Api::networks`] finds; if it is only one, with its members.
    async fn inhabited(&self, name: &str) -> EngineResult<(Vec<Network>, Vec<Member>)>;
    /// An image by reference or id; `None` if it is absent.
    async fn image(&self, reference: &str) -> EngineResult<Option<Image>>;
    /// Pulls an image, for this platform or the engine's own. `progress` is called whenever the engine says something,
    /// also where nothing changed.
    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        credentials: Option<Credentials>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> EngineResult<()>;
    /// A container by name or id; `None` if it is absent.
    async fn container(&self, name: &str) -> EngineResult<Option<Container>>;
    /// The containers that carry this label, whatever their state.
    async fn labelled(&self, label: &str) -> EngineResult<Vec<Listed>>;
    /// The containers with these ids, as far as they exist. An engine that has many others does not go through them.
    async fn listed(&self, ids: &[&str]) -> EngineResult<Vec<Listed>>;
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
    /// The ports of the engine's host that containers have which run.
    async fn published(&self) -> EngineResult<Vec<ContainerPort>>;
    /// A volume by its name; `None` if it is absent.
    async fn volume(&self, name: &str) -> EngineResult<Option<Volume>>;
    /// The volumes that carry this label.
    async fn volumes(&self, label: &str) -> EngineResult<Vec<Volume>>;
    /// Removes a volume that no container has; one that is gone already is no failure.
    async fn remove_volume(&self, name: &str) -> EngineResult<()>;
    /// Whether the engine has a socket that containers can mount, and farrier knows it.
    async fn has_socket(&self) -> EngineResult<bool>;
    /// Takes the images of an archive, as `docker save` writes it.
    async fn load(&self, archive: &'static [u8]) -> EngineResult<()>;
    /// Attaches to a container's main process.
    async fn attach(&self, container: &str) -> EngineResult<Attached>;
}
