//! Approvals of all but some grants: how they are denied, where they are kept, and what a probe then cannot do.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::setup::{declare, hash, json as printed, state, unattended};
use crate::support::{Layer, Scene, free_port};

/// A probe of the workspace that dials its sidecar, with grants of which it needs the first.
fn declare_probe(scene: &Scene, port: u16) {
    let bytes =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("probes/built/tcp.wasm")).expect("a probe");
    let pin: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    scene.define_in(Layer::Workspace, "mine.wasm", bytes);
    declare(
        scene,
        &format!(
            "lifecycle = \"shared\"\nprogram = [\"sleep\", \"1000\"]\n\
             [interface]\nkind = \"port\"\nport = {port}\n\
             [readiness]\nprobe = \"./mine.wasm\"\nsha256 = \"{pin}\"\ntimeout = \"1s\"\n\
             grants = {{ dial = [\"self\", \"self:81\"], logs = true }}\n"
        ),
    );
}

fn approve_without(scene: &Scene, denied: &[&str]) -> crate::support::Outcome {
    let (name, hash) = (scene.name("db"), hash(scene));
    let mut words = vec!["approve", &name, "--hash", &hash];
    words.extend(denied.iter().flat_map(|grant| ["--deny", grant]));
    unattended(scene, &words).output()
}

#[test]
fn denied_grants_are_remembered_with_the_approval_and_a_change_asks_again() {
    let scene = Scene::new().isolated();
    declare_probe(&scene, 7000);
    assert_eq!(state(&scene)["grants"], json!(["dial=self", "dial=self:81", "logs"]));
    let approved = approve_without(&scene, &["logs", "dial=self:81"]).assert_code(0);
    let name = scene.name("db");
    assert_eq!(approved.stdout(), format!("{name}: approved without dial=self:81, logs\n"));
    let found = state(&scene);
    assert_eq!((&found["approved"], &found["denied"]), (&true.into(), &json!(["dial=self:81", "logs"])));
    let list = unattended(&scene, &["approve", "--list"]).output().assert_code(0);
    assert!(list.stdout().ends_with("  without dial=self:81, logs\n"), "{list}");
    let list = printed(&unattended(&scene, &["approve", "--list", "--format", "json"]).output());
    assert_eq!(list["approvals"][0]["denied"], json!(["dial=self:81", "logs"]));
    // Another definition is another question, which says what was denied before.
    declare_probe(&scene, 7001);
    let question = unattended(&scene, &["approve"]).output().assert_code(125);
    let shown = question.stdout().replace("\n  |     ", "");
    assert!(shown.contains("without dial=self:81, logs: "), "{question}");
    assert!(
        shown.contains("To deny single grants, answer `y without GRANT, …`: dial=self, dial=self:81, logs"),
        "{question}"
    );
    // A later approval of all replaces it.
    declare_probe(&scene, 7000);
    approve_without(&scene, &[]).assert_code(0);
    assert_eq!(state(&scene)["denied"], json!([]));
}

/// A later version of farrier may call a grant something else: it meant to deny it.
#[test]
fn a_denial_that_names_no_grant_is_no_approval() {
    let scene = Scene::new().isolated();
    declare_probe(&scene, 7000);
    approve_without(&scene, &["logs"]).assert_code(0);
    let file = scene.state_home().join("farrier/approvals.json");
    let text = fs::read_to_string(&file).expect("approvals");
    assert!(text.contains("\"logs\""), "{text}");
    fs::write(&file, text.replace("\"logs\"", "\"log-lines\"")).expect("written");
    assert_eq!(state(&scene)["approved"], false);
    fs::write(&file, text).expect("written");
    assert_eq!(state(&scene)["approved"], true);
}

#[test]
fn a_lock_that_denies_less_takes_no_denial_back() {
    let scene = Scene::new().isolated();
    declare_probe(&scene, 7000);
    approve_without(&scene, &[]).assert_code(0);
    let lock = scene.path("farrier.lock").display().to_string();
    unattended(&scene, &["approve", "--lock", &lock]).output().assert_code(0);
    approve_without(&scene, &["logs"]).assert_code(0);
    unattended(&scene, &["approve", "--from-lock", &lock]).output().assert_code(0);
    assert_eq!(state(&scene)["denied"], json!(["logs"]));
}

#[test]
fn what_a_probe_cannot_run_without_is_refused_and_so_is_what_is_no_grant() {
    let scene = Scene::new().isolated();
    declare_probe(&scene, 7000);
    for (denied, code, told) in [
        ("dial", "probe-not-granted", "imports farrier:probe/dial@0.1.2, and the approval denies all of it"),
        ("dail", "approval-required", "The grants are dial=self, dial=self:81, logs."),
        ("dial=self:82", "approval-required", "Did you mean `dial=self:81`?"),
    ] {
        let refused = approve_without(&scene, &[denied]);
        assert_ne!(refused.code(), Some(0), "{denied}: {refused}");
        assert!(refused.stderr().contains(&format!("error[{code}]")), "{denied}: {refused}");
        assert!(refused.stderr().contains(told), "{denied}: {refused}");
        assert_eq!(state(&scene)["approved"], false, "{denied}");
    }
    approve_without(&scene, &["logs"]).assert_code(0);
}

#[test]
fn a_probe_runs_without_what_was_denied() {
    let scene = Scene::new().isolated();
    let port = free_port();
    declare_probe(&scene, port);
    approve_without(&scene, &["dial=self"]).assert_code(0);
    let events = scene.path("events.jsonl").display().to_string();
    let up = unattended(&scene, &["up", "--no-prompt", "--events", &events]).output().assert_code(125);
    assert!(up.stderr().contains("it was denied when the definition was approved"), "{up}");
    let text = fs::read_to_string(&events).expect("events");
    assert!(!text.contains("\"event\":\"used\""), "it used nothing: {text}");
    // With the grant, the same probe dials.
    approve_without(&scene, &["logs"]).assert_code(0);
    let up = unattended(&scene, &["up", "--no-prompt", "--events", &events]).output().assert_code(125);
    assert!(up.stderr().contains("connection refused"), "{up}");
    let text = fs::read_to_string(&events).expect("events");
    assert!(text.contains("\"event\":\"used\""), "{text}");
    unattended(&scene, &["down", "--yes", &scene.name("db")]).output().assert_code(0);
}

#[test]
fn a_person_denies_at_the_question() {
    for (typed, approved, denied) in [
        ("y without logs\n", true, json!(["logs"])),
        ("yes without logs, dial=self:81\n", true, json!(["dial=self:81", "logs"])),
        ("y without nothing\n", false, json!([])),
        ("y without dial\n", false, json!([])),
        ("y without\n", false, json!([])),
        ("n without logs\n", false, json!([])),
    ] {
        let scene = Scene::new().isolated();
        declare_probe(&scene, 7000);
        let mut asked = scene.farrier(["approve", "--color", "never"]).spawn_on_terminal(120, 40);
        asked.wait_for_stdout("[y/N] ");
        asked.type_text(typed);
        let outcome = asked.wait();
        let found = state(&scene);
        assert_eq!(
            (&found["approved"], &found["denied"]),
            (&approved.into(), &denied),
            "{typed:?}: {outcome}"
        );
        assert_eq!(outcome.code() == Some(0), approved, "{typed:?}: {outcome}");
    }
}

#[test]
fn a_lock_denies_what_the_approval_denied() {
    let scene = Scene::new().isolated();
    declare_probe(&scene, 7000);
    approve_without(&scene, &["logs"]).assert_code(0);
    let lock = scene.path("farrier.lock").display().to_string();
    unattended(&scene, &["approve", "--lock", &lock]).output().assert_code(0);
    let pinned: Value = serde_json::from_str(&fs::read_to_string(&lock).expect("a lock")).expect("JSON");
    assert_eq!(pinned["approvals"][0]["denied"], json!(["logs"]));
    for before in [
        &["approve", "--revoke", &scene.name("db")][..],
        &["approve", &scene.name("db"), "--hash", &hash(&scene)],
    ] {
        unattended(&scene, before).output().assert_code(0);
        unattended(&scene, &["approve", "--from-lock", &lock]).output().assert_code(0);
        let found = state(&scene);
        assert_eq!((&found["approved"], &found["denied"]), (&true.into(), &json!(["logs"])), "{before:?}");
    }
}
