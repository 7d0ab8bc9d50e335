//! The container that a sidecar means: names, mounts, and what Docker makes of image and definition.

use crate::definition::model::Mount;
use crate::engine::docker::api::{ContainerSpec, Mounted};
use crate::plan::sidecar::{FirstValues, Sidecar};

/// Where Docker's own socket lies, on the engine's host and in a container.
pub(super) const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Why a sidecar that wants the engine's socket cannot be started.
pub(super) const NO_SOCKET: &str =
    "`docker-socket` mounts the socket at which the engine listens, and farrier knows of none";
/// What to do about it.
pub(super) const SOCKET_NEEDED: &str =
    "Reach the engine by its own socket (`unix://PATH`), or remove `docker-socket` from `mounts`.";

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
            Some(mounted("volume", sidecar.volume(name), target, *writable))
        }
        Mount::Bind { target, writable, bound, .. } => {
            let path = bound.as_ref()?.path.to_string_lossy().into_owned();
            Some(mounted("bind", path, target, *writable))
        }
        Mount::Workspace { target, writable } => {
            let path = sidecar.workspace.as_ref()?.to_string_lossy().into_owned();
            Some(mounted("bind", path, target, *writable))
        }
        // Memory is a setting of the container.
        Mount::Tmpfs { .. } => None,
    };
    sidecar.definition.container.mounts.iter().filter_map(of).collect()
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
        env: sidecar.full_env(),
        labels: sidecar.labels(changed_since, salt),
        mounts,
        volume_labels: sidecar.volume_labels(),
        settings: keys.settings(),
        network: network.to_owned(),
        aliases: sidecar.definition.aliases(),
        helper: false,
    }
}
