//! A full disk, on a real engine of the test's own whose data lie on a file system of one mebibyte.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::docker;
use crate::support::launching::codes;
use crate::support::registry::{self, Registry};
use crate::support::skipping::say_skipped;
use crate::support::{Events, Scene, fixture_image, wait_until};

/// A second engine, and a registry, in namespaces of their own: an engine changes the network and the mounts of the host
/// it runs on. The file system is smaller than the image of the fixture, and large enough for an engine's own files.
const SCRIPT: &str = "\
mount -t tmpfs -o size=1m tmpfs \"$ENGINE/data\" && ip link set lo up || exit 77
\"$@\" &
until (exec 3<>\"/dev/tcp/${ADDRESS/://}\"); do sleep 0.1; done 2>/dev/null
exec dockerd --config-file \"$ENGINE/daemon.json\" --data-root \"$ENGINE/data\" --exec-root \"$ENGINE/exec\" \
  --pidfile \"$ENGINE/pid\" --host \"unix://$ENGINE/socket\" --bridge none --iptables=false --storage-driver vfs
";

/// The engine; everything in its namespaces ends when it is dropped.
struct SmallEngine {
    process: Child,
    host: String,
}

impl SmallEngine {
    /// None, and a loud message, where this user may not make namespaces or there is no `dockerd`.
    fn start(scene: &Scene, registry: Registry) -> Option<Self> {
        let folder = scene.path("engine");
        std::fs::create_dir_all(folder.join("data")).expect("a folder");
        std::fs::write(folder.join("daemon.json"), "{}").expect("a configuration");
        let host = format!("unix://{}", folder.join("socket").display());
        let address = registry.address.clone();
        let process = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "bash",
                "-c",
                SCRIPT,
                "bash",
            ])
            .args(registry.moved())
            .env("ENGINE", &folder)
            .env("ADDRESS", address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("util-linux is there");
        let mut engine = Self { process, host };
        wait_until("the engine answers", Duration::from_mins(10), || {
            engine.ended() || docker::run(["--host", &engine.host, "version"]).is_ok()
        });
        if engine.ended() {
            say_skipped(
                "a full disk: an engine of its own does not start. Run the tests as root, with dockerd installed.",
            );
            return None;
        }
        Some(engine)
    }

    fn ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for SmallEngine {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn an_image_for_which_the_engine_has_no_room() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(registry) = registry::start(&scene) else { return };
    let reference = registry.publish(&fixture_image(), &format!("{}:1", scene.token()));
    let folder = scene.home().join(".docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let configuration = registry::client_configuration(&registry.address, true);
    std::fs::write(folder.join("config.json"), configuration).expect("a file");
    let Some(engine) = SmallEngine::start(&scene, registry) else { return };
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
