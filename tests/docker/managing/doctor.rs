//! `farrier doctor`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{PATIENT, Run, Scene, wait_until};

/// The checks that are not well, by name.
fn broken(run: Run) -> Vec<String> {
    let outcome = run.args(["--format", "json"]).output();
    let report: Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    let broken: Vec<&Value> = checks.iter().filter(|check| check["status"] != "ok").collect();
    assert_eq!(outcome.code(), Some(i32::from(!broken.is_empty())), "{outcome}");
    assert_eq!(report["healthy"], broken.is_empty());
    for check in &broken {
        assert!(check["fixes"].as_array().is_some_and(|fixes| !fixes.is_empty()), "{check:#}");
    }
    broken.iter().map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_machine_that_can_launch_is_well() {
    let Some(scene) = Scene::with_docker() else { return };
    let scene = scene.isolated();
    let outcome = scene.farrier(["doctor"]).output().assert_code(0);
    for name in
        ["version", "engine", "clock", "route", "relay", "cache", "state", "approvals", "locks", "layer"]
    {
        assert!(
            outcome.stdout().lines().any(|line| line.starts_with(&format!("OK     {name} "))),
            "{name}: {outcome}"
        );
    }
    assert_eq!(outcome.stdout().lines().filter(|line| !line.starts_with("OK ")).count(), 0, "{outcome}");
}

#[test]
fn everything_that_is_wrong_is_told_with_its_repair() {
    let Some(scene) = Scene::with_docker() else { return };
    let scene = scene.isolated();
    let doctor = || scene.farrier(["doctor"]);
    // A busy engine may take longer for an answer than a doctor waits.
    wait_until("all is well", PATIENT, || broken(doctor()).is_empty());
    scene.define("db", "lifecycle = ");
    assert_eq!(broken(doctor()), ["definitions"]);
    let cache = scene.cache_home().join("farrier");
    std::fs::create_dir(&cache).expect("a folder");
    mode(&cache, 0o777);
    assert_eq!(broken(doctor()), ["cache", "definitions"]);
    let state = scene.state_home().join("farrier");
    std::fs::write(&state, "").expect("a file in its place");
    assert_eq!(broken(doctor()), ["cache", "state", "approvals", "definitions"]);
    std::fs::remove_file(&state).expect("it goes");
    std::fs::create_dir(&state).expect("a folder");
    mode(&state, 0o700);
    let approvals = state.join("approvals.json");
    std::fs::write(&approvals, "{").expect("a file");
    mode(&approvals, 0o600);
    assert_eq!(broken(doctor()), ["cache", "approvals", "definitions"]);
    std::fs::write(&approvals, "{}").expect("a file");
    mode(&approvals, 0o644);
    assert_eq!(broken(doctor()), ["cache", "approvals", "definitions"]);
    mode(&approvals, 0o600);
    mode(&cache, 0o700);
    assert_eq!(broken(doctor()), ["definitions"]);
}

#[test]
fn an_engine_that_is_not_there_or_never_answers_is_told_in_time() {
    let scene = Scene::new();
    // It accepts connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("tcp://{}", silent.local_addr().expect("an address"));
    for address in ["unix:///nonexistent.sock", "ssh://elsewhere", &silent] {
        let run = scene.farrier(["doctor"]).env("DOCKER_HOST", address).timeout(Duration::from_secs(20));
        assert_eq!(broken(run), ["engine"], "{address}");
    }
}
