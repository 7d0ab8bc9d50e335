//! The probes `exec` and `log`.

use super::scene_on_podman;
use crate::support::engine::container_logs;
use crate::support::events::text;
use crate::support::launching::server_ready;
use crate::support::{PATIENT, Scene, docker, fixture_image, wait_until};

/// Defines a sidecar `db` that only waits, and is ready once the file `/tmp/ready` exists.
fn define_with_exec(scene: &Scene, timeout: &str) {
    let image = fixture_image();
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"wait\"]\n[interface]\nkind = \"none\"\n\
             [readiness]\nprobe = \"exec\"\ncommand = [\"/fixture\", \"healthy-when-file\", \"/tmp/ready\"]\n\
             timeout = \"{timeout}\"\n"
        ),
    );
}

#[test]
fn a_command_that_succeeds_later_is_noticed() {
    let Some((scene, _)) = scene_on_podman() else { return };
    define_with_exec(&scene, "5m");
    let mut running = scene.up().spawn();
    wait_until("the command failed once", PATIENT, || {
        running.has_ended() || !scene.told().of("answered").is_empty()
    });
    assert!(scene.told().of("ready").is_empty());
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/ready"]);
    running.wait().assert_code(0);
}

#[test]
fn a_command_that_never_succeeds_is_told_with_its_output() {
    let Some((scene, _)) = scene_on_podman() else { return };
    define_with_exec(&scene, "10s");
    let (outcome, events) = scene.assert_not_ready(scene.up().output(), "not-ready");
    let expected = "`/fixture` exited 1: fixture: cannot find /tmp/ready";
    let answers = events.answers();
    assert!(answers.iter().any(|answer| answer.starts_with(expected)), "{answers:?}");
    assert!(outcome.stderr().contains("cannot find /tmp/ready"), "{outcome}");
}

#[test]
fn a_line_that_is_written_later_is_found_and_none_of_the_run_before() {
    let Some((scene, _)) = scene_on_podman() else { return };
    let container = scene.container("db");
    let command = "command = [\"serve\", \"--port\", \"7000\", \"--trace\"]";
    let readiness = "probe = \"log\"\nsettings = { text = \"received\" }\ntimeout = \"5m\"";
    scene.define("db", &server_ready(&fixture_image(), command, readiness));
    for run in 1..=2 {
        if run > 1 {
            docker(["restart", "--time", "0", &container]);
        }
        let mut running = scene.up().spawn();
        wait_until("the server of this run accepts, and its log was read", PATIENT, || {
            let accepts = container_logs(&container).matches("accepting").count() == run;
            running.has_ended() || (accepts && !scene.told().of("answered").is_empty())
        });
        assert!(scene.told().of("ready").is_empty(), "run {run}: {}", container_logs(&container));
        docker(["exec", &container, "/fixture", "ask", "127.0.0.1", "7000"]);
        running.wait().assert_code(0);
        assert_eq!(text(&scene.told().one("ready")["sidecar"]), scene.name("db"));
        scene.take_events();
    }
    assert_eq!(container_logs(&container).matches("received").count(), 2, "Podman still has both lines");
}
