//! How a sidecar that is replaced comes to its end: its stop signal, a grace period, then a kill.

use super::*;
use crate::support::{Run, Running};

/// Follows the engine's events of a container. The engine keeps the last 256 of all, which may be those of a few seconds.
fn events_of(scene: &Scene, container: &str) -> Running {
    let filter = format!("container={container}");
    let since = docker(["info", "--format", "{{.SystemTime}}"]);
    let format = "{{.Action}} {{.Actor.Attributes.signal}} {{.Actor.Attributes.exitCode}}";
    let words = ["events", "--since", &since, "--filter", &filter, "--format", format];
    Run::program(scene, "docker").args(words).spawn()
}

/// The signals that a container was sent before it was removed, and the exit code that it ended with.
fn signals_of(events: &Running) -> (Vec<String>, Option<String>) {
    wait_until("it is removed", PATIENT, || events.stdout().contains("destroy "));
    let (mut signals, mut exit_code) = (Vec::new(), None);
    for line in events.stdout().lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            // What an event does not have is `<no value>`.
            ["kill", signal, ..] => signals.push((*signal).to_owned()),
            ["die", .., code] => exit_code = Some((*code).to_owned()),
            _ => {}
        }
    }
    (signals, exit_code)
}

#[test]
fn a_sidecar_is_asked_to_end_and_killed_only_after_its_grace_period() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    let deaf = "command = [\"sleep\", \"100000000\"]\n";
    let rows = [
        // It ends at once: nothing waits for the ten seconds.
        ("command = [\"wait\"]\n".to_owned(), &["15"][..], "143"),
        (format!("{deaf}stop_timeout = \"500ms\"\n"), &["15", "9"], "137"),
        (format!("{deaf}stop_signal = \"SIGUSR1\"\nstop_timeout = 1\n"), &["10", "9"], "137"),
        ("command = [\"wait\"]\nstop_signal = \"kill\"\n".to_owned(), &["9"], "137"),
    ];
    for (top, signals, code) in rows {
        scene.define("db", &idler(&image, &top));
        scene.launch(["true"]).output().assert_code(0);
        for remove in [false, true] {
            let old = container_id(&scene.container("db")).expect("it runs");
            let events = events_of(&scene, &old);
            if remove {
                scene.farrier(["down", "--yes"]).output().assert_code(0);
            } else {
                scene.define("db", &idler(&image, &format!("{top}env = {{ LEVEL = \"2\" }}\n")));
                scene.launch(["true"]).output().assert_code(0);
                assert_ne!(container_id(&scene.container("db")), Some(old.clone()), "{top}");
            }
            let found = signals_of(&events);
            let expected: Vec<String> = signals.iter().map(|&signal| signal.to_owned()).collect();
            assert_eq!(found, (expected, Some(code.to_owned())), "{top} {remove}");
        }
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_sidecar_that_takes_its_time_to_end() {
    let Some(scene) = Scene::with_docker() else { return };
    let deaf = "command = [\"sleep\", \"100000000\"]\nstop_timeout = \"60s\"\n";
    scene.define("db", &idler(&fixture_image(), deaf));
    scene.launch(["true"]).output().assert_code(0);
    scene.take_events();
    scene.define("db", &idler(&fixture_image(), "command = [\"wait\"]\n"));
    let launch = scene.launch(["true"]).spawn();
    wait_until("it is asked to end", PATIENT, || scene.has_event("stopping"));
    launch.signal(crate::support::Signal::INT);
    launch.wait().assert_code(130);
    docker(["kill", &scene.container("db")]);
    wait_until("it ended", PATIENT, || !is_running(&scene.container("db")));
    scene.launch(["true"]).output().assert_code(0);
    assert!(is_running(&scene.container("db")));
}
