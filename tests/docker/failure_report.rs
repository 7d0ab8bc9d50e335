//! What a failure's report holds beside its cause: the container's end, its health, its log, the other sidecars.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use crate::support::events::number;
use crate::support::launching::idler;
use crate::support::{Image, PATIENT, Scene, docker, fixture_image, wait_until};
use serde_json::{Value, json};

#[test]
fn every_part_of_the_evidence_is_there() {
    let Some(scene) = Scene::with_docker() else { return };
    let test = "HEALTHCHECK --interval=1s --retries=3 CMD [\"/fixture\", \"crash\", \"disk on fire\", \"5\"]";
    let image = scene.image(&Image::new().change(test));
    let logs: Vec<String> = (1..=30).map(|line| format!("\"--log\", \"line {line} \\u001b[2J\"")).collect();
    let serve = format!("command = [\"serve\", \"--port\", \"7000\", {}]", logs.join(", "));
    let readiness =
        "[[readiness]]\nprobe = \"tcp\"\n[[readiness]]\nprobe = \"healthcheck\"\ntimeout = \"5m\"\n";
    let interface = "[interface]\nkind = \"port\"\nport = 7000\n";
    scene.define(
        "db",
        &format!("lifecycle = \"shared\"\nimage = \"{image}\"\n{serve}\n{interface}{readiness}"),
    );
    scene.define("other", &idler(&fixture_image(), "command = [\"wait\"]"));
    let outcome = scene.up().output().assert_code(125);
    let events = scene.told();
    let told = events.one("not-ready");
    assert_eq!(told["sidecar"], scene.name("db"));
    assert_eq!(told["container"], scene.container("db"));
    assert_eq!(told["code"], "sidecar-unhealthy");
    assert_eq!(told["cause"]["name"], "health-test-fails");
    assert!(number(&told["waited_ms"]) > 0.0 && number(&told["timeout_ms"]) >= 30_000.0, "{told:#}");
    let probes = told["probes"].as_array().expect("probes");
    assert_eq!(probes[0]["until"], "port 7000 is open");
    assert_eq!(probes[1]["until"], "its health test passes");
    for probe in probes {
        let answer = &probe["answers"][0];
        assert!(number(&probe["attempts"]) >= 1.0, "{probe:#}");
        assert!(number(&answer["first_ms"]) <= number(&answer["last_ms"]), "{probe:#}");
        assert_eq!(probe["extended_to_ms"], Value::Null);
    }
    let state = &told["state"];
    assert_eq!((&state["status"], &state["oom_killed"]), (&json!("running"), &json!(false)));
    assert_eq!((&state["restarts"], &state["signal"]), (&json!(0), &Value::Null));
    let runs = state["health"].as_array().expect("runs of the health test");
    assert!(runs.len() >= 3, "{told:#}");
    assert!(runs.iter().all(|run| run["exit_code"] == 5 && run["output"] == "disk on fire\n"), "{told:#}");
    assert_eq!(told["others"], json!([{"sidecar": scene.name("other"), "state": "ready"}]));
    let log = told["log"].as_array().expect("lines of the log");
    assert_eq!(log.len(), 20, "{told:#}");
    assert!(log.contains(&json!("line 30 \u{1b}[2J")), "{told:#}");
    assert!(!told["hints"].as_array().expect("hints").is_empty());
    let written = outcome.stderr();
    for part in [
        "likely cause: ",
        "probe healthcheck, until its health test passes: ",
        "container: running",
        "health test, as the engine ran it:\n    exit code 5: disk on fire",
        &format!("other sidecars: {} ready", scene.name("other")),
        "line 30 \\x1b[2J",
        "help: ",
    ] {
        assert!(written.contains(part), "{part}: {outcome}");
    }
}

#[test]
fn however_much_it_wrote_the_report_is_short() {
    let Some(scene) = Scene::with_docker() else { return };
    let logs: Vec<String> =
        (0..8).map(|line| format!("\"--log\", \"{line} {}\"", "\\u001b".repeat(10_000))).collect();
    let serve = format!("command = [\"serve\", \"--port\", \"7000\", {}]", logs.join(", "));
    let definition = format!(
        "lifecycle = \"shared\"\nimage = \"{}\"\n{serve}\n[interface]\nkind = \"port\"\nport = 7001\n\
         [readiness]\nprobe = \"tcp\"\ntimeout = \"2s\"\n",
        fixture_image()
    );
    scene.define("db", &definition);
    let outcome = scene.up().output().assert_code(125);
    let told = scene.told().one("not-ready").to_string();
    assert!(outcome.stderr().contains("bytes)"), "what was cut is said");
    assert!(told.len() < 100_000, "{} bytes of JSON", told.len());
    assert!(outcome.stderr().len() < 100_000, "{} bytes of text", outcome.stderr().len());
    let longest = outcome.stderr().lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 5_000, "a line of {longest} bytes");
}

#[test]
fn the_signal_that_ended_it_is_named() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    let serve = "command = [\"serve\", \"--port\", \"7000\", \"--after\", \"600000\"]";
    scene.define(
        "db",
        &format!("lifecycle = \"shared\"\nimage = \"{image}\"\n{serve}\n[interface]\nkind = \"port\"\nport = 7000\n"),
    );
    let running = scene.farrier(["up", "--events"]).arg(scene.path("events.jsonl")).spawn();
    wait_until("it was asked", PATIENT, || !scene.told().of("answered").is_empty());
    docker(["kill", &scene.container("db")]);
    let outcome = running.wait().assert_code(125);
    let events = scene.told();
    let state = &events.one("not-ready")["state"];
    assert_eq!((&state["exit_code"], &state["signal"]), (&json!(137), &json!("SIGKILL")), "{outcome}");
    assert!(outcome.stderr().contains("exit code 137 (SIGKILL)"), "{outcome}");
}
