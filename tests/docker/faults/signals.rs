//! A signal at every stage of a launch: the documented exit code, no process left, the terminal as it was.

use std::time::Duration;

use rustix::process::{Pid, test_kill_process_group};
use rustix::termios::tcgetattr;

use super::setup::{Form, Stage};
use crate::support::engine::is_running;
use crate::support::guest;
use crate::support::launching::{server, server_ready};
use crate::support::{Layer, PATIENT, Running, Scene, Signal, Trouble, fixture_image, wait_until};

const SIGNALS: [(Signal, i32); 4] =
    [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)];

/// Where a launch is when the signal comes: the request that hangs then.
const STAGES: [(&str, Form, &str); 7] = [
    ("connecting", Form::Create, "/info"),
    ("looking at what runs", Form::Create, "/networks"),
    ("creating", Form::Create, "/containers/create"),
    ("starting", Form::Create, "/start"),
    ("recreating", Form::Recreate, "/rename"),
    ("resuming", Form::Resume, "/unpause"),
    ("making a relay", Form::Relay, "/attach"),
];

/// Sends it, and holds the end against what is documented.
fn ends(launch: Running, signal: Signal, code: i32, what: &str) {
    let group = Pid::from_raw(launch.id().try_into().expect("a process")).expect("a process");
    launch.signal(signal);
    let outcome = launch.wait();
    assert_eq!(outcome.code(), Some(code), "{what}: {signal:?}:\n{outcome}");
    wait_until(&format!("{what}: no process is left"), PATIENT, || test_kill_process_group(group).is_err());
}

#[test]
fn a_signal_while_the_engine_is_asked_ends_the_launch_at_any_request() {
    for (what, form, part) in STAGES {
        let Some(mut stage) = Stage::new(form) else { return };
        for (signal, code) in SIGNALS {
            stage.prepare();
            stage.proxy.everywhere(part, Trouble::Hang);
            let launch = stage.proxied().spawn();
            wait_until(what, PATIENT, || {
                stage.proxy.requests().iter().any(|request| request.path.contains(part))
            });
            ends(launch, signal, code, what);
            assert!(stage.scene.take_codes().contains(&"interrupted".to_owned()), "{what}");
        }
        stage.prepare();
        stage.recovers(what, 0);
    }
}

#[test]
fn a_signal_during_a_pull_ends_the_launch() {
    let Some(stage) = Stage::new(Form::Create) else { return };
    stage.scene.define("db", &server("farrier-absent.invalid/nothing:1", ""));
    for (signal, code) in SIGNALS {
        stage.proxy.calm();
        stage.proxy.everywhere("/images/create", Trouble::Hang);
        let launch = stage.proxied().spawn();
        wait_until("it pulls", PATIENT, || {
            stage.proxy.requests().iter().any(|request| request.path.contains("/images/create"))
        });
        ends(launch, signal, code, "pulling");
    }
}

#[test]
fn a_signal_while_another_launch_is_waited_for_ends_only_the_one_that_waits() {
    let Some(mut stage) = Stage::new(Form::Create) else { return };
    stage.prepare();
    stage.proxy.everywhere("/containers/create", Trouble::HoldBefore);
    let mut first = stage.proxied().spawn();
    assert!(stage.proxy.wait_held(|| first.has_ended()), "it is held");
    for (signal, code) in SIGNALS {
        let launch = stage.launch().spawn();
        launch.wait_for_stderr("waiting for another launch");
        ends(launch, signal, code, "waiting for another launch");
    }
    stage.proxy.release();
    first.wait().assert_code(0);
}

#[test]
fn a_signal_while_a_probe_is_compiled_does_not_wait_for_the_compiler() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    // What is compiled meanwhile takes longer than finding that it runs.
    scene.define("db", &server_ready(&fixture_image(), "", "probe = \"skip\""));
    scene.up().output().assert_code(0);
    let compiled = || {
        let kept = std::fs::read_dir(scene.cache_home().join("farrier/components"));
        kept.map_or(0, Iterator::count)
    };
    let before = compiled();
    scene.define_in(Layer::User, "slow.wasm", guest::slow_to_compile(2_000));
    scene.define("db", &server_ready(&fixture_image(), "", "probe = \"./slow.wasm\"\ntimeout = \"5m\""));
    for (signal, code) in SIGNALS {
        scene.take_events();
        let launch = scene.launch(["true"]).spawn();
        wait_until("its container runs", PATIENT, || scene.has_event("waiting"));
        ends(launch, signal, code, "compiling");
        assert!(!scene.has_event("answered"), "it was compiled already");
        assert_eq!(compiled(), before, "the compiler was waited for");
    }
}

#[test]
fn a_signal_during_the_wait_leaves_the_sidecar_and_the_terminal_as_they_were() {
    let Some(mut stage) = Stage::new(Form::Create) else { return };
    stage.prepare();
    stage.define(Duration::from_mins(60));
    for (signal, code) in SIGNALS {
        stage.scene.take_events();
        let launch = stage.launch().spawn_on_terminal(80, 24);
        let terminal = launch.terminal();
        let before = format!("{:?}", tcgetattr(&terminal).expect("settings"));
        wait_until("it is waited for", PATIENT, || stage.scene.has_event("answered"));
        ends(launch, signal, code, "waiting");
        assert_eq!(format!("{:?}", tcgetattr(&terminal).expect("settings")), before, "{signal:?}");
        assert!(is_running(&stage.scene.container("db")));
    }
}

#[test]
fn a_signal_at_the_question_starts_nothing_and_leaves_the_terminal_as_it_was() {
    for (signal, code) in SIGNALS {
        let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
        let file = format!("{}.toml", scene.name("db"));
        scene.define_in(Layer::Workspace, &file, server(&fixture_image(), ""));
        let launch = scene.farrier(["up", "--color", "never"]).spawn_on_terminal(120, 40);
        let terminal = launch.terminal();
        let before = format!("{:?}", tcgetattr(&terminal).expect("settings"));
        launch.wait_for_stdout("[y/N] ");
        ends(launch, signal, code, "the question");
        assert_eq!(format!("{:?}", tcgetattr(&terminal).expect("settings")), before, "{signal:?}");
    }
}
