//! Sidecars that Podman starts again while a launch waits for them.

use super::scene_on_podman;
use crate::support::docker::run;
use crate::support::engine::{container_logs, inspect};
use crate::support::launching::server_ready;
use crate::support::{PATIENT, docker, fixture_image, wait_until};

/// How many runs of the sidecar a launch sees.
const RUNS: usize = 4;

/// Ends all runs of a sidecar but the last, which becomes ready. `/state` is empty in each run, so a run ends only when it is
/// told to.
fn becomes_ready_in_its_last_run(restart: &str, exit_code: &str) {
    let Some((scene, _)) = scene_on_podman() else { return };
    let container = scene.container("db");
    let command = ["serve", "--port", "7000", "--trace", "--exit-when", "/state/end", "--code", exit_code];
    let top = format!("command = {command:?}\nmounts = [\"tmpfs:/state\"]\nrestart = \"{restart}\"");
    let readiness = "probe = \"log\"\nsettings = { text = \"received\" }\ntimeout = \"5m\"";
    scene.define("db", &server_ready(&fixture_image(), &top, readiness));
    let mut running = scene.up().spawn();
    for number in 1..=RUNS {
        wait_until(&format!("run {number} accepts, or the launch has ended"), PATIENT, || {
            running.has_ended() || container_logs(&container).matches("accepting").count() == number
        });
        if number < RUNS && !running.has_ended() {
            // Podman may report that the command ended with the container.
            drop(run(["exec", "--detach", &container, "/fixture", "touch", "/state/end"]));
        }
    }
    assert!(scene.told().of("ready").is_empty());
    if !running.has_ended() {
        docker(["exec", &container, "/fixture", "ask", "127.0.0.1", "7000"]);
    }
    running.wait().assert_code(0);
    let restarts = inspect(&container, "{{.RestartCount}}");
    assert_eq!(restarts, Some((RUNS - 1).to_string()), "Podman started it again");
}

#[test]
fn one_that_fails_is_waited_for_until_a_run_is_ready() {
    becomes_ready_in_its_last_run("on-failure:9", "7");
}

/// Podman calls it `exited` between two runs, as if it had ended for good.
#[test]
fn one_that_always_runs_is_waited_for_until_a_run_is_ready() {
    becomes_ready_in_its_last_run("always", "0");
}
