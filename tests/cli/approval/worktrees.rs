//! Worktrees of one git repository share their approvals, and nothing that only claims to be one does.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::setup::{PLAIN, approve, declare, unattended};
use crate::support::{Layer, Run, Scene};

/// A definition with a file of variables.
const WITH_FILE: &str =
    "image = \"postgres:16\"\nenv_file = [\"db.env\"]\n[interface]\nkind = \"port\"\nport = 5432\n";

fn git(scene: &Scene, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let run = Run::program(scene, "git").args(identity).args(["-C"]).arg(scene.workspace()).args(words);
    run.output().assert_code(0);
}

/// A repository with `db` approved in its main worktree, and a second worktree with the same files.
fn two_worktrees(scene: &Scene, toml: &str) -> PathBuf {
    declare(scene, toml);
    std::fs::write(scene.layer(Layer::Workspace).join("db.env"), "A=one\n").expect("a file");
    git(scene, &["init", "--quiet"]);
    git(scene, &["add", "--all"]);
    git(scene, &["commit", "--quiet", "--message", "one"]);
    git(scene, &["worktree", "add", "--quiet", "../linked"]);
    approve(scene);
    scene.path("linked")
}

/// What `approve --format json` says of `db` in this folder.
fn state_in(scene: &Scene, folder: &Path) -> Value {
    let outcome = unattended(scene, &["approve", "--format", "json"]).directory(folder).output();
    super::setup::json(&outcome)["sidecars"][0].clone()
}

fn is_approved(scene: &Scene, folder: &Path) -> bool {
    state_in(scene, folder)["approved"] == true
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let layer = |root: &Path| root.join(".farrier/sidecars");
    std::fs::create_dir_all(layer(to)).expect("a folder");
    for entry in std::fs::read_dir(layer(from)).expect("a layer") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, layer(to).join(path.file_name().expect("a name"))).expect("a copy");
    }
}

#[test]
fn the_same_definition_is_one_question_in_all_worktrees() {
    let scene = Scene::new().isolated();
    let linked = two_worktrees(&scene, WITH_FILE);
    assert!(is_approved(&scene, &linked));
    let variables = linked.join(".farrier/sidecars/db.env");
    std::fs::write(&variables, "A=two\n").expect("a file");
    let state = state_in(&scene, &linked);
    assert_eq!(state["approved"], false, "what it binds is another file");
    let hidden = "another value, which farrier does not store";
    assert_eq!(
        state["differences"],
        json!([{"label": "env A", "approved": hidden, "now": "\"two\""}]),
        "only the difference is asked about: {state:#}"
    );
    std::fs::write(&variables, "A=one\n").expect("a file");
    let approve = ["approve", "--revoke", &scene.name("db")];
    unattended(&scene, &approve).directory(&linked).output().assert_code(0);
    assert!(!is_approved(&scene, &scene.workspace()), "revoked in one worktree, revoked in all");
}

#[test]
fn what_one_worktree_launched_stays_approved_when_another_one_changes() {
    let scene = Scene::new().isolated();
    let linked = two_worktrees(&scene, PLAIN);
    // It ends without an engine, after the approvals.
    let up = unattended(&scene, &["up"]).directory(&linked).output().assert_code(125);
    assert!(!up.stderr().contains("approv"), "{up}");
    declare(&scene, &PLAIN.replace("one", "two"));
    approve(&scene);
    assert!(is_approved(&scene, &linked));
}

#[test]
fn a_folder_that_claims_to_be_a_worktree_inherits_nothing() {
    let scene = Scene::new().isolated();
    let linked = two_worktrees(&scene, PLAIN);
    let repository = scene.workspace().canonicalize().expect("a path").join(".git");
    let pointer = std::fs::read_to_string(linked.join(".git")).expect("a file");
    let folder = |name: &str| {
        let folder = scene.path(name);
        copy(&scene.workspace(), &folder);
        folder
    };
    let thief = folder("thief");
    std::fs::write(thief.join(".git"), &pointer).expect("a file");
    let link = folder("link");
    symlink(&repository, link.join(".git")).expect("a link");
    let link_to_file = folder("link-to-file");
    symlink(linked.join(".git"), link_to_file.join(".git")).expect("a link");
    let forged = folder("forged");
    let entry = forged.join("git/worktrees/x");
    std::fs::create_dir_all(&entry).expect("a folder");
    std::fs::write(entry.join("gitdir"), format!("{}\n", forged.join(".git").display())).expect("a file");
    std::fs::write(entry.join("commondir"), format!("{}\n", repository.display())).expect("a file");
    std::fs::write(forged.join(".git"), format!("gitdir: {}\n", entry.display())).expect("a file");
    let common = folder("common");
    std::fs::create_dir_all(common.join(".git")).expect("a folder");
    std::fs::write(common.join(".git/commondir"), format!("{}\n", repository.display())).expect("a file");
    for folder in [thief, link, link_to_file, forged, common] {
        assert!(!is_approved(&scene, &folder), "{}", folder.display());
    }
    assert!(is_approved(&scene, &linked), "the real one does");
}
