//! A probe of one's own, from a file, on a real engine: what it may do to a launch, and what it may not.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::events::{number, text};
use crate::support::guest::{self, component, guest};
use crate::support::{Events, Layer, Outcome, Scene, Signal, fixture_image, wait_until};

/// Launches a sidecar whose probe has this body, with these further lines under `[readiness]`.
fn launch(scene: &Scene, body: &str, readiness: &str) -> (Outcome, Events) {
    let image = fixture_image();
    scene.define_in(Layer::User, "mine.wasm", component(&guest(body)));
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"wait\"]\n[interface]\nkind = \"none\"\n\
             [readiness]\nprobe = \"./mine.wasm\"\n{readiness}\n"
        ),
    );
    let path = scene.path("events.jsonl");
    let outcome = scene.farrier(["up", "--events"]).arg(&path).output();
    assert_eq!(outcome.stdout(), "");
    (outcome, Events::read(&path))
}

#[test]
fn a_probe_that_says_ready_is_believed() {
    let Some(scene) = Scene::with_docker() else { return };
    let (outcome, events) = launch(&scene, guest::FRESH, "timeout = \"60s\"");
    outcome.assert_code(0);
    assert_eq!(events.one("ready")["attempts"], 5);
}

#[test]
fn a_probe_that_never_answers_is_told_as_such_when_the_deadline_passes() {
    let Some(scene) = Scene::with_docker() else { return };
    let (outcome, events) =
        launch(&scene, guest::SPIN, "timeout = \"1800ms\"\nlimits = { poll = \"500ms\" }");
    let outcome = outcome.assert_code(125);
    let told = events.one("not-ready");
    assert_eq!(told["code"], "not-ready", "{outcome}");
    assert!(number(&told["waited_ms"]) >= 1_800.0, "{told:#}");
    // What the end of the wait cuts short is no answer.
    assert_eq!(events.answers(), ["the probe did not answer within 500ms"]);
    assert!(outcome.stderr().contains("`limits.poll`"), "the limit is what to raise: {outcome}");
}

/// A sidecar with thirty probes that spin, each for a minute, and another with these lines about its server and readiness.
/// Gives where the events go.
fn define_beside_spinning(scene: &Scene, serving: &str, readiness: &str) -> PathBuf {
    scene.define_in(Layer::User, "mine.wasm", component(&guest(guest::SPIN)));
    let image = fixture_image();
    let spins = "[[readiness]]\nprobe = \"./mine.wasm\"\ntimeout = \"10m\"\nlimits = { poll = \"60s\" }\n";
    let spinning = format!("command = [\"wait\"]\n[interface]\nkind = \"none\"\n{}", spins.repeat(30));
    let other = format!(
        "command = {serving}\n[interface]\nkind = \"port\"\nport = 7000\n[readiness]\nprobe = \"tcp\"\n{readiness}\n"
    );
    for (stem, rest) in [("spinning", spinning), ("other", other)] {
        scene.define(stem, &format!("lifecycle = \"shared\"\nimage = \"{image}\"\n{rest}"));
    }
    scene.path("events.jsonl")
}

/// What was told before the first of the spinning probes had answered.
fn before_they_answered(scene: &Scene, events: &Events) -> Vec<Value> {
    let spinning = scene.name("spinning");
    let is_answer = |event: &&Value| event["event"] == "answered" && event["sidecar"] == *spinning;
    let before = events.0.iter().take_while(|event| !is_answer(event));
    before.filter(|event| event["sidecar"] == *scene.name("other")).cloned().collect()
}

#[test]
fn probes_that_spin_keep_no_other_sidecar_from_its_verdict() {
    let Some(scene) = Scene::with_docker() else { return };
    let late = "[\"serve\", \"--port\", \"7000\", \"--after\", \"1500\"]";
    let path = define_beside_spinning(&scene, late, "timeout = \"50s\"");
    let running = scene.farrier(["up", "--events"]).arg(&path).spawn();
    wait_until("the other sidecar has a verdict", Duration::from_mins(10), || {
        let events = Events::read(&path);
        events.of("ready").len() + events.of("not-ready").len() > 0
    });
    running.signal(Signal::TERM);
    running.wait().assert_code(143);
    let events = Events::read(&path);
    let told = before_they_answered(&scene, &events);
    assert!(told.iter().any(|event| event["event"] == "ready"), "{events:#?}");
}

#[test]
fn probes_that_spin_put_off_no_deadline_of_another_sidecar() {
    let Some(scene) = Scene::with_docker() else { return };
    let path = define_beside_spinning(&scene, "[\"wait\"]", "timeout = \"3s\"");
    // The end of this wait ends the others, long before the spinning probes' own time is up.
    scene.farrier(["up", "--events"]).arg(&path).output().assert_code(125);
    let events = Events::read(&path);
    let told = before_they_answered(&scene, &events);
    assert!(told.iter().any(|event| event["event"] == "not-ready"), "{events:#?}");
}

#[test]
fn a_probe_that_breaks_ends_the_wait_with_one_clear_error() {
    for (body, words) in [(guest::TRAP, "it trapped"), (guest::BOMB, "more memory than its limit of 64 MiB")]
    {
        let Some(scene) = Scene::with_docker() else { return };
        let (outcome, events) = launch(&scene, body, "timeout = \"60s\"");
        let outcome = outcome.assert_code(125);
        let told = events.one("not-ready");
        assert_eq!(told["code"], "probe-crashed", "{outcome}");
        assert!(text(&told["message"]).contains(words), "{told:#}");
        assert_eq!(told["state"]["status"], "running");
    }
}

#[test]
fn a_probe_that_reports_progress_gets_more_time_up_to_the_declared_most() {
    for (more, least) in [("", 10_000.0), ("max_timeout = \"7s\"\n", 7_000.0)] {
        let Some(scene_of_its_own) = Scene::with_docker() else { return };
        let (outcome, events) =
            launch(&scene_of_its_own, guest::MORE_TIME, &format!("timeout = \"5s\"\n{more}"));
        let outcome = outcome.assert_code(125);
        assert!(outcome.stderr().contains(" because it reported progress"), "{outcome}");
        let waited = number(&events.one("not-ready")["waited_ms"]);
        assert!(waited >= least, "{more}: {waited}");
        let extended = number(&events.one("not-ready")["probes"][0]["extended_to_ms"]);
        assert!((least - 1.0..least + 1_000.0).contains(&extended), "{more}: {extended}");
    }
}
