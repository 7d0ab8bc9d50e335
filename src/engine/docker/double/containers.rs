//! Containers: made, shown and removed as Docker does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::DuplexStream;

use super::image::{DoubleImage, End};
use super::output::Line;
use super::world::{World, carries, not_found};
use crate::definition::PublishedPort;
use crate::engine::docker::api::{
    Container, ContainerPort, ContainerSpec, Endpoint, Health, HealthStatus, Listed, Mounted, Process, Status,
};
use crate::engine::{Attached, EngineError, EngineErrorKind, EngineResult};

/// The far ends of a process's input and output.
pub(super) type Wires = (DuplexStream, DuplexStream);

/// Bytes that lie in a stream before its writer waits.
const STREAM_BYTES: usize = 64 << 10;

pub(super) fn wires() -> (Attached, Wires) {
    let (input, far_input) = tokio::io::duplex(STREAM_BYTES);
    let (far_output, output) = tokio::io::duplex(STREAM_BYTES);
    (Attached { input: Box::pin(input), output: Box::pin(output) }, (far_input, far_output))
}

/// A container with what inspecting it does not tell.
pub(super) struct Kept {
    pub(super) container: Container,
    pub(super) image: DoubleImage,
    /// When it was created, in nanoseconds since 1970.
    pub(super) created: i64,
    /// What the image was called when it was made.
    pub(super) reference: String,
    pub(super) anonymous: BTreeSet<String>,
    pub(super) removed_at_end: bool,
    pub(super) log: Vec<Line>,
    pub(super) starts: usize,
    pub(super) wires: Option<Wires>,
}

impl Kept {
    /// Whether its process exists.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.container.status, Status::Running | Status::Paused | Status::Restarting)
    }

    /// Where its current run is reached.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.image.address(self.starts.saturating_sub(1))
    }
}

pub(super) fn conflict(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Conflict, message)
}

/// What Docker makes of image and request: an entrypoint drops the image's command.
fn merged(image: &Process, spec: &ContainerSpec) -> Process {
    let mut process = image.clone();
    if !spec.entrypoint.is_empty() {
        process.entrypoint.clone_from(&spec.entrypoint);
        process.command.clone_from(&spec.command);
    } else if !spec.command.is_empty() {
        process.command.clone_from(&spec.command);
    }
    let own: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let inherited =
        image.env.iter().filter(|pair| !spec.env.contains_key(pair.split('=').next().unwrap_or_default()));
    process.apply(&spec.settings);
    process.env = own.iter().chain(inherited).cloned().collect();
    if spec.helper {
        "65534:65534".clone_into(&mut process.user);
    }
    process
}

/// What inspecting shows of the host part, beside its memory.
fn privileges(spec: &ContainerSpec) -> BTreeMap<String, String> {
    if spec.helper {
        return helper_privileges();
    }
    let host =
        spec.settings.iter().filter_map(|(name, value)| Some((name.strip_prefix("HostConfig.")?, value)));
    let told = |value: &serde_json::Value| *value != serde_json::Value::Bool(false);
    let host = host.filter(|(name, value)| !["Memory", "ShmSize"].contains(name) && told(value));
    host.map(|(name, value)| (name.to_owned(), value.to_string())).collect()
}

/// What inspecting a throwaway helper shows of the host part.
fn helper_privileges() -> BTreeMap<String, String> {
    [
        ("AutoRemove", "true"),
        ("CapDrop", "[\"ALL\"]"),
        ("PidsLimit", "8192"),
        ("SecurityOpt", "[\"no-new-privileges\"]"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

impl World {
    pub(super) fn find_mut(&mut self, name: &str) -> EngineResult<&mut Kept> {
        let id = self.id_of(name);
        id.and_then(|id| self.containers.get_mut(&id))
            .ok_or_else(|| not_found(format_args!("container: {name}")))
    }

    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        let found = self.containers.values().find(|kept| kept.container.name == name);
        found
            .or_else(|| self.containers.get(name))
            .or_else(|| {
                self.containers.values().find(|kept| !name.is_empty() && kept.container.id.starts_with(name))
            })
            .map(|kept| kept.container.id.clone())
    }

    /// A container by name or id.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<Container> {
        let kept = self.containers.get(&self.id_of(name)?)?;
        let own = |port: &ContainerPort| port.container == kept.container.id;
        let published = self.published().into_iter().filter(own).map(|port| port.port).collect();
        Some(Container { published, ..kept.container.clone() })
    }

    /// What inspecting a container shows, to be changed at will.
    pub fn container_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.find_mut(name).ok().map(|kept| &mut kept.container)
    }

    /// The names of all containers, sorted.
    #[must_use]
    pub fn container_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.containers.values().map(|kept| kept.container.name.clone()).collect();
        names.sort();
        names
    }

    pub(super) fn labelled(&self, label: &str) -> Vec<Listed> {
        self.summaries(|container| carries(&container.labels, label))
    }

    pub(super) fn listed(&self, ids: &[&str]) -> Vec<Listed> {
        self.summaries(|container| ids.contains(&container.id.as_str()))
    }

    fn summaries(&self, is_asked_for: impl Fn(&Container) -> bool) -> Vec<Listed> {
        let listed = |kept: &Kept| {
            let Container { name, image_id, .. } = &kept.container;
            let still = self.known_image(&kept.reference).is_some_and(|known| known.image.id == *image_id);
            let image = if still { &kept.reference } else { image_id };
            let Container { id, status, health, networks, .. } = &kept.container;
            let place = |(network, endpoint): (&String, &Endpoint)| {
                (network.clone(), (endpoint.id.clone(), endpoint.address))
            };
            let unhealthy = |health: &Health| health.status == HealthStatus::Unhealthy;
            Listed {
                id: id.clone(),
                name: name.clone(),
                status: Some(*status),
                is_unhealthy: health.as_ref().is_some_and(unhealthy),
                places: networks.iter().map(place).collect(),
                image: image.clone(),
                image_id: image_id.clone(),
            }
        };
        self.containers.values().filter(|kept| is_asked_for(&kept.container)).map(listed).collect()
    }

    /// The ports of the host that containers have which run, as far as they were told one.
    pub(super) fn published(&self) -> Vec<ContainerPort> {
        let mut all = Vec::new();
        for kept in self.containers.values().filter(|kept| kept.is_up()) {
            let Container { id, name, settings, .. } = &kept.container;
            let bindings = settings.get("HostConfig.PortBindings").and_then(serde_json::Value::as_object);
            for (inside, bindings) in bindings.into_iter().flatten() {
                for binding in bindings.as_array().into_iter().flatten() {
                    let text = |name: &str| binding[name].as_str().unwrap_or_default();
                    if let Some(port) = PublishedPort::of_engine(inside, text("HostIp"), text("HostPort")) {
                        all.push(ContainerPort { container: id.clone(), name: name.clone(), port });
                    }
                }
            }
        }
        all
    }

    /// Makes a container. Gives its id.
    pub fn create(&mut self, spec: &ContainerSpec) -> EngineResult<String> {
        let image = self.known_image(&spec.image).cloned();
        let image = image.ok_or_else(|| not_found(format_args!("image: {}", spec.image)))?;
        if self.containers.values().any(|kept| kept.container.name == spec.name) {
            return Err(conflict(format!("The container name \"/{}\" is already in use", spec.name)));
        }
        let id = self.new_id();
        let name = if spec.name.is_empty() { format!("unnamed_{}", &id[..8]) } else { spec.name.clone() };
        let mut mounts = spec.mounts.clone();
        let mut anonymous = BTreeSet::new();
        for target in &image.image.volumes {
            let target = if target == "/" { target } else { target.trim_end_matches('/') };
            if mounts.iter().all(|mount| mount.target != target) {
                let source = self.new_id();
                anonymous.insert(source.clone());
                mounts.push(Mounted {
                    kind: "volume".to_owned(),
                    source,
                    target: target.to_owned(),
                    writable: true,
                });
            }
        }
        for mount in mounts.iter().filter(|mount| mount.kind == "volume") {
            let labels =
                if mount.is_anonymous_volume() { BTreeMap::new() } else { spec.volume_labels.clone() };
            self.volumes.entry(mount.source.clone()).or_insert(labels);
        }
        let mut labels = image.labels.clone();
        let told = spec.settings.get("Labels").and_then(serde_json::Value::as_object).into_iter().flatten();
        labels.extend(told.map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned())));
        labels.extend(spec.labels.clone());
        let endpoint = Endpoint { aliases: spec.aliases.clone(), ..Endpoint::default() };
        let number = |name: &str| spec.settings.get(name).and_then(serde_json::Value::as_u64);
        let container = Container {
            id: id.clone(),
            name,
            labels,
            image_id: image.image.id.clone(),
            process: merged(&image.image.process, spec),
            status: Status::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            started_at: "0001-01-01T00:00:00Z".to_owned(),
            finished_at: "0001-01-01T00:00:00Z".to_owned(),
            process_id: 0,
            restarts: 0,
            health: None,
            mounts,
            privileges: privileges(spec),
            stop_timeout: number("StopTimeout").map(Duration::from_secs),
            memory: number("HostConfig.Memory").unwrap_or(0),
            settings: spec.settings.clone(),
            network_mode: spec.network.clone(),
            networks: BTreeMap::from([(spec.network.clone(), endpoint)]),
            published: Vec::new(),
            own_variables: Vec::new(),
        };
        let kept = Kept {
            container,
            image,
            created: self.now(),
            reference: spec.image.clone(),
            anonymous,
            removed_at_end: spec.helper,
            log: Vec::new(),
            starts: 0,
            wires: None,
        };
        self.containers.insert(id.clone(), kept);
        Ok(id)
    }

    /// Gives a container another name.
    pub fn rename(&mut self, id: &str, name: &str) -> EngineResult<()> {
        if self.containers.values().any(|kept| kept.container.name == name) {
            return Err(conflict(format!("The container name \"/{name}\" is already in use")));
        }
        name.clone_into(&mut self.find_mut(id)?.container.name);
        Ok(())
    }

    /// Kills and removes a container; nothing happens where it is absent.
    pub fn remove(&mut self, name: &str, volumes: bool) {
        let Some(id) = self.id_of(name) else { return };
        if let Some(kept) = self.containers.get_mut(&id) {
            kept.removed_at_end = false;
        }
        if self.runs(&id) {
            self.emit(&id, "kill");
        }
        self.end(&id, &End::Never);
        self.emit(&id, "destroy");
        if let Some(kept) = self.containers.remove(&id)
            && volumes
        {
            self.volumes.retain(|volume, _| !kept.anonymous.contains(volume));
        }
    }
}
