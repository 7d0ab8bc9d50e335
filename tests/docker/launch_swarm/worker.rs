//! A sidecar on the worker, whose engine farrier never talks to: all that it learns of the task comes through the manager.

use serde_json::{Value, json};

use super::OnSwarm;
use crate::support::engine::docker;
use crate::support::launching::{server, server_ready};
use crate::support::{PATIENT, wait_until};

/// A server that writes a line before it listens.
const WRITING: &str =
    "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--log\", \"recovery is complete\"]";

impl OnSwarm {
    /// Lines for a definition whose task runs on the worker, and the worker's node.
    pub(super) fn on_worker(&self, more: &str) -> (String, String) {
        let worker = Self::node_of(&self.nodes.worker);
        Self::until_ready(&worker);
        self.admit(&worker);
        (self.placed(more), worker)
    }
}

#[test]
fn a_line_that_a_task_writes_on_the_worker_makes_it_ready() {
    let Some(on) = OnSwarm::new() else { return };
    let (top, worker) = on.on_worker(WRITING);
    let define = |settings: &str, timeout: &str| {
        let readiness = format!("probe = \"log\"\nsettings = {{ {settings} }}\ntimeout = \"{timeout}\"");
        on.scene.define("db", &server_ready(&on.image, &top, &readiness));
    };
    for settings in ["text = \"recovery is complete\"", "pattern = \"^recovery .* complete$\""] {
        define(settings, "60s");
        let outcome = on.ask("db").output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    }
    on.until_on("db", &worker);
    define("text = \"nobody writes this\"", "3s");
    on.scene.take_events();
    on.scene.assert_not_ready(on.ask("db").output(), "not-ready");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}

#[test]
fn limits_of_resources_reach_the_service_and_its_container() {
    let Some(on) = OnSwarm::new() else { return };
    let (top, worker) = on.on_worker("resources = { memory = \"64MiB\", cpus = \"0.5\", pids = 50 }");
    on.scene.define("db", &server(&on.image, &top));
    on.ask("db").output().assert_code(0);
    on.until_on("db", &worker);
    let (service, format) = (on.scene.container("db"), "{{json .Spec.TaskTemplate.Resources.Limits}}");
    let limits = docker(["service", "inspect", "--format", format, &service]);
    let limits: Value = serde_json::from_str(&limits).expect("JSON");
    assert_eq!(limits, json!({ "MemoryBytes": 64 << 20, "NanoCPUs": 500_000_000, "Pids": 50 }));
    let (engine, container) = on.nodes.container(&service).expect("its task runs");
    assert_eq!(engine, on.nodes.worker);
    let format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    let found = docker(["--host", engine, "container", "inspect", "--format", format, &container]);
    assert_eq!(found, "67108864 500000000 50");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}

#[test]
fn a_harness_on_this_host_reaches_a_sidecar_that_was_started_again() {
    let Some(on) = OnSwarm::new() else { return };
    let (top, _) = on.on_worker("on_exit = \"restart\"");
    on.scene.define("db", &server(&on.image, &top));
    let (ask, asked) = (on.asking("db").join(" "), on.scene.path("asked"));
    // It asks, and asks again once the task has ended.
    let script = format!(
        "{ask} && touch {0} && while [ -e {0} ]; do sleep 0.1; done && until {ask}; do sleep 0.1; done",
        asked.display()
    );
    let running = on.launch(&["sh", "-c", &script]).spawn();
    wait_until("the harness has asked", PATIENT, || asked.exists());
    let service = on.scene.container("db");
    let (engine, first) = on.nodes.container(&service).expect("its task runs");
    docker(["--host", engine, "container", "kill", &first]);
    let next = || on.nodes.container(&service).is_some_and(|(_, container)| container != first);
    wait_until("another task runs", PATIENT, next);
    std::fs::remove_file(&asked).expect("removed");
    running.wait().assert_code(0);
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}
