//! The sockets through which container engines on this host take orders, wherever they usually listen.

use std::path::PathBuf;

use super::{Choice, Environment, client_folder, of_all_contexts, resolve};

/// Names of such sockets, in whatever folder.
pub const NAMES: &[&str] =
    &["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock", "docker.raw.sock"];

/// Where engines listen that run for the whole machine.
const OF_MACHINE: &[&str] = &[
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
];

/// Where engines listen that run for one user, below the user's runtime folder.
const OF_USER: &[&str] = &["docker.sock", "podman/podman.sock", "buildkit/buildkitd.sock"];

/// Where desktop applications put a socket, below the home directory.
const OF_DESKTOP: &[&str] = &[
    ".docker/run/docker.sock",
    ".docker/desktop/docker.sock",
    ".docker/desktop/docker.raw.sock",
    ".colima/default/docker.sock",
    ".orbstack/run/docker.sock",
    ".rd/docker.sock",
    ".local/share/containers/podman/machine/podman.sock",
];

impl Environment {
    /// The sockets of engines on this host, whether or not they are there: the one that is in use, those that variables and
    /// contexts name, and the usual ones.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        let in_use = resolve(&Choice::default(), self).ok().map(|address| address.host);
        let named = [&self.host, &self.podman.host].into_iter().flatten().cloned();
        let contexts = of_all_contexts(&client_folder(&Choice::default(), self));
        let others = contexts.into_iter().chain(self.podman.of_all_connections());
        let addresses =
            in_use.into_iter().chain(named).chain(others).chain(self.podman.usual.iter().cloned());
        let of_addresses = addresses.filter_map(|address| address.strip_prefix("unix://").map(PathBuf::from));
        let runtime = format!("/run/user/{}", rustix::process::getuid().as_raw());
        let of_user = OF_USER.iter().map(|name| PathBuf::from(&runtime).join(name));
        let home = self.home.iter();
        let of_desktop = home.flat_map(|home| OF_DESKTOP.iter().map(|name| home.join(name)));
        let of_machine = OF_MACHINE.iter().map(PathBuf::from);
        of_addresses.chain(of_machine).chain(of_user).chain(of_desktop).collect()
    }
}
