//! The API's answers as our own types.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum,
    EndpointSettings, EventMessage, EventMessageTypeEnum, HealthConfig, HealthStatusEnum, HostConfig,
    ImageConfig, ImageInspect, MountPoint, Network as ListedNetwork, NetworkInspect, PortMap, PortSummary,
    PortSummaryTypeEnum, SystemInfo, Volume as ListedVolume,
};
use serde::Serialize;

use super::HOST_PART;
use crate::definition::{Protocol, PublishedPort};
use crate::engine::EngineInfo;
use crate::engine::docker::api::{
    BRIDGE_OPTION, Container, ContainerPort, CreatedContainer, DEFAULT_TEST_TIMEOUT, Endpoint, EngineEvent,
    Health, HealthStatus, HealthTest, Image, Listed, Member, Mounted, Network, Process, Status, Volume,
    bridge_of,
};

pub(super) fn convert_info(info: SystemInfo, local: bool) -> EngineInfo {
    let time = info
        .system_time
        .as_deref()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .unwrap_or_else(jiff::Timestamp::now);
    EngineInfo {
        id: info.id.unwrap_or_default(),
        time: format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()),
        version: info.server_version.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        local,
    }
}

pub(super) fn convert_listed_network(network: ListedNetwork) -> Network {
    let id = network.id.unwrap_or_default();
    Network {
        bridge: bridge_of(&id, network.options.as_ref().and_then(|options| options.get(BRIDGE_OPTION))),
        id,
        name: network.name.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        labels: network.labels.unwrap_or_default().into_iter().collect(),
    }
}

/// The network, and who runs on it.
pub(super) fn convert_network(network: NetworkInspect) -> (Network, Vec<Member>) {
    let members = network.containers.unwrap_or_default().into_iter().map(|(container, endpoint)| Member {
        container,
        name: endpoint.name.unwrap_or_default(),
        endpoint: endpoint.endpoint_id.unwrap_or_default(),
        address: addresses(endpoint.ipv4_address, endpoint.ipv6_address).0,
    });
    let members = members.collect();
    let id = network.id.unwrap_or_default();
    let network = Network {
        bridge: bridge_of(&id, network.options.as_ref().and_then(|options| options.get(BRIDGE_OPTION))),
        id,
        name: network.name.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        labels: network.labels.unwrap_or_default().into_iter().collect(),
    };
    (network, members)
}

/// None where it has no name, as while it is being removed.
pub(super) fn convert_listed(container: ContainerSummary) -> Option<Listed> {
    let name = container.names?.into_iter().next()?;
    let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let place = |(network, endpoint): (String, EndpointSettings)| {
        let (address, _) = addresses(endpoint.ip_address, endpoint.global_ipv6_address);
        (network, (endpoint.endpoint_id.unwrap_or_default(), address))
    };
    Some(Listed {
        id: container.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        status: container.state.map(convert_listed_state),
        // The engine writes the health behind the time that it runs: `Up 2 minutes (unhealthy)`.
        is_unhealthy: container.status.is_some_and(|text| text.ends_with("(unhealthy)")),
        places: networks.into_iter().map(place).collect(),
        image: container.image.unwrap_or_default(),
        image_id: container.image_id.unwrap_or_default(),
    })
}

const fn convert_listed_state(state: ContainerSummaryStateEnum) -> Status {
    match state {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => Status::Running,
        ContainerSummaryStateEnum::PAUSED => Status::Paused,
        ContainerSummaryStateEnum::RESTARTING => Status::Restarting,
        ContainerSummaryStateEnum::REMOVING => Status::Removing,
        ContainerSummaryStateEnum::EXITED => Status::Exited,
        ContainerSummaryStateEnum::DEAD => Status::Dead,
        ContainerSummaryStateEnum::EMPTY | ContainerSummaryStateEnum::CREATED => Status::Created,
    }
}

pub(super) fn convert_image(image: ImageInspect) -> Image {
    let config = image.config.unwrap_or_default();
    let mut volumes = config.volumes.clone().unwrap_or_default();
    volumes.sort();
    let labels = config.labels.clone().unwrap_or_default().into_iter().collect();
    let exposed = config.exposed_ports.clone().unwrap_or_default();
    let tcp =
        |port: &String| port.strip_suffix("/tcp").unwrap_or(port).parse().ok().filter(|port| *port != 0);
    let mut ports: Vec<u16> = exposed.iter().filter_map(tcp).collect();
    ports.sort_unstable();
    ports.dedup();
    Image {
        id: image.id.unwrap_or_default(),
        process: convert_process(config),
        volumes,
        ports,
        architecture: image.architecture.unwrap_or_default(),
        labels,
    }
}

pub(super) fn convert_event(message: EventMessage) -> EngineEvent {
    EngineEvent {
        container: message.actor.and_then(|actor| actor.id).unwrap_or_default(),
        // Podman's word.
        action: message
            .action
            .map(|action| if action == "remove" { "destroy".to_owned() } else { action })
            .unwrap_or_default(),
        time: message.time_nano.unwrap_or_default(),
    }
}

/// Follows the containers that were created to the networks that they were connected to, oldest first.
pub(super) fn convert_created(messages: Vec<EventMessage>) -> Vec<CreatedContainer> {
    let mut created: Vec<(String, CreatedContainer)> = Vec::new();
    for message in messages {
        let Some(actor) = message.actor else { continue };
        let mut attributes = actor.attributes.unwrap_or_default();
        let mut take = |name: &str| attributes.remove(name).unwrap_or_default();
        match (message.typ, message.action.as_deref()) {
            (Some(EventMessageTypeEnum::CONTAINER), Some("create")) => {
                let (name, image) = (take("name"), take("image"));
                let container = CreatedContainer {
                    name,
                    image,
                    labels: attributes.into_iter().collect(),
                    networks: Vec::new(),
                };
                created.push((actor.id.unwrap_or_default(), container));
            }
            (Some(EventMessageTypeEnum::NETWORK), Some("connect")) => {
                let (network, id) = (take("name"), take("container"));
                if let Some((_, container)) = created.iter_mut().find(|(known, _)| *known == id) {
                    container.networks.push(network);
                }
            }
            _ => {}
        }
    }
    created.into_iter().map(|(_, container)| container).collect()
}

fn convert_process(config: ImageConfig) -> Process {
    Process {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        directory: config.working_dir.unwrap_or_default(),
        shell: config.shell.unwrap_or_default(),
        health: config.healthcheck.map(convert_health_test),
        stop_signal: config.stop_signal.unwrap_or_default(),
    }
}

fn convert_health_test(config: HealthConfig) -> HealthTest {
    let nanoseconds =
        |value: Option<i64>| Duration::from_nanos(u64::try_from(value.unwrap_or(0)).unwrap_or(0));
    // Podman says the default for a container whose image says nothing.
    let timeout = Some(nanoseconds(config.timeout)).filter(|timeout| *timeout != Duration::ZERO);
    HealthTest {
        test: config.test.unwrap_or_default(),
        timeout: timeout.unwrap_or(DEFAULT_TEST_TIMEOUT),
        start_period: nanoseconds(config.start_period),
    }
}

pub(super) fn convert_container(inspected: ContainerInspectResponse) -> Container {
    let mut config = inspected.config.unwrap_or_default();
    let labels: BTreeMap<String, String> = config.labels.take().unwrap_or_default().into_iter().collect();
    let state = inspected.state.unwrap_or_default();
    let host = declared_part(inspected.host_config.unwrap_or_default());
    let network_settings = inspected.network_settings.unwrap_or_default();
    let networks = network_settings.networks.unwrap_or_default();
    let published = convert_port_map(network_settings.ports.unwrap_or_default());
    let health = state.health.and_then(|health| {
        let status = match health.status? {
            HealthStatusEnum::STARTING => HealthStatus::Starting,
            HealthStatusEnum::HEALTHY => HealthStatus::Healthy,
            HealthStatusEnum::UNHEALTHY => HealthStatus::Unhealthy,
            HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => return None,
        };
        let runs = health.log.unwrap_or_default();
        let runs =
            runs.into_iter().map(|run| (run.exit_code.unwrap_or_default(), run.output.unwrap_or_default()));
        Some(Health { status, runs: runs.collect() })
    });
    let host_part = with_values(&host).map(|(name, value)| (format!("{HOST_PART}{name}"), value));
    let shown_labels = ("Labels".to_owned(), serde_json::json!(labels));
    let settings = with_values(&config).chain(host_part).chain([shown_labels]).collect();
    Container {
        id: inspected.id.unwrap_or_default(),
        name: inspected.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels,
        image_id: inspected.image.unwrap_or_default(),
        process: convert_process(ImageConfig {
            user: config.user,
            env: config.env,
            cmd: config.cmd,
            healthcheck: config.healthcheck,
            working_dir: config.working_dir,
            entrypoint: config.entrypoint,
            shell: config.shell,
            stop_signal: config.stop_signal,
            ..Default::default()
        }),
        status: match state.status {
            Some(ContainerStateStatusEnum::RUNNING) => Status::Running,
            Some(ContainerStateStatusEnum::PAUSED) => Status::Paused,
            Some(ContainerStateStatusEnum::RESTARTING) => Status::Restarting,
            Some(ContainerStateStatusEnum::REMOVING) => Status::Removing,
            Some(ContainerStateStatusEnum::EXITED) => Status::Exited,
            Some(ContainerStateStatusEnum::DEAD) => Status::Dead,
            _ => Status::Created,
        },
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
        finished_at: state.finished_at.unwrap_or_default(),
        process_id: state.pid.and_then(|id| u32::try_from(id).ok()).unwrap_or_default(),
        restarts: inspected.restart_count.unwrap_or_default(),
        health,
        mounts: inspected.mounts.unwrap_or_default().into_iter().map(convert_mount).collect(),
        settings,
        stop_timeout: config
            .stop_timeout
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        memory: u64::try_from(host.memory.unwrap_or_default()).unwrap_or_default(),
        network_mode: host.network_mode.clone().unwrap_or_default(),
        privileges: privileges(host),
        networks: networks.into_iter().map(|(name, endpoint)| (name, convert_endpoint(endpoint))).collect(),
        published,
        own_variables: Vec::new(),
    }
}

/// Without what Docker adds by itself to a container that may do everything.
fn declared_part(mut host: HostConfig) -> HostConfig {
    if host.privileged == Some(true) {
        host.security_opt = host.security_opt.map(|mut options| {
            options.retain(|option| option != "label=disable");
            options
        });
    }
    host
}

/// The address, and the IPv6 address beside it. Networks without IPv4 have only the latter; the engine writes an empty text for
/// one that there is not.
fn addresses(ipv4: Option<String>, ipv6: Option<String>) -> (Option<IpAddr>, Option<IpAddr>) {
    // In a network's own list of its members, the length of its prefix stands behind it.
    let parsed = |text: Option<String>| text?.split('/').next()?.parse().ok();
    match (parsed(ipv4), parsed(ipv6)) {
        (None, ipv6) => (ipv6, None),
        both => both,
    }
}

fn convert_endpoint(endpoint: EndpointSettings) -> Endpoint {
    let network_id = endpoint.network_id.unwrap_or_default();
    let (address, ipv6) = addresses(endpoint.ip_address, endpoint.global_ipv6_address);
    let (gateway, _) = addresses(endpoint.gateway, endpoint.ipv6_gateway);
    Endpoint {
        bridge: bridge_of(&network_id, None),
        id: endpoint.endpoint_id.unwrap_or_default(),
        network_id,
        address,
        ipv6,
        is_reached_by_ipv6: false,
        gateway,
        aliases: names(endpoint.aliases, endpoint.dns_names),
    }
}

/// What a network's name server answers to: from Docker 25 on, the engine tells all of it beside the aliases, among it
/// the host's name that somebody gave the container.
fn names(aliases: Option<Vec<String>>, answered: Option<Vec<String>>) -> Vec<String> {
    let mut names = aliases.unwrap_or_default();
    for name in answered.unwrap_or_default() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The ports of the engine's host that an inspected container has, in order.
fn convert_port_map(ports: PortMap) -> Vec<PublishedPort> {
    let mut all: Vec<PublishedPort> = ports
        .into_iter()
        .flat_map(|(inside, bindings)| {
            let bindings = bindings.unwrap_or_default().into_iter();
            bindings.filter_map(move |binding| {
                PublishedPort::of_engine(&inside, &binding.host_ip?, &binding.host_port?)
            })
        })
        .collect();
    all.sort_unstable();
    all
}

/// The ports of the engine's host that a container has.
pub(super) fn convert_ports(container: ContainerSummary) -> Vec<ContainerPort> {
    let id = container.id.unwrap_or_default();
    let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
    let name = name.trim_start_matches('/').to_owned();
    let port = |port: PortSummary| {
        let protocol = match port.typ? {
            PortSummaryTypeEnum::TCP => Protocol::Tcp,
            PortSummaryTypeEnum::UDP => Protocol::Udp,
            _ => return None,
        };
        let (address, host) = (port.ip?.parse().ok()?, port.public_port?);
        let port = PublishedPort { address, host, container: port.private_port, protocol };
        Some(ContainerPort { container: id.clone(), name: name.clone(), port })
    };
    container.ports.unwrap_or_default().into_iter().filter_map(port).collect()
}

pub(super) fn convert_volume(volume: ListedVolume) -> Volume {
    Volume { name: volume.name, labels: volume.labels.into_iter().collect() }
}

fn convert_mount(mount: MountPoint) -> Mounted {
    let kind = mount.typ.unwrap_or_default();
    let source = if kind == "volume" { mount.name } else { mount.source };
    Mounted {
        kind,
        source: source.unwrap_or_default(),
        target: mount.destination.unwrap_or_default(),
        writable: mount.rw.unwrap_or(true),
    }
}

/// The fields of a part of a container that have a value.
fn with_values<T: Serialize>(part: &T) -> impl Iterator<Item = (String, serde_json::Value)> {
    let fields = match serde_json::to_value(part) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    fields.into_iter().filter(|(_, value)| !value.is_null())
}

/// Everything in the host part that farrier never sets and that is not the engine's own default, by name: so
/// a setting that a later API adds is seen too, instead of being trusted because nobody listed it.
fn privileges(host: HostConfig) -> BTreeMap<String, String> {
    let host = HostConfig { memory: None, mounts: None, network_mode: None, binds: None, ..host };
    with_values(&host)
        .filter(|(name, value)| !is_engine_default(name, value))
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}

fn is_engine_default(name: &str, value: &serde_json::Value) -> bool {
    use serde_json::Value;
    let empty = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    };
    // What the engine fills in by itself, from its own configuration.
    let filled = matches!(
        name,
        "LogConfig"
            | "ShmSize"
            | "Runtime"
            | "CgroupnsMode"
            | "MaskedPaths"
            | "ReadonlyPaths"
            | "MemorySwap"
            | "MemorySwappiness"
            | "ConsoleSize"
            | "Isolation"
            | "OomKillDisable"
    );
    let text = value.as_str().unwrap_or_default();
    empty
        || filled
        || (name == "IpcMode" && matches!(text, "private" | "shareable"))
        || (name == "RestartPolicy"
            && matches!(value.get("Name").and_then(Value::as_str), None | Some("" | "no")))
        || (name == "PidsLimit" && value.as_i64() == Some(-1))
}
