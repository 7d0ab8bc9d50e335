//! Our own descriptions as the engine's API takes them.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig,
};

use crate::engine::{ContainerSpec, Mounted, whole_seconds};

/// Bytes that a helper may use: its program needs few, python3 some 20 MiB.
const HELPER_MEMORY: i64 = 128 << 20;
/// Processes and threads of a helper: one a connection.
const HELPER_PROCESSES: i64 = 256;

fn some_unless_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

pub(super) fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    let mut host = HostConfig {
        memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
        mounts: Some(spec.mounts.iter().map(create_mount).collect()),
        network_mode: Some(spec.network.clone()),
        ..Default::default()
    };
    if spec.helper {
        host.cap_drop = Some(vec!["ALL".to_owned()]);
        host.security_opt = Some(vec!["no-new-privileges".to_owned()]);
        host.auto_remove = Some(true);
        host.memory = Some(HELPER_MEMORY);
        host.pids_limit = Some(HELPER_PROCESSES);
    }
    let endpoint = EndpointSettings { aliases: Some(spec.aliases.clone()), ..Default::default() };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: some_unless_empty(&spec.entrypoint),
        cmd: some_unless_empty(&spec.command),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout.and_then(|grace| i64::try_from(whole_seconds(grace)).ok()),
        open_stdin: Some(spec.helper),
        stdin_once: Some(spec.helper),
        attach_stdin: Some(spec.helper),
        user: spec.helper.then(|| "65534:65534".to_owned()),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.clone(), endpoint)])),
        }),
        ..Default::default()
    }
}

fn create_mount(mount: &Mounted) -> Mount {
    Mount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.clone()),
        typ: Some(if mount.kind == "volume" { MountType::VOLUME } else { MountType::BIND }),
        read_only: Some(!mount.writable),
        ..Default::default()
    }
}
