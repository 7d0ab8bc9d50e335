//! That the workspace disables a trusted sidecar: shown, and approved as everything of a workspace is.

use super::setup::{PLAIN, json, unattended};
use crate::support::{Layer, Scene, assert_output};

/// A user's `db`, which the workspace disables.
fn disabled() -> Scene {
    let scene = Scene::new();
    let file = format!("{}.toml", scene.name("db"));
    scene.define_in(Layer::User, &file, PLAIN);
    scene.define_in(Layer::Workspace, &file, "disable = true\n");
    scene
}

#[test]
fn nothing_starts_without_a_disabled_sidecar_before_that_is_approved() {
    let scene = disabled();
    let name = scene.name("db");
    for words in [&["up"][..], &["launch", "--", "true"]] {
        let outcome = unattended(&scene, words).output().assert_code(125);
        assert!(outcome.stderr().contains("error[approval-required]"), "{words:?}: {outcome}");
        assert!(
            outcome.stderr().contains(&format!("the workspace disables `{name}`")),
            "{words:?}: {outcome}"
        );
    }
    unattended(&scene, &["launch", "--no-workspace", "--", "true"]).output().assert_code(125);

    let outcome = unattended(&scene, &["approve", "--format", "json"]).output().assert_code(125);
    let asked = json(&outcome)["sidecars"][0].clone();
    assert_eq!(asked["disables"], true, "{outcome}");
    assert!(asked["statement"].to_string().contains("of the user layer"), "{outcome}");
    let hash = asked["hash"].as_str().expect("a hash");
    unattended(&scene, &["approve", &name, "--hash", hash]).output().assert_code(0);

    let outcome = unattended(&scene, &["launch", "--", "true"]).output().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    --- stderr
    warning[workspace-override]: the workspace disables `db-[TOKEN]`, which the user layer declares in [SCENE]/config/farrier/sidecars/db-[TOKEN].toml
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:11
      |
    1 | disable = true
      |           ^^^^
      |
      = help: Remove this file to start it again, or write `required = true` into the trusted definition: the workspace then cannot disable it.
    ");
    unattended(&scene, &["approve", "--revoke", &name]).output().assert_code(0);
    unattended(&scene, &["launch", "--", "true"]).output().assert_code(125);
}

#[test]
fn plan_and_validate_show_what_is_disabled() {
    let scene = disabled();
    let name = scene.name("db");
    let outcome = unattended(&scene, &["validate"]).output().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    warning[workspace-override]: the workspace disables `db-[TOKEN]`, which the user layer declares in [SCENE]/config/farrier/sidecars/db-[TOKEN].toml
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:11
      |
    1 | disable = true
      |           ^^^^
      |
      = help: Remove this file to start it again, or write `required = true` into the trusted definition: the workspace then cannot disable it.

    warning[approval-required]: the workspace disables `db-[TOKEN]`, which is not approved: a launch asks for approval first
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:11
      |
    1 | disable = true
      |           ^^^^
      |
      = help: Review it and answer: `farrier approve db-[TOKEN]`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (1 file)
    0 sidecars, 0 errors, 2 warnings
    --- stderr
    ");
    let outcome = unattended(&scene, &["plan"]).output().assert_code(0);
    let line = format!("{name}: not started, because the workspace disables the user layer's");
    assert!(outcome.stdout().contains(&line) && outcome.stdout().contains("needs approval"), "{outcome}");
    let plan = json(&unattended(&scene, &["plan", "--format", "json"]).output().assert_code(0));
    assert_eq!(plan["disabled"][0]["sidecar"], name.as_str(), "{plan:#}");
    assert_eq!(plan["disabled"][0]["needs_approval"], true, "{plan:#}");
}

#[test]
fn an_approval_to_disable_one_layers_sidecar_is_not_for_anothers() {
    let scene = disabled();
    let name = scene.name("db");
    let asked = json(&unattended(&scene, &["approve", "--format", "json"]).output())["sidecars"][0].clone();
    unattended(&scene, &["approve", &name, "--hash", asked["hash"].as_str().expect("a hash")])
        .output()
        .assert_code(0);
    let org = scene.layer(Layer::Org);
    scene.define_in(Layer::Org, &format!("{name}.toml"), PLAIN);
    let run = unattended(&scene, &["launch", "--org-dir"]).arg(org).args(["--", "true"]);
    let outcome = run.output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    warning[workspace-override]: the workspace disables `db-[TOKEN]`, which the org layer declares in [SCENE]/org/db-[TOKEN].toml
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:11
      |
    1 | disable = true
      |           ^^^^
      |
      = help: Remove this file to start it again, or write `required = true` into the trusted definition: the workspace then cannot disable it.
    error[approval-required]: the workspace disables `db-[TOKEN]`, and it has changed since you approved it: disables
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:11
      |
    1 | disable = true
      |           ^^^^
      |
      = help: Review it and answer on a terminal: `farrier approve db-[TOKEN] --org-dir [SCENE]/org`.
      = help: If you have already reviewed it: `farrier approve db-[TOKEN] --hash [ID] --org-dir [SCENE]/org`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    ");
}
