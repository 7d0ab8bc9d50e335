//! What the events say that probes used of their grants.

use serde_json::{Value, json};

use super::setup::Programs;
use crate::support::{Events, fixture_program, free_port};

/// The events `used` of a launch without a harness.
fn used(programs: &Programs, code: i32) -> Vec<Value> {
    let path = programs.scene.path("used.jsonl");
    drop(std::fs::remove_file(&path));
    programs.farrier(["up", "--events"]).arg(&path).output().assert_code(code);
    Events::read(&path).of("used").into_iter().cloned().collect()
}

#[test]
fn each_sidecar_tells_once_what_its_probes_used() {
    let programs = Programs::new();
    let port = free_port();
    programs.serving("api", port, &format!("'--port', '{port}'"));
    let program = fixture_program().display().to_string();
    let waiting = "program = ['sh', '-c', 'echo begun; exec sleep 1000']\n[interface]\nkind = 'none'\n";
    programs.define("log", &format!("{waiting}[readiness]\nprobe = 'log'\nsettings.text = 'begun'\n"));
    programs.define(
        "exec",
        &format!("{waiting}[readiness]\nprobe = 'exec'\ncommand = ['{program}', 'exit', '0']\n"),
    );
    programs.plain("skip", "program = ['sleep', '1000']");
    let told = used(&programs, 0);
    assert_eq!(told.len(), 3, "{told:#?}");
    let of = |stem: &str| {
        let name = programs.scene.name(stem);
        let event = told.iter().find(|event| event["sidecar"] == name.as_str()).expect("an event");
        event["probes"][0].clone()
    };
    let api = of("api");
    assert_eq!(api["probe"], "tcp");
    assert_eq!(api["dialled"][0]["address"], format!("{}:{port}", programs.scene.name("api")));
    assert!(api["dialled"][0]["count"].as_u64().is_some_and(|count| count > 0), "{api}");
    assert_eq!((&api["ran"], &api["log_reads"]), (&json!([]), &0.into()));
    assert!(of("log")["log_reads"].as_u64().is_some_and(|count| count > 0));
    let exec = of("exec");
    assert_eq!(exec["ran"][0]["command"], json!([program, "exit", "0"]).to_string());
    // What the log of this run is known to say is not read again.
    assert_eq!(used(&programs, 0).len(), 2, "a launch that changes nothing polls, too");
}

#[test]
fn a_wait_that_fails_tells_it_too() {
    let programs = Programs::new();
    let port = free_port();
    programs.define(
        "deaf",
        &format!(
            "program = ['sleep', '1000']\n[interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\ntimeout = '1s'\n"
        ),
    );
    let told = used(&programs, 125);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        told[0]["probes"][0]["dialled"][0]["address"],
        format!("{}:{port}", programs.scene.name("deaf"))
    );
}
