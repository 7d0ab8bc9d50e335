//! The container that a sidecar means: names, mounts, and what Docker makes of image and definition.

use std::collections::BTreeMap;

use crate::definition::model::Mount;
use crate::engine::docker::api::{ContainerSpec, Mounted};
use crate::plan::sidecar::{FirstValues, LABEL_VOLUME, Sidecar};

/// Where Docker's own socket lies, on the engine's host and in a container.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The name that a new container has until the old one is gone, so that at any moment one of both exists and holds the
/// anonymous volumes. No sidecar's own container can have it: tokens do not end in `_`.
#[must_use]
pub(super) fn temporary_name(container: &str) -> String {
    format!("{container}_")
}

/// The mounts that the definition declares.
#[must_use]
pub(super) fn declared_mounts(sidecar: &Sidecar) -> Vec<Mounted> {
    let socket = |writable| Mounted {
        kind: "bind".to_owned(),
        source: DOCKER_SOCKET.to_owned(),
        target: DOCKER_SOCKET.to_owned(),
        writable,
    };
    let mounted = |kind: &str, source: String, target: &str, writable: bool| Mounted {
        kind: kind.to_owned(),
        source,
        target: target.to_owned(),
        writable,
    };
    let of = |mount: &Mount| match mount {
        Mount::DockerSocket { writable } => Some(socket(*writable)),
        Mount::Volume { name, target, writable } => {
            Some(mounted("volume", volume_name(sidecar, name), target, *writable))
        }
        Mount::Bind { target, writable, bound, .. } => {
            let path = bound.as_ref()?.path.to_string_lossy().into_owned();
            Some(mounted("bind", path, target, *writable))
        }
        // Memory is a setting of the container.
        Mount::Workspace { .. } | Mount::Tmpfs { .. } => None,
    };
    sidecar.definition.container.mounts.iter().filter_map(of).collect()
}

/// The engine's name for a sidecar's volume. No two of them have the same: names of volumes have no `_`.
#[must_use]
pub(super) fn volume_name(sidecar: &Sidecar, volume: &str) -> String {
    format!("{}_{volume}", sidecar.container)
}

/// The engine's names of the volumes that a definition mounts, with the place of each mount.
pub(super) fn volume_names(sidecar: &Sidecar) -> impl Iterator<Item = String> {
    sidecar.definition.container.mounts.iter().filter_map(|mount| match mount {
        Mount::Volume { name, .. } => Some(volume_name(sidecar, name)),
        _ => None,
    })
}

/// By what farrier knows a sidecar's volumes again.
#[must_use]
pub(super) fn volume_labels(sidecar: &Sidecar) -> BTreeMap<String, String> {
    let mut labels = sidecar.owner_labels();
    labels.insert(LABEL_VOLUME.to_owned(), sidecar.container.clone());
    labels
}

/// The container to create under this name on this network, with these volumes carried over from when these fields had
/// other values.
#[must_use]
pub fn container_spec(
    sidecar: &Sidecar,
    name: &str,
    network: &str,
    (carried, changed_since): (&[Mounted], &FirstValues),
    salt: &str,
) -> ContainerSpec {
    let keys = &sidecar.definition.container;
    let mut mounts = declared_mounts(sidecar);
    mounts.extend(carried.iter().cloned());
    ContainerSpec {
        name: name.to_owned(),
        image: sidecar.image.as_str().to_owned(),
        entrypoint: keys.entrypoint.clone().unwrap_or_default(),
        command: keys.command.clone().unwrap_or_default(),
        env: keys.env.clone(),
        labels: sidecar.labels(changed_since, salt),
        mounts,
        volume_labels: volume_labels(sidecar),
        settings: keys.settings(),
        network: network.to_owned(),
        aliases: sidecar.definition.aliases(),
        helper: false,
    }
}
