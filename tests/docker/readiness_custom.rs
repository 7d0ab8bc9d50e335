//! A probe of one's own, from a file, on a real engine: what it may do to a launch, and what it may not.

use crate::support::events::{number, text};
use crate::support::guest::{self, component, guest};
use crate::support::{Events, Layer, Outcome, Scene, fixture_image};

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
    for (more, least, most) in [("", 2_000.0, 3_900.0), ("max_timeout = \"4s\"\n", 4_000.0, 9_000.0)] {
        let scene_of_its_own = Scene::with_docker().unwrap_or_else(Scene::new);
        let (outcome, events) =
            launch(&scene_of_its_own, guest::MORE_TIME, &format!("timeout = \"1s\"\n{more}"));
        let outcome = outcome.assert_code(125);
        assert!(outcome.stderr().contains(" because it reported progress"), "{outcome}");
        let waited = number(&events.one("not-ready")["waited_ms"]);
        assert!((least..most).contains(&waited), "{more}: {waited}");
        let extended = number(&events.one("not-ready")["probes"][0]["extended_to_ms"]);
        assert!((least - 1.0..most).contains(&extended), "{more}: {extended}");
    }
}
