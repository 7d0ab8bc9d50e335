//! What is being worked on is not trusted, by whatever name it is reached.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::setup::{PLAIN, json, unattended};
use crate::support::{Run, Scene, assert_output};

/// Writes a definition into this folder.
fn declare_in(scene: &Scene, folder: &str) -> PathBuf {
    let folder = scene.path(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{}.toml", scene.name("db"))), PLAIN).expect("a definition");
    folder
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

/// The layer that what this option names counts for.
fn counts_for(run: Run, given_as: &str) -> String {
    let value = json(&run.output());
    let layers = value["layers"].as_array().expect("layers");
    let found = layers.iter().find(|layer| layer["given_as"] == given_as && layer["present"] == true);
    found.and_then(|layer| layer["layer"].as_str()).map_or_else(|| panic!("{value:#}"), str::to_owned)
}

fn validate(scene: &Scene, options: &[&str]) -> Run {
    unattended(scene, &["validate", "--format", "json"]).args(options)
}

#[test]
fn a_layer_in_another_worktree_of_the_repository_is_the_workspace_s() {
    let scene = Scene::new().isolated();
    let (main, linked) = (scene.workspace(), scene.path("linked"));
    write(&main.join(".git/worktrees/linked/gitdir"), &format!("{}\n", linked.join(".git").display()));
    write(&main.join(".git/worktrees/linked/commondir"), "../..\n");
    write(&linked.join(".git"), &format!("gitdir: {}\n", main.join(".git/worktrees/linked").display()));
    let other = declare_in(&scene, "linked/tongs").display().to_string();
    assert_eq!(counts_for(validate(&scene, &["--repo-dir", &other]), "repo"), "workspace");
    let back = declare_in(&scene, "workspace/tongs").display().to_string();
    let run = validate(&scene, &["--repo-dir", &back]).directory(&linked);
    assert_eq!(counts_for(run, "repo"), "workspace");
    let elsewhere = declare_in(&scene, "elsewhere/tongs").display().to_string();
    assert_eq!(counts_for(validate(&scene, &["--repo-dir", &elsewhere]), "repo"), "repo");
}

#[test]
fn the_user_s_layer_in_a_home_that_is_the_checkout_is_the_workspace_s() {
    let scene = Scene::new().isolated();
    declare_in(&scene, "home/.config/farrier/sidecars");
    let run = |directory: &Path| {
        validate(&scene, &[]).env("XDG_CONFIG_HOME", scene.home().join(".config")).directory(directory)
    };
    assert_eq!(counts_for(run(&scene.home()), "user"), "user", "it is no checkout");
    std::fs::create_dir_all(scene.home().join(".git")).expect("a folder");
    assert_eq!(counts_for(run(&scene.home()), "user"), "workspace");
    let inner = scene.home().join("project");
    std::fs::create_dir_all(inner.join(".git")).expect("a folder");
    assert_eq!(counts_for(run(&inner), "user"), "user", "a checkout of its own is worked on");

    // Approvals that such a checkout brings along are none.
    let up = unattended(&scene, &["up"])
        .env("XDG_CONFIG_HOME", scene.home().join(".config"))
        .env("XDG_STATE_HOME", scene.home().join(".local/state"));
    let outcome = up.directory(scene.home()).output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/home/.local/state/farrier/approvals.json is in the workspace [SCENE]/home, to which its approvals apply
     |
     = help: With `--approvals`, name a file of your own outside any workspace.
     = help: Or add `--no-workspace`, if that whole checkout is your own configuration.
    ");
    let shown = unattended(&scene, &["validate"])
        .env("XDG_CONFIG_HOME", scene.home().join(".config"))
        .env("XDG_STATE_HOME", scene.home().join(".local/state"));
    let shown = shown.directory(scene.home()).output().assert_code(0);
    assert_output!(shown, @r#"
    exit code 0
    --- stdout
    warning[state-unusable]: the approvals file [SCENE]/home/.local/state/farrier/approvals.json is in the workspace [SCENE]/home, to which its approvals apply
     |
     = help: With `--approvals`, name a file of your own outside any workspace.
     = help: Or add `--no-workspace`, if that whole checkout is your own configuration.

    warning[approval-required]: `db-[TOKEN]` comes from the workspace and is not approved: a launch asks for approval first
     --> [SCENE]/home/.config/farrier/sidecars/db-[TOKEN].toml:1:1
      |
    1 | lifecycle = "shared"
      | ^

    layer workspace [SCENE]/home/.config/farrier/sidecars (1 file, given as user but inside the workspace)
    1 sidecar, 0 errors, 2 warnings
    --- stderr
    "#);
    assert!(!shown.stdout().contains("farrier approve"), "which would fail: {shown}");
}

#[test]
fn a_layer_named_by_a_relative_path_where_there_is_no_checkout_is_the_workspace_s() {
    let scene = Scene::new().isolated();
    let inside = declare_in(&scene, "plain/tongs").display().to_string();
    let beside = declare_in(&scene, "beside/tongs").display().to_string();
    let run = |named: &str| validate(&scene, &["--repo-dir", named]).directory(scene.path("plain"));
    for (named, layer) in
        [("tongs", "workspace"), (&inside, "workspace"), ("../beside/tongs", "workspace"), (&beside, "repo")]
    {
        assert_eq!(counts_for(run(named), "repo"), layer, "{named}");
    }
    let deep = run("../plain/tongs/../tongs");
    assert_eq!(counts_for(deep, "repo"), "workspace");
}

/// farrier where this command of a shell was run before, by a root who may mount.
fn mounted(scene: &Scene, command: &str, options: &[&str]) -> Option<Value> {
    let script = format!("{command} && exec \"$0\" \"$@\"");
    let run =
        Run::program(scene, "unshare").args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_farrier")).args(["validate", "--format", "json"]).args(options);
    let outcome = outcome.output();
    if outcome.stdout().is_empty() {
        crate::support::skipping::say_skipped(&format!(
            "bind mounts, which this machine does not allow: {outcome}"
        ));
        return None;
    }
    Some(json(&outcome))
}

#[test]
fn the_workspace_mounted_in_another_place_is_still_the_workspace() {
    let scene = Scene::new().isolated();
    let tongs = declare_in(&scene, "workspace/my tongs");
    let file = tongs.join(format!("{}.toml", scene.name("db")));
    let quoted = |path: &Path| shlex::try_quote(&path.to_string_lossy()).expect("a path").into_owned();
    for (what, source, point, named) in [
        ("all of it", scene.workspace(), "mnt", "mnt/my tongs"),
        ("a part of it", tongs.clone(), "mnt", "mnt"),
        ("one file", file, "mnt/one.toml", "mnt"),
    ] {
        let (point, named) = (scene.path(point), scene.path(named));
        std::fs::create_dir_all(scene.path("mnt")).expect("a folder");
        if what == "one file" {
            std::fs::write(&point, "").expect("a file to mount over");
        }
        let mount = format!("mount --bind {} {}", quoted(&source), quoted(&point));
        let Some(value) = mounted(&scene, &mount, &["--repo-dir", &named.to_string_lossy()]) else { return };
        let problems = value["problems"].as_array().expect("problems");
        let asked = problems.iter().filter(|problem| problem["code"] == "approval-required").count();
        assert_eq!((asked, value["valid"].as_bool()), (1, Some(true)), "{what}: {value:#}");
    }
}

#[test]
fn a_folder_mounted_in_the_workspace_is_the_workspace_s_wherever_it_is() {
    let scene = Scene::new().isolated();
    let source = declare_in(&scene, "outside/tongs");
    let inside = scene.workspace().join("inside");
    std::fs::create_dir_all(&inside).expect("a folder");
    std::fs::create_dir_all(scene.path("mnt")).expect("a folder");
    let quoted = |path: &Path| shlex::try_quote(&path.to_string_lossy()).expect("a path").into_owned();
    let (outside, point, tongs) = (quoted(&scene.path("outside")), quoted(&inside), quoted(&source));
    let bound = format!("mount --bind {outside} {point}");
    let in_memory = format!(
        "mount -t tmpfs none {point} && cp -R {tongs} {point} && mount --bind {point}/tongs {}",
        quoted(&scene.path("mnt"))
    );
    for (what, mount, named) in
        [("a folder", &bound, source.clone()), ("a file system", &in_memory, scene.path("mnt"))]
    {
        let Some(value) = mounted(&scene, mount, &["--repo-dir", &named.to_string_lossy()]) else { return };
        let problems = value["problems"].as_array().expect("problems");
        let asked = problems.iter().filter(|problem| problem["code"] == "approval-required").count();
        assert_eq!((asked, value["valid"].as_bool()), (1, Some(true)), "{what}: {value:#}");
    }
}
