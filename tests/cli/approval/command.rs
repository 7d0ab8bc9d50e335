//! `farrier approve`, and what `plan` and `validate` say of what is not approved.

use super::setup::{PLAIN, approve, declare, detached, hash, json, state, unattended};
use crate::support::{Layer, Scene, assert_output};

#[test]
fn a_hash_approves_what_it_is_of_and_nothing_else() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let (name, right) = (scene.name("db"), hash(&scene));
    let wrong = "0".repeat(64);
    let outcome = unattended(&scene, &["approve", &name, "--hash", &wrong]).output().assert_code(125);
    assert_output!(outcome, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[approval-mismatch]: `db-[TOKEN]` has the hash [ID], not [ID]
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:1
      |
    1 | lifecycle = "shared"
      | ^
      |
      = help: Find out what has changed since you noted the hash; `farrier approve` shows the current definition.
    "#);
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
    let outcome = unattended(&scene, &["approve", "--revoke", &name]).output().assert_code(0);
    let told = outcome.stdout();
    assert!(told.starts_with(&format!("{name}: revoked\n")), "{outcome}");
    assert!(
        told.contains(&format!("it keeps running until you remove it with `farrier down {name}`")),
        "{outcome}"
    );
    assert_eq!(state(&scene)["approved"], false);
}

#[test]
fn revoking_says_that_the_container_runs_on_and_how_to_remove_it() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    super::setup::declare_server(&scene);
    approve(&scene);
    detached(&scene, &["up"]).output().assert_code(0);
    let (name, container) = (scene.name("db"), super::setup::containers(&scene).remove(0));
    let told = detached(&scene, &["approve", "--revoke", &name]).output().assert_code(0).stdout();
    let down = format!(
        "its container {container} still exists (running): remove it with `farrier down {container}`"
    );
    assert_eq!(told, format!("{name}: revoked\n{down}\n"));
    approve(&scene);
    let value = json(&detached(&scene, &["approve", "--revoke", &name, "--format", "json"]).output());
    assert_eq!(value["container"], serde_json::json!({"name": container, "state": "running"}));
    detached(&scene, &["down", &container, "--yes"]).output().assert_code(0);
    approve(&scene);
    let value = json(&detached(&scene, &["approve", "--revoke", &name, "--format", "json"]).output());
    assert_eq!(value, serde_json::json!({"revoked": name, "container": null}));
}

#[test]
fn what_is_back_after_a_change_is_asked_about_again_unless_it_was_kept() {
    let scene = Scene::new().isolated();
    let other = PLAIN.replace("one", "two");
    declare(&scene, PLAIN);
    approve(&scene);
    declare(&scene, &other);
    approve(&scene);
    declare(&scene, PLAIN);
    assert_eq!(state(&scene)["approved"], false, "the approval is of what it changed to");
    assert_eq!(state(&scene)["changes"], serde_json::json!(["env A"]));
    let (name, hash) = (scene.name("db"), hash(&scene));
    unattended(&scene, &["approve", &name, "--hash", &hash, "--keep-earlier"]).output().assert_code(0);
    for toml in [&other, PLAIN] {
        declare(&scene, toml);
        assert_eq!(state(&scene)["approved"], true, "{toml}");
    }
    let third = PLAIN.replace("one", "three");
    declare(&scene, &third);
    approve(&scene);
    declare(&scene, &other);
    assert_eq!(state(&scene)["approved"], false, "a later approval without the option replaces all");
}

#[test]
fn an_older_farrier_s_earlier_approvals_are_not_in_force() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    approve(&scene);
    let file = scene.state_home().join("farrier/approvals.json");
    let mut value: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("approvals")).expect("JSON");
    let mut later = value["approvals"][0].clone();
    later["hash"] = "0".repeat(64).into();
    later["approved_at"] = "2999-01-01T00:00:00.000Z".into();
    value["approvals"].as_array_mut().expect("a list").push(later);
    std::fs::write(&file, value.to_string()).expect("a file");
    assert_eq!(state(&scene)["approved"], false);
}

#[test]
fn suggested_commands_mean_what_they_say_to_a_shell() {
    let scene = Scene::new().isolated();
    let stem = format!("-a 'b' $(touch PWNED); c-{}", scene.token());
    let toml = PLAIN.replace("kind = \"port\"\nport = 5432", "kind = \"none\"").replace("tcp", "skip");
    scene.define_in(Layer::Workspace, &format!("{stem}.toml"), toml);
    let events = scene.path("events.jsonl");
    unattended(&scene, &["up", "--events"]).arg(&events).output().assert_code(125);
    let told = crate::support::Events::read(&events);
    let hints = told.one("problem")["hints"].clone();
    let hint = hints.as_array().expect("hints").iter().filter_map(|hint| hint.as_str());
    let hint = hint.filter(|hint| hint.contains("--hash")).collect::<String>();
    let command =
        hint.split('`').nth(1).expect("a command").replacen("farrier", env!("CARGO_BIN_EXE_farrier"), 1);
    crate::support::Run::program(&scene, "sh").args(["-c", &command]).output().assert_code(0);
    assert_eq!(state(&scene)["approved"], true, "{command}");
    assert!(!scene.workspace().join("PWNED").exists(), "{command}");
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
    super::setup::declare_server(&scene);
    let plan = |words: &[&str]| super::setup::detached(&scene, words).output().assert_code(0);
    let outcome = plan(&["plan"]);
    assert!(outcome.stdout().contains(&format!("{}: needs approval", scene.name("db"))), "{outcome}");
    let value = json(&plan(&["plan", "--format", "json"]));
    assert_eq!(value["sidecars"][0]["needs_approval"], true, "{value:#}");
    approve(&scene);
    assert!(!plan(&["plan"]).stdout().contains("needs approval"));
    let value = json(&plan(&["plan", "--format", "json"]));
    assert_eq!(value["sidecars"][0]["needs_approval"], false, "{value:#}");
}

#[test]
fn validate_suggests_no_approval_where_none_can_be_kept() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let outcome = unattended(&scene, &["validate", "--approvals", "approvals.json"]).output().assert_code(0);
    let told = outcome.stdout();
    assert!(told.contains("warning[approval-required]"), "{outcome}");
    assert!(told.contains("warning[state-unusable]") && !told.contains("farrier approve"), "{outcome}");
    let outcome = unattended(&scene, &["validate"]).output().assert_code(0);
    assert!(outcome.stdout().contains(&format!("farrier approve {}", scene.name("db"))), "{outcome}");
}
