//! A node that does not answer any more. The tests stop an engine that all others use, so they run alone.

use super::OnSwarm;
use crate::support::launching::server_ready;
use crate::support::skipping::say_skipped;
use crate::support::{PATIENT, fixture_program, wait_until};

/// The worker's engine, as a process of this machine that answers nothing while this lives.
struct Unanswering(String);

impl Unanswering {
    fn new(process: String) -> Self {
        signal(&process, "-STOP");
        Self(process)
    }
}

/// `None` if nobody says which process the worker's engine is: only whoever runs no other test on it meanwhile does.
fn worker_process() -> Option<String> {
    let process = std::env::var("FARRIER_SWARM_WORKER_PROCESS").ok().filter(|id| !id.is_empty());
    if process.is_none() {
        say_skipped("FARRIER_SWARM_WORKER_PROCESS names no process");
    }
    process
}

impl Drop for Unanswering {
    fn drop(&mut self) {
        signal(&self.0, "-CONT");
    }
}

fn signal(process: &str, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, process]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{signal} {process}");
}

#[test]
fn the_task_of_a_lost_node_moves_while_it_is_waited_for_and_while_the_harness_runs() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    let (manager, worker) = (OnSwarm::node_of(&on.nodes.manager), OnSwarm::node_of(&on.nodes.worker));
    OnSwarm::until_ready(&worker);
    on.admit(&worker);
    // It does not listen before its node is lost, and not before the other one has found that out.
    let command =
        "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--after\", \"30000\"]\n";
    let readiness = "probe = \"tcp\"\ntimeout = \"5m\"";
    let top = on.placed(&format!("restart = \"on-failure\"\n{command}"));
    on.scene.define("db", &server_ready(&on.image, &top, readiness));
    let waiting = on.ask("db").spawn();
    wait_until("there is a service", PATIENT, || !on.services().is_empty());
    on.until_on("db", &worker);
    on.admit(&manager);
    let lost = Unanswering::new(process);
    let outcome = waiting.wait().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    on.until_on("db", &manager);
    drop(lost);
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_harness_is_told_that_the_node_of_its_sidecar_is_lost() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    let worker = OnSwarm::node_of(&on.nodes.worker);
    OnSwarm::until_ready(&worker);
    on.admit(&worker);
    on.define("db", &on.placed("on_exit = \"stop\"\n"));
    let program = fixture_program().display().to_string();
    let running = on.launch(&[&program, "wait"]).spawn();
    wait_until("there is a service", PATIENT, || !on.services().is_empty());
    on.until_on("db", &worker);
    let lost = Unanswering::new(process);
    let said = running.wait().stderr();
    drop(lost);
    assert!(said.contains("db"), "{said}");
    assert!(said.contains("the machine that it ran on does not answer any more"), "{said}");
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_node_that_is_lost_before_its_task_starts_is_told() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    let worker = OnSwarm::node_of(&on.nodes.worker);
    OnSwarm::until_ready(&worker);
    on.admit(&worker);
    on.define("db", &on.placed(""));
    let lost = Unanswering::new(process);
    let outcome = on.ask("db").output();
    drop(lost);
    let said = outcome.assert_code(125).stderr();
    assert!(
        said.contains("was about to start the task") && said.contains("does not answer any more"),
        "{said}"
    );
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_removal_tells_that_a_lost_node_has_not_ended_its_task() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    let worker = OnSwarm::node_of(&on.nodes.worker);
    OnSwarm::until_ready(&worker);
    on.admit(&worker);
    on.define("db", &on.placed(""));
    on.ask("db").output().assert_code(0);
    on.until_on("db", &worker);
    let lost = Unanswering::new(process);
    let outcome = on.farrier(&["down", "--yes", &on.scene.name("db")]).output();
    drop(lost);
    let said = outcome.assert_code(0).stdout();
    assert!(said.contains("does not answer, and ends the task when it comes back"), "{said}");
    OnSwarm::until_ready(&worker);
}
