//! A full disk, on a real engine of the test's own whose data lie on a file system of one mebibyte.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::docker::{self, Trouble};
use support::engine::skip;
use support::launching::codes;
use support::{Events, Scene, fixture_image, registry, wait_until};

/// Smaller than the image of the fixture, and large enough for an engine's own files.
const SIZE: &str = "size=1m";

/// A second engine. It ends, and its file system goes, when it is dropped.
struct SmallEngine {
    process: Child,
    data: PathBuf,
    host: String,
}

impl SmallEngine {
    /// None, and a loud message, where this user may not mount or there is no `dockerd`.
    fn start(scene: &Scene) -> Option<Self> {
        let data = scene.path("engine/data");
        std::fs::create_dir_all(&data).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&data).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            skip(&Trouble::new("a small file system cannot be mounted", "Run the tests as root."));
            return None;
        }
        let path = |name: &str| scene.path("engine").join(name);
        std::fs::write(path("daemon.json"), "{}").expect("a configuration");
        let host = format!("unix://{}", path("socket").display());
        let started = Command::new("dockerd")
            .arg("--config-file")
            .arg(path("daemon.json"))
            .arg("--data-root")
            .arg(&data)
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .args(["--host", &host, "--bridge", "none", "--iptables=false", "--storage-driver", "vfs"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some(Self { process, data, host }),
            Err(error) => {
                drop(Command::new("umount").arg(&data).output());
                skip(&Trouble::new(format!("dockerd does not start: {error}"), "Install Docker's engine."));
                None
            }
        }
    }
}

impl Drop for SmallEngine {
    fn drop(&mut self) {
        // Its bridge would stay on this host.
        drop(docker::run(["--host", &self.host, "network", "rm", "farrier"]));
        let process = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        drop(self.process.wait());
        drop(Command::new("umount").arg(&self.data).output());
    }
}

#[test]
fn an_image_for_which_the_engine_has_no_room() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(registry) = registry::start(&scene) else { return };
    let Some(engine) = SmallEngine::start(&scene) else { return };
    wait_until("the engine answers", Duration::from_mins(1), || {
        docker::run(["--host", &engine.host, "version"]).is_ok()
    });
    let reference = registry.publish(&fixture_image(), &format!("{}:1", scene.token()));
    let folder = scene.home().join(".docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let configuration = registry::client_configuration(&registry.address, true);
    std::fs::write(folder.join("config.json"), configuration).expect("a file");
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{reference}\"\n[interface]\nkind = \"port\"\nport = 7000\n"
        ),
    );
    let path = scene.path("events.jsonl");
    let run = scene.farrier(["up", "--events"]).arg(&path).env("DOCKER_HOST", &engine.host);
    let outcome = run.output().assert_code(125);
    assert_eq!(codes(&Events::read(&path).0), ["disk-full"], "{outcome}");
    assert!(outcome.stderr().contains("no space left on device"), "{outcome}");
    assert!(outcome.stderr().contains("docker system df"), "the next step: {outcome}");
}
