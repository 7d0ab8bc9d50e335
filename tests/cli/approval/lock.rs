//! A file that pins all approvals, for machines that nobody answers on.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::setup::{PLAIN, approve, hash, json, unattended};
use crate::support::{Layer, Outcome, Scene, assert_output};

/// `db` and a sidecar of a profile, both approved and pinned.
fn pinned(scene: &Scene) -> PathBuf {
    declare(scene, "db", PLAIN);
    declare(scene, "ui", &format!("profiles = [\"debug\"]\n{PLAIN}"));
    let state = json(&unattended(scene, &["approve", "--format", "json"]).output());
    for sidecar in state["sidecars"].as_array().expect("sidecars") {
        let text = |key: &str| sidecar[key].as_str().expect("text").to_owned();
        unattended(scene, &["approve", &text("sidecar"), "--hash", &text("hash")]).output().assert_code(0);
    }
    let lock = scene.path("farrier.lock");
    let outcome = unattended(scene, &["approve", "--lock"]).arg(&lock).output().assert_code(0);
    assert!(outcome.stdout().ends_with("farrier.lock pins 2 hashes\n"), "{outcome}");
    lock
}

fn declare(scene: &Scene, name: &str, toml: &str) {
    scene.define_in(Layer::Workspace, &format!("{}.toml", scene.name(name)), toml);
}

/// `approve` on a machine that knows nothing yet.
fn from_lock(scene: &Scene, machine: &str, lock: &Path) -> Outcome {
    let approvals = scene.path(machine).display().to_string();
    unattended(scene, &["approve", "--approvals", &approvals, "--from-lock"]).arg(lock).output()
}

fn approved(scene: &Scene, machine: &str) -> usize {
    let approvals = scene.path(machine).display().to_string();
    let list = ["approve", "--list", "--format", "json", "--approvals", &approvals];
    json(&unattended(scene, &list).output())["approvals"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_lock_approves_what_it_pins_and_names_what_differs() {
    let scene = Scene::new().isolated();
    let lock = pinned(&scene);
    let text = std::fs::read_to_string(&lock).expect("a lock");
    assert!(text.contains(&hash(&scene)), "{text}");
    from_lock(&scene, "right", &lock).assert_code(0);
    assert_eq!(approved(&scene, "right"), 2);
    let approvals = scene.path("right").display().to_string();
    let up = unattended(&scene, &["up", "--approvals", &approvals]).output().assert_code(125);
    assert!(!up.stderr().contains("approv"), "a launch asks nothing: {up}");

    let (db, ui, new) = (scene.name("db"), scene.name("ui"), scene.name("new"));
    let ui_file = scene.layer(Layer::Workspace).join(format!("{ui}.toml"));
    declare(&scene, "db", &PLAIN.replace("one", "two"));
    declare(&scene, "new", PLAIN);
    std::fs::remove_file(&ui_file).expect("it goes");
    let outcome = from_lock(&scene, "wrong", &lock).assert_code(125);
    for told in [
        format!("`{db}` comes from the workspace with the hash {}, but the lock pins ", hash(&scene)),
        format!("`{new}` comes from the workspace, but the lock does not pin it"),
        format!("the lock pins `{ui}`, but the workspace does not declare it"),
    ] {
        assert!(outcome.stderr().contains(&told), "{told}: {outcome}");
    }
    assert_eq!(outcome.stderr().matches("error[approval-mismatch]").count(), 3, "{outcome}");
    assert_eq!(approved(&scene, "wrong"), 0, "all or nothing");
}

#[test]
fn a_lock_pins_only_what_is_approved_and_replaces_only_locks() {
    let scene = Scene::new().isolated();
    let lock = pinned(&scene);
    let before = std::fs::read_to_string(&lock).expect("a lock");
    super::setup::declare(&scene, &PLAIN.replace("one", "two"));
    let write = |path: &Path| unattended(&scene, &["approve", "--lock"]).arg(path).output();
    let outcome = write(&lock).assert_code(125);
    assert!(outcome.stderr().contains("error[approval-required]"), "{outcome}");
    assert_eq!(std::fs::read_to_string(&lock).expect("a lock"), before);
    approve(&scene);
    write(&lock).assert_code(0);
    assert_ne!(std::fs::read_to_string(&lock).expect("a lock"), before);

    let precious = scene.path("precious");
    std::fs::write(&precious, "text").expect("a file");
    let outcome = write(&precious).assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    db-[TOKEN]: approved
    ui-[TOKEN]: approved
    --- stderr
    error[approval-lock-unusable]: [SCENE]/precious is not an approvals lock file: expected ident at line 1 column 2
     |
     = help: `farrier approve --lock FILE` writes one.
     = help: farrier replaces only locks. Name another file, or remove this one.
    ");
    assert_eq!(std::fs::read_to_string(&precious).expect("kept"), "text");
    write(&scene.path("no/such/folder")).assert_code(125);
}

#[test]
fn a_workspace_does_not_approve_itself_by_a_lock() {
    let scene = Scene::new().isolated();
    let lock = pinned(&scene);
    let inside = scene.workspace().join("farrier.lock");
    std::fs::copy(&lock, &inside).expect("a copy");
    let link = scene.path("link.lock");
    symlink(&inside, &link).expect("a link");
    for path in [inside.as_path(), Path::new("farrier.lock"), &link] {
        let outcome = from_lock(&scene, "fresh", path).assert_code(125);
        assert!(outcome.stderr().contains("is in the workspace"), "{outcome}");
        assert!(outcome.stderr().contains("git show origin/main:FILE"), "a way out: {outcome}");
    }
    assert_eq!(approved(&scene, "fresh"), 0);
    // What somebody passes by hand is theirs.
    let approvals = scene.path("fresh").display().to_string();
    let words = ["approve", "--approvals", &approvals, "--from-lock", "-"];
    let text = std::fs::read_to_string(&lock).expect("a lock");
    unattended(&scene, &words).stdin(text).output().assert_code(0);
    assert_eq!(approved(&scene, "fresh"), 2);

    std::fs::set_permissions(&lock, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("a mode");
    let outcome = from_lock(&scene, "open", &lock).assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[approval-lock-unusable]: another user can write to the lock [SCENE]/farrier.lock
     |
     = help: Copy it to a file of your own, after checking its content.
    ");
}
