//! A node that does not answer any more, or only later again. The tests stop engines and cut a link that all others use, so
//! they run alone.

use super::OnSwarm;
use crate::support::launching::server_ready;
use crate::support::skipping::say_skipped;
use crate::support::{PATIENT, Running, fixture_program, wait_until};

mod link;
mod manager;
mod marks;

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

impl OnSwarm {
    /// A launch that waits for `db`, whose task runs on the worker. The server listens late: not before the worker is lost,
    /// and not before the Swarm has found that out.
    fn awaited_on_worker(&self, worker: &str) -> Running {
        Self::until_ready(worker);
        self.admit(worker);
        let command =
            "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--after\", \"30000\"]\n";
        let readiness = "probe = \"tcp\"\ntimeout = \"5m\"";
        let top = self.placed(&format!("restart = \"on-failure\"\n{command}"));
        self.scene.define("db", &server_ready(&self.image, &top, readiness));
        let waiting = self.ask("db").spawn();
        wait_until("there is a service", PATIENT, || !self.services().is_empty());
        self.until_on("db", worker);
        waiting
    }

    /// Fails the test unless the launch became ready, with one service, whose task runs on this node.
    fn assert_ready_on(&self, node: &str, waiting: Running) {
        let outcome = waiting.wait().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
        assert_eq!(self.services(), [self.scene.container("db")]);
        self.until_on("db", node);
    }

    /// Fails the test unless a harness is told that the worker, on which its sidecar runs, was lost. The worker is lost for
    /// as long as what `lose` returns lives.
    fn assert_loss_is_told<Lost>(&self, lose: impl FnOnce() -> Lost) {
        let worker = Self::node_of(&self.nodes.worker);
        Self::until_ready(&worker);
        self.admit(&worker);
        self.define("db", &self.placed("on_exit = \"stop\"\n"));
        let program = fixture_program().display().to_string();
        let running = self.launch(&[&program, "wait"]).spawn();
        wait_until("there is a service", PATIENT, || !self.services().is_empty());
        self.until_on("db", &worker);
        wait_until("the harness runs", PATIENT, || self.scene.has_event("harness-starting"));
        let absence = lose();
        let said = running.wait().stderr();
        drop(absence);
        assert!(said.contains("db"), "{said}");
        assert!(said.contains("the machine that it ran on does not answer any more"), "{said}");
        Self::until_ready(&worker);
    }
}

#[test]
fn the_task_of_a_lost_node_moves_while_it_is_waited_for() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    let (manager, worker) = (OnSwarm::node_of(&on.nodes.manager), OnSwarm::node_of(&on.nodes.worker));
    let waiting = on.awaited_on_worker(&worker);
    on.admit(&manager);
    let lost = Unanswering::new(process);
    on.assert_ready_on(&manager, waiting);
    drop(lost);
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_harness_is_told_that_the_node_of_its_sidecar_is_lost() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = worker_process() else { return };
    on.assert_loss_is_told(|| Unanswering::new(process));
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
    assert!(
        said.contains("does not answer; until it comes back and ends the task, the network stays, too"),
        "{said}"
    );
    OnSwarm::until_ready(&worker);
}
