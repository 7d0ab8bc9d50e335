//! Containers: what is asked for, and what an engine says of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::image::Process;
use crate::definition::{PublishedPort, Settings};
use crate::plan::instance::{Endpoint, Health, Instance, Mounted, Status};

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
    /// The labels of volumes that are named and not there yet.
    pub volume_labels: BTreeMap<String, String>,
    /// What the engine takes as it stands.
    pub settings: Settings,
    /// The network it starts on, by name, and its names there.
    pub network: String,
    /// Names on that network.
    pub aliases: Vec<String>,
    /// A throwaway helper: an open standard input that ends it, no capabilities, no new privileges, little memory, removed at
    /// its end.
    pub helper: bool,
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
    /// All fields of its configuration that have a value.
    pub settings: Settings,
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
    /// Its ports on the engine's host, as they are while it runs.
    pub published: Vec<PublishedPort>,
    /// Variables that the engine may have set by itself, beside those of image and definition: Podman does.
    pub own_variables: Vec<String>,
}

/// How long a container may take to end after its stop signal, where nothing else was declared: docker's default.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

impl Container {
    /// How long it may take to end after its stop signal, before the engine kills it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.stop_timeout.unwrap_or(DEFAULT_GRACE)
    }

    /// What the rest of farrier needs to know of it.
    #[must_use]
    pub fn instance(&self) -> Instance {
        let (health_command, volumes) = (self.process.health_command(), self.anonymous_volumes());
        Instance {
            lacks_isolation: false,
            is_lost: false,
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.labels.clone(),
            image_id: self.image_id.clone(),
            status: self.status,
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            error: self.error.clone(),
            started_at: self.started_at.clone(),
            finished_at: self.finished_at.clone(),
            process_id: self.process_id,
            restarts: self.restarts,
            health: self.health.clone(),
            health_command,
            volumes: volumes.cloned().collect(),
            grace: self.grace(),
            memory: self.memory,
            networks: self.networks.clone(),
            published: self.published.clone(),
        }
    }

    /// Its volumes that the engine named itself.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter().filter(|mount| mount.is_anonymous_volume())
    }
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
