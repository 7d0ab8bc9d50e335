//! The `tcp` probe on a real engine: when a wait ends, why, and what is told about it.

use std::collections::BTreeSet;

use crate::support::engine::{container_id, inspect};
use crate::support::events::{number, text};
use crate::support::{Events, Outcome, PATIENT, Scene, docker, fixture_image, snapshot_settings, wait_until};

const PORT: &str = "[interface]\nkind = \"port\"\nport = 7000\n";

/// A sidecar of the fixture with port 7000, these arguments, and this limit of its wait.
fn define(scene: &Scene, stem: &str, arguments: &str, timeout: &str) {
    define_with(scene, stem, arguments, timeout, "");
}

fn define_with(scene: &Scene, stem: &str, arguments: &str, timeout: &str, rest: &str) {
    let command: Vec<&str> = arguments.split(' ').collect();
    let image = fixture_image();
    scene.define(
        stem,
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {command:?}\n{PORT}{rest}\n\
             [readiness]\nprobe = \"tcp\"\ntimeout = \"{timeout}\"\n"
        ),
    );
}

/// Waits until a probe of the running launch answered that nothing listens.
fn wait_for_refusal(scene: &Scene) {
    wait_until("the probe was refused once", PATIENT, || {
        scene.told().of("answered").iter().any(|event| event["answer"] == "connection refused")
    });
}

/// The end of a launch that fails with this code; nothing was ready, and stdout is left alone.
fn fails(scene: &Scene, outcome: Outcome, code: &str) -> (Outcome, Events) {
    let (outcome, events) = scene.assert_not_ready(outcome, code);
    assert_eq!(outcome.stdout(), "");
    assert!(events.of("ready").is_empty());
    (outcome, events)
}

#[test]
fn a_server_that_listens_late_is_ready_when_it_listens() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", "60s");
    let running = scene.up().spawn();
    wait_for_refusal(&scene);
    assert!(scene.told().of("ready").is_empty());
    scene.listen("db");
    let outcome = running.wait().assert_code(0);
    assert_eq!(outcome.stdout(), "");
    let events = scene.told();
    let ready = events.about("ready", &scene.name("db"));
    assert!(number(&ready["attempts"]) >= 2.0, "{ready}");
    let last = events.of("answered").last().map(|event| text(&event["answer"]));
    assert_eq!(last.as_deref(), Some("ready"));
}

#[test]
fn what_does_not_listen_at_the_declared_address_is_never_ready() {
    for (stem, arguments) in [
        ("never", "wait"),
        ("loopback", "serve --port 7000 --bind 127.0.0.1"),
        ("elsewhere", "serve --port 7001"),
    ] {
        let Some(scene) = Scene::with_docker() else { return };
        define(&scene, stem, arguments, "1s");
        let (outcome, events) = fails(&scene, scene.up().output(), "not-ready");
        assert_eq!(events.answers(), ["connection refused"], "{stem}: {outcome}");
        let told = events.one("not-ready");
        assert!(number(&told["waited_ms"]) >= 1_000.0, "{stem}: {told:#}");
        assert_eq!(told["timeout_ms"], 1_000.0);
        assert_eq!(told["state"]["status"], "running");
    }
}

#[test]
fn a_server_that_accepts_and_closes_listens_all_the_same() {
    let Some(scene) = Scene::with_docker() else { return };
    for (stem, option) in [("closing", "--close"), ("silent", "--half-open")] {
        define(&scene, stem, &format!("serve --port 7000 {option}"), "60s");
    }
    scene.up().output().assert_code(0);
    assert_eq!(scene.told().of("ready").len(), 2);
}

#[test]
fn a_container_that_exits_ends_the_wait_with_its_code_and_last_words() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"crash\", \"no space left\", \"3\"]\n{PORT}"
        ),
    );
    let (outcome, events) = fails(&scene, scene.up().output(), "sidecar-exited");
    let told = events.one("not-ready");
    assert!(number(&told["waited_ms"]) < 10_000.0, "{told:#}");
    assert_eq!(told["state"]["status"], "exited");
    assert_eq!(told["state"]["exit_code"], 3);
    assert_eq!(told["log"], serde_json::json!(["no space left"]));
    assert!(!told["hints"].as_array().expect("hints").is_empty());
    assert!(outcome.stderr().contains("no space left"), "{outcome}");
}

#[test]
fn a_container_that_exits_after_a_while_ends_the_wait_at_once() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "serve --port 7001 --exit-when /tmp/end --code 7", "60s");
    let running = scene.up().spawn();
    wait_for_refusal(&scene);
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/end"]);
    let (_, events) = fails(&scene, running.wait(), "sidecar-exited");
    let told = events.one("not-ready");
    assert_eq!(told["state"]["exit_code"], 7);
    assert_eq!(events.answers()[0], "connection refused");
}

#[test]
fn a_container_that_is_killed_for_memory_is_told_apart() {
    let Some(scene) = Scene::with_docker() else { return };
    define_with(&scene, "db", "eat-memory 64", "60s", "[resources]\nmemory = \"16MiB\"");
    let (outcome, events) = fails(&scene, scene.up().output(), "sidecar-exited");
    let told = events.one("not-ready");
    assert_eq!(told["state"]["oom_killed"], true);
    assert_eq!(told["state"]["exit_code"], 137);
    assert!(outcome.stderr().contains("killed because it ran out of memory (limit 16 MiB)"), "{outcome}");
}

#[test]
fn a_container_that_is_restarted_is_waited_for_anew() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", "60s");
    let running = scene.up().spawn();
    wait_for_refusal(&scene);
    docker(["restart", "--time", "0", &scene.container("db")]);
    scene.listen("db");
    running.wait().assert_code(0);
    assert_eq!(scene.told().of("ready").len(), 1);
}

#[test]
fn a_container_that_is_stopped_or_removed_while_waited_for_ends_the_wait() {
    for (words, message) in
        [(["stop", "--time", "0"].as_slice(), "somebody stopped it"), (&["rm", "--force"], "was removed")]
    {
        let Some(scene) = Scene::with_docker() else { return };
        define(&scene, "db", "wait", "60s");
        let running = scene.up().spawn();
        wait_for_refusal(&scene);
        docker(words.iter().copied().chain([scene.container("db").as_str()]));
        let (_, events) = fails(&scene, running.wait(), "sidecar-exited");
        let told = events.one("not-ready");
        assert!(text(&told["message"]).contains(message), "{told:#}");
        assert_eq!(told["state"].is_null(), words[0] == "rm", "{told:#}");
    }
}

#[test]
fn sidecars_are_started_and_waited_for_together() {
    let Some(scene) = Scene::with_docker() else { return };
    let stems = ["one", "two", "three", "four"];
    for stem in stems {
        define(&scene, stem, "wait", "60s");
    }
    let running = scene.up().spawn();
    // None of them waits for another one to be ready before it starts.
    wait_until("all were refused", PATIENT, || {
        let events = scene.told();
        let answered: BTreeSet<String> =
            events.of("answered").into_iter().map(|told| text(&told["sidecar"])).collect();
        answered.len() == stems.len()
    });
    for stem in stems {
        scene.listen(stem);
    }
    running.wait().assert_code(0);
}

#[test]
fn the_first_failure_ends_all_waits_and_leaves_what_runs_running() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "bad", "serve --port 7001 --exit-after 1000", "60s");
    define(&scene, "slow", "wait", "60s");
    let (_, events) = fails(&scene, scene.up().output(), "sidecar-exited");
    assert_eq!(events.one("not-ready")["sidecar"], scene.name("bad"));
    assert_eq!(inspect(&scene.container("slow"), "{{.State.Running}}").as_deref(), Some("true"));
}

#[test]
fn several_conditions_must_all_hold() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"serve\", \"--port\", \"7000\"]\n{PORT}\
             [[readiness]]\nprobe = \"tcp\"\ntimeout = \"60s\"\n\
             [[readiness]]\nprobe = \"exec\"\ncommand = [\"/fixture\", \"healthy-when-file\", \"/tmp/ready\"]\n\
             timeout = \"60s\"\n"
        ),
    );
    let running = scene.up().spawn();
    wait_until("both probes answered", PATIENT, || {
        let events = scene.told();
        let seen = |probe: &str| events.of("answered").iter().any(|event| event["probe"] == probe);
        seen("tcp") && seen("exec")
    });
    assert!(scene.told().of("ready").is_empty());
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/ready"]);
    running.wait().assert_code(0);
    assert_eq!(scene.told().one("ready")["last_probe"], "exec");
}

#[test]
fn every_event_is_a_line_of_json_with_schema_time_and_name() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "serve --port 7000", "60s");
    let outcome = scene.up().output().assert_code(0);
    assert_eq!(outcome.stdout(), "");
    let Events(events) = scene.told();
    let mut before = 0.0;
    for event in &events {
        assert_eq!(event["schema"], 1, "{event}");
        assert!(number(&event["at_ms"]) >= before, "{events:#?}");
        before = number(&event["at_ms"]);
    }
    let mut names: Vec<_> = events.iter().map(|event| text(&event["event"])).collect();
    names.retain(|name| name != "network-created");
    names.dedup();
    let started = ["connected", "planned", "created", "started", "waiting", "answered", "used", "ready"];
    assert_eq!(names, [&started[..], &["all-ready", "reachable"]].concat());
    let container = container_id(&scene.container("db")).expect("it runs");
    assert_eq!(Events(events).one("started")["container"], container.as_str());
}

#[test]
fn events_on_stderr_leave_no_prose_between_them() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "serve --port 7001 --exit-after 500", "60s");
    let outcome = scene.farrier(["up", "--events", "-", "-v"]).output().assert_code(125);
    assert_eq!(outcome.stdout(), "");
    let events = Events::parse(&outcome.stderr());
    assert_eq!(events.one("not-ready")["code"], "sidecar-exited");
}

#[test]
fn how_much_is_said_is_chosen() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "serve --port 7000", "60s");
    let said = |option: &[&str]| {
        let recreating = scene.farrier(["up", "--recreate"]).args(option).output().assert_code(0);
        assert_eq!(recreating.stdout(), "");
        recreating.stderr()
    };
    assert_eq!(said(&["-q"]), "");
    let normal = said(&[]);
    assert!(normal.contains("ready after") && !normal.contains("tcp #1"), "{normal}");
    let verbose = said(&["-v"]);
    assert!(verbose.contains("ready after") && verbose.contains("tcp #"), "{verbose}");
}

#[test]
fn a_failure_reads_as_a_whole() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "serve --port 7001 --log starting", "1s");
    let outcome = scene.farrier(["up", "-q"]).output();
    let mut settings = snapshot_settings();
    settings.add_filter(r"\d+ attempts", "[COUNT] attempts");
    settings.add_filter(r"\(\d+ times", "([COUNT] times");
    settings.add_filter(r"(?m)at \d+\.\d+$", "at [UNIX TIME]");
    settings.bind(|| insta::assert_snapshot!(outcome.to_string(), @"
    exit code 125
    --- stdout
    --- stderr
    error[not-ready]: sidecar `db-[TOKEN]` is not ready: the probe `tcp` did not succeed within 1s: connection refused
      likely cause: it does not listen on port 7000, but on 7001
      waited [TIME] (timeout 1s)
      probe tcp, until port 7000 is open: [COUNT] attempts
        connection refused ([COUNT] times, [TIME] to [TIME])
      container: running
      last log lines:
        starting
        accepting 0.0.0.0:7001 at [UNIX TIME]
    help: Write the server's port under [interface], or make the server listen on the declared port.
    help: If the sidecar is only slow, raise `timeout` under [readiness].
    help: Read the whole log with `farrier logs db-[TOKEN]`.
    "));
}
