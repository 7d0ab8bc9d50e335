//! `farrier approve`, and what `plan` and `validate` say of what is not approved.

use super::desk::{PLAIN, approve, declare, hash, json, state, unattended};
use crate::support::{Layer, Scene};

#[test]
fn a_hash_approves_what_it_is_of_and_nothing_else() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let (name, right) = (scene.name("db"), hash(&scene));
    let wrong = "0".repeat(64);
    let outcome = unattended(&scene, &["approve", &name, "--hash", &wrong]).output().assert_code(125);
    assert!(outcome.stderr().contains("error[approval-mismatch]"), "{outcome}");
    assert!(outcome.stderr().contains(&wrong) && outcome.stderr().contains(&right), "{outcome}");
    assert_eq!(state(&scene)["approved"], false);
    let outcome = unattended(&scene, &["approve", &name, "--hash", &right]).output().assert_code(0);
    assert_eq!((outcome.stdout(), outcome.stderr()), (format!("{name}: approved\n"), String::new()));
    assert_eq!(state(&scene)["approved"], true);
}

#[test]
fn approvals_are_listed_and_revoked() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let name = scene.name("db");
    assert_eq!(unattended(&scene, &["approve", "--list"]).output().stdout(), "nothing is approved\n");
    unattended(&scene, &["approve", "--revoke", &name]).output().assert_code(2);
    approve(&scene);
    let list = json(&unattended(&scene, &["approve", "--list", "--format", "json"]).output().assert_code(0));
    let entry = &list["approvals"][0];
    let workspace = scene.workspace().canonicalize().expect("a workspace");
    assert_eq!(entry["workspace"], workspace.display().to_string());
    assert_eq!((&entry["sidecar"], &entry["hash"]), (&name.as_str().into(), &hash(&scene).into()));
    let outcome = unattended(&scene, &["approve", "--list"]).output().assert_code(0);
    assert!(outcome.stdout().contains(&name), "{outcome}");
    unattended(&scene, &["approve", "--revoke", &name]).output().assert_code(0);
    assert_eq!(state(&scene)["approved"], false);
}

#[test]
fn names_that_need_no_approval_are_said_to() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    scene.define("mine", PLAIN);
    for (words, told) in [
        (vec!["approve".to_owned(), "nobody".to_owned()], "declares no sidecar"),
        (vec!["approve".to_owned(), scene.name("mine")], "needs no approval"),
        (vec!["approve".to_owned(), "--hash".to_owned(), "x".to_owned()], "NAME"),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = unattended(&scene, &words).output().assert_code(2);
        assert!(outcome.stderr().contains(told), "{told}: {outcome}");
    }
}

#[test]
fn an_approval_is_for_one_workspace_whatever_leads_there() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    approve(&scene);
    let link = scene.path("link");
    std::os::unix::fs::symlink(scene.workspace(), &link).expect("a link");
    let linked = unattended(&scene, &["approve", "--format", "json", "--workspace"]).arg(&link);
    linked.output().assert_code(0);
    let copy = scene.path("copy/.farrier/sidecars");
    std::fs::create_dir_all(&copy).expect("a folder");
    let file = format!("{}.toml", scene.name("db"));
    std::fs::copy(scene.layer(Layer::Workspace).join(&file), copy.join(&file)).expect("a copy");
    let copied = unattended(&scene, &["approve", "--format", "json", "--workspace"]).arg(scene.path("copy"));
    copied.output().assert_code(125);
}

#[test]
fn the_suggested_command_carries_the_options_that_were_given() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let file = scene.path("my approvals.json");
    let outcome = unattended(&scene, &["up", "--approvals"]).arg(&file).output().assert_code(125);
    let rest = format!("--hash {} --approvals '{}'", hash(&scene), file.display());
    assert!(outcome.stderr().contains(&rest), "{rest}: {outcome}");
}

#[test]
fn validate_never_asks_and_says_what_it_left_out() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let report = |scene: &Scene| {
        json(&unattended(scene, &["validate", "--format", "json"]).output().assert_code(0))["problems"]
            .clone()
    };
    let problems = report(&scene);
    assert_eq!(problems[0]["code"], "approval-required", "{problems:#}");
    assert_eq!(problems[0]["severity"], "warning", "{problems:#}");
    approve(&scene);
    assert_eq!(report(&scene), serde_json::json!([]));
}

#[test]
fn plan_never_asks_and_shows_what_needs_an_approval() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    super::desk::declare_server(&scene);
    let plan = |words: &[&str]| super::desk::detached(&scene, words).output().assert_code(0);
    let outcome = plan(&["plan"]);
    assert!(outcome.stdout().contains(&format!("{}: needs approval", scene.name("db"))), "{outcome}");
    let value = json(&plan(&["plan", "--format", "json"]));
    assert_eq!(value["sidecars"][0]["needs_approval"], true, "{value:#}");
    approve(&scene);
    assert!(!plan(&["plan"]).stdout().contains("needs approval"));
    let value = json(&plan(&["plan", "--format", "json"]));
    assert_eq!(value["sidecars"][0]["needs_approval"], false, "{value:#}");
}
