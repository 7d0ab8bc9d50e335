//! Our own descriptions as the engine's API takes them.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig,
};

use super::HOST_PART;
use crate::engine::docker::api::{ContainerSpec, Mounted, Settings};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

/// Bytes that a helper may use: its program needs some 60 KiB a connection and holds what a server does not take, python3 needs
/// some 20 MiB.
const HELPER_MEMORY: i64 = 512 << 20;
/// Processes and threads of a helper: two a connection.
const HELPER_PROCESSES: i64 = 8192;

fn some_unless_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

pub(super) fn create_body(spec: &ContainerSpec) -> EngineResult<ContainerCreateBody> {
    let mut host = HostConfig {
        mounts: Some(spec.mounts.iter().map(|mount| create_mount(mount, &spec.volume_labels)).collect()),
        network_mode: Some(spec.network.clone()),
        ..Default::default()
    };
    if spec.helper {
        host.cap_drop = Some(vec!["ALL".to_owned()]);
        host.security_opt = Some(vec!["no-new-privileges".to_owned()]);
        host.auto_remove = Some(true);
        // Else the engine would write all that is carried into a file.
        host.log_config = Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None });
        host.memory = Some(HELPER_MEMORY);
        host.pids_limit = Some(HELPER_PROCESSES);
    }
    let endpoint = EndpointSettings { aliases: Some(spec.aliases.clone()), ..Default::default() };
    let body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: some_unless_empty(&spec.entrypoint),
        cmd: some_unless_empty(&spec.command),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        open_stdin: Some(spec.helper),
        stdin_once: Some(spec.helper),
        attach_stdin: Some(spec.helper),
        user: spec.helper.then(|| "65534:65534".to_owned()),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.clone(), endpoint)])),
        }),
        ..Default::default()
    };
    with_settings(&body, &spec.settings).map_err(|error| {
        EngineError::new(
            EngineErrorKind::Refused,
            format!("a setting has no form that the API takes: {error}"),
        )
    })
}

/// The setting that is no part of a container's description: the API takes it beside.
pub(super) const PLATFORM: &str = "Platform";

/// Puts each setting where its name says; labels beside those that are there.
fn with_settings(body: &ContainerCreateBody, settings: &Settings) -> serde_json::Result<ContainerCreateBody> {
    let mut json = serde_json::to_value(body)?;
    for (name, value) in settings {
        match name.strip_prefix(HOST_PART) {
            Some(name) => json["HostConfig"][name] = value.clone(),
            None if name == PLATFORM => {}
            None if name == "Labels" => {
                for (label, text) in value.as_object().into_iter().flatten() {
                    if json["Labels"].get(label).is_none() {
                        json["Labels"][label] = text.clone();
                    }
                }
            }
            None => json[name] = value.clone(),
        }
        if name == "HostConfig.PortBindings" {
            for port in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
                json["ExposedPorts"][port] = serde_json::json!({});
            }
        }
    }
    serde_json::from_value(json)
}

fn create_mount(mount: &Mounted, labels: &BTreeMap<String, String>) -> Mount {
    let is_named = mount.kind == "volume" && !mount.is_anonymous_volume();
    let labels =
        || MountVolumeOptions { labels: Some(labels.clone().into_iter().collect()), ..Default::default() };
    Mount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.clone()),
        typ: Some(if mount.kind == "volume" { MountType::VOLUME } else { MountType::BIND }),
        read_only: Some(!mount.writable),
        volume_options: is_named.then(labels),
        ..Default::default()
    }
}
