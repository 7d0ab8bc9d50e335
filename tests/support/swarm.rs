//! A Swarm of two nodes: its manager, which `FARRIER_SWARM` names and the tests' own docker client uses, and a worker.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::engine::docker;
use super::skipping::{say_skipped, skip_unless_required};

/// With the value 1, a test that cannot have an engine of another kind than this host's Docker fails.
const REQUIRE_ENGINES: &str = "FARRIER_REQUIRE_ENGINES";

/// How long the tasks of removed services may take to end, on a busy machine.
const ENDING: Duration = Duration::from_mins(2);

/// The engines of both nodes.
pub struct Nodes {
    pub manager: String,
    pub worker: String,
}

impl Nodes {
    /// `None` if there is no Swarm, which it then says.
    pub fn find() -> Option<Self> {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(manager), Some(worker)) = (named("FARRIER_SWARM"), named("FARRIER_SWARM_WORKER")) else {
            skip_unless_required(REQUIRE_ENGINES, "FARRIER_SWARM and FARRIER_SWARM_WORKER name no Swarm");
            return None;
        };
        if named("DOCKER_HOST").as_ref() != Some(&manager) {
            say_skipped("DOCKER_HOST and FARRIER_SWARM name different engines");
            return None;
        }
        Some(Self { manager, worker })
    }

    /// Gives the worker an image of the manager's. Its id names it on both, and no node tries to pull that.
    pub fn share(&self, image: &str) -> String {
        let mut saved = Command::new("docker")
            .args(["save", image])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker runs");
        let archive = saved.stdout.take().expect("its output");
        let loaded = Command::new("docker")
            .args(["--host", &self.worker, "load", "--quiet"])
            .stdin(archive)
            .stdout(Stdio::null())
            .status()
            .expect("docker runs");
        assert!(loaded.success() && saved.wait().expect("it ends").success(), "{image} is on both nodes");
        docker(["image", "inspect", "--format", "{{.Id}}", image])
    }

    /// Removes from the worker the images with this label that [`Self::share`] gave it, once no container uses them any more: a
    /// removed service's task still ends.
    pub fn take_back(&self, label: &str) {
        let filter = format!("label={label}");
        let begun = Instant::now();
        while begun.elapsed() < ENDING {
            let list = ["--host", &self.worker, "image", "ls", "--quiet", "--filter", &filter];
            let images = super::docker::run(list).unwrap_or_default();
            if images.is_empty() {
                return;
            }
            for image in images.lines() {
                drop(super::docker::run(["--host", &self.worker, "image", "rm", "--force", image]));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The container of a service's task that runs, and its node's engine.
    pub fn container(&self, service: &str) -> Option<(&str, String)> {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        [&self.manager, &self.worker].into_iter().find_map(|host| {
            let found =
                super::docker::run(["--host", host, "ps", "--quiet", "--no-trunc", "--filter", &filter]);
            let id = found.ok()?.lines().next()?.to_owned();
            Some((host.as_str(), id))
        })
    }

    /// Kills the container of a service's task.
    pub fn kill(&self, service: &str) {
        let (host, container) = self.container(service).expect("its task runs");
        docker(["--host", host, "kill", &container]);
    }
}

/// The process that listens at an engine's address, if that is a socket of this machine.
pub fn process_at(address: &str) -> Option<u32> {
    let socket = UnixStream::connect(address.strip_prefix("unix://")?).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&socket).ok()?;
    u32::try_from(peer.pid.as_raw_pid()).ok()
}

/// Removes the services that carry the token in their name.
pub fn remove_services(token: &str) {
    let all = super::docker::run(["service", "ls", "--filter", "name=farrier-", "--format", "{{.Name}}"]);
    for service in all.unwrap_or_default().lines().filter(|name| name.contains(token)) {
        drop(super::docker::run(["service", "rm", service]));
    }
}

/// Removes the marks of use that name such services: launches that were killed leave theirs.
pub fn remove_marks(token: &str) {
    let format = "{{.ID}} {{.Labels}}";
    let all = super::docker::run(["config", "ls", "--filter", "label=farrier.use", "--format", format]);
    for mark in all.unwrap_or_default().lines().filter(|mark| mark.contains(token)) {
        let id = mark.split_whitespace().next().unwrap_or_default();
        drop(super::docker::run(["config", "rm", id]));
    }
}
