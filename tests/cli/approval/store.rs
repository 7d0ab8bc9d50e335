//! The file with the approvals.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::setup::{PLAIN, approve, declare, hash, json, state, unattended};
use crate::support::skipping::say_skipped;
use crate::support::{Layer, Outcome, Run, Scene, assert_output};

fn file(scene: &Scene) -> PathBuf {
    scene.state_home().join("farrier/approvals.json")
}

/// A scene with `db`, approved.
fn approved() -> Scene {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    approve(&scene);
    scene
}

fn refused(scene: &Scene, words: &[&str]) -> Outcome {
    let outcome = unattended(scene, words).output().assert_code(125);
    assert!(outcome.stderr().contains("error[state-unusable]"), "{outcome}");
    outcome
}

#[test]
fn only_the_user_can_read_it() {
    let scene = Scene::new().isolated();
    declare(&scene, &PLAIN.replace("one", "hunter2"));
    approve(&scene);
    let found = std::fs::metadata(file(&scene)).expect("it is there");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file(&scene)).expect("text");
    assert!(!text.contains("hunter2"), "it holds the value of a variable: {text}");
}

#[test]
fn approvals_at_once_lose_none() {
    let scene = Scene::new().isolated();
    let names: Vec<String> = (0..8).map(|number| scene.name(&format!("s{number}"))).collect();
    for name in &names {
        scene.define_in(Layer::Workspace, &format!("{name}.toml"), PLAIN);
    }
    let all = json(&unattended(&scene, &["approve", "--format", "json"]).output());
    let running: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let hash = all["sidecars"][at]["hash"].as_str().expect("a hash");
            unattended(&scene, &["approve", name, "--hash", hash]).spawn()
        })
        .collect();
    for one in running {
        one.wait().assert_code(0);
    }
    let list = json(&unattended(&scene, &["approve", "--list", "--format", "json"]).output().assert_code(0));
    assert_eq!(list["approvals"].as_array().map(Vec::len), Some(names.len()), "{list:#}");
}

#[test]
fn a_damaged_file_is_told_and_kept_aside_at_the_next_approval() {
    for content in
        ["", "{\"format\": \"farrier-appr", "[]", "{\"format\": \"else\", \"version\": 1, \"approvals\": []}"]
    {
        let scene = approved();
        std::fs::write(file(&scene), content).expect("damage");
        let outcome = unattended(&scene, &["up"]).output().assert_code(125);
        assert!(outcome.stderr().contains("is damaged"), "{content:?}: {outcome}");
        assert!(outcome.stderr().contains("error[approval-required]"), "{content:?}: {outcome}");
        assert_eq!(std::fs::read_to_string(file(&scene)).expect("kept"), content);
        let (name, hash) = (scene.name("db"), hash(&scene));
        let outcome = unattended(&scene, &["approve", &name, "--hash", &hash]).output().assert_code(0);
        assert!(outcome.stderr().contains("approvals.json.damaged-"), "{content:?}: {outcome}");
        let aside: Vec<String> = std::fs::read_dir(scene.state_home().join("farrier"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.display().to_string().contains("approvals.json.damaged-"))
            .map(|path| std::fs::read_to_string(path).expect("text"))
            .collect();
        assert_eq!(aside, [content]);
        assert_eq!(state(&scene)["approved"], true);
    }
}

#[test]
fn the_python_launcher_s_file_is_recognised_and_left_alone() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let path = scene.path("approvals.json");
    let workspace = scene.workspace().canonicalize().expect("a workspace");
    let (name, hash) = (scene.name("db"), hash(&scene));
    let content = format!("{{\n  \"{}\": {{\n    \"{name}\": \"{hash}\"\n  }}\n}}\n", workspace.display());
    std::fs::write(&path, &content).expect("a file");
    let path = path.display().to_string();
    for words in [&["up"] as &[&str], &["approve", &name, "--hash", &hash], &["approve", "--list"]] {
        let words: Vec<&str> = words.iter().copied().chain(["--approvals", &path]).collect();
        let outcome = refused(&scene, &words);
        assert!(outcome.stderr().contains("Python launcher"), "{outcome}");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("kept"), content);
}

#[test]
fn a_file_that_others_decide_about_is_refused() {
    let scene = approved();
    let name = scene.name("db");
    let set =
        |mode: u32| std::fs::set_permissions(file(&scene), PermissionsExt::from_mode(mode)).expect("a mode");
    for mode in [0o666, 0o620, 0o602] {
        set(mode);
        refused(&scene, &["up"]);
        refused(&scene, &["approve", "--revoke", &name]);
    }
    set(0o644);
    assert_eq!(state(&scene)["approved"], true, "reading it is harmless");

    let open = scene.path("open");
    std::fs::create_dir(&open).expect("a folder");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("a mode");
    let path = open.join("approvals.json").display().to_string();
    assert!(refused(&scene, &["up", "--approvals", &path]).stderr().contains("anyone"));

    let link = scene.path("link.json");
    symlink(file(&scene), &link).expect("a link");
    let outcome = refused(&scene, &["up", "--approvals", &link.display().to_string()]);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/link.json is a symlink
     |
     = help: Name the file that it leads to with `--approvals`.
    ");

    let later = scene.path("later.json");
    std::fs::write(&later, "{\"format\": \"farrier-approvals\", \"version\": 2, \"keys\": []}")
        .expect("a file");
    let outcome = refused(&scene, &["up", "--approvals", &later.display().to_string()]);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/later.json has version 2, written by a later version of farrier
     |
     = help: Use that farrier, or name another file with `--approvals`.
    ");
    refused(&scene, &["up", "--approvals", &open.display().to_string()]);
}

#[test]
fn the_workspace_cannot_hold_it() {
    let scene = approved();
    let inside = scene.workspace().join("approvals.json");
    std::fs::copy(file(&scene), &inside).expect("a copy");
    let link = scene.path("linked");
    symlink(scene.workspace(), &link).expect("a link");
    for path in [
        inside.clone(),
        PathBuf::from("approvals.json"),
        PathBuf::from("new/folder/approvals.json"),
        link.join("approvals.json"),
        scene.path("none/../workspace/approvals.json"),
    ] {
        refused(&scene, &["up", "--approvals", &path.display().to_string()]);
    }
    assert!(!scene.workspace().join("new").exists());
    let other = scene.path("other");
    std::fs::create_dir_all(other.join(".git")).expect("a checkout");
    refused(&scene, &["up", "--approvals", &other.join("approvals.json").display().to_string()]);
}

#[test]
fn a_lock_that_is_no_file_or_is_never_given_back_ends_in_a_message() {
    let scene = approved();
    let name = scene.name("db");
    let lock = scene.state_home().join("farrier/approvals.json.lock");
    let held = std::fs::File::open(&lock).expect("the lock");
    held.lock().expect("it is free");
    let outcome = refused(&scene, &["approve", "--revoke", &name]);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/state/farrier/approvals.json cannot be locked: [SCENE]/state/farrier/approvals.json.lock has been held by another process for 10s
     |
     = help: Find that process with `fuser -v [SCENE]/state/farrier/approvals.json.lock`, and run farrier again.
    ");
    drop(held);

    std::fs::remove_file(&lock).expect("it goes");
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RWXU).expect("a pipe");
    let outcome = refused(&scene, &["approve", "--revoke", &name]);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/state/farrier/approvals.json cannot be locked: [SCENE]/state/farrier/approvals.json.lock is not a regular file
     |
     = help: Remove it with `rm [SCENE]/state/farrier/approvals.json.lock`, and run farrier again.
    ");
    assert!(outcome.stderr().contains("`rm /") && !outcome.stderr().contains("disk"), "{outcome}");
    // Also where somebody reads the pipe.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&lock).expect("a pipe");
    let outcome = refused(&scene, &["approve", "--revoke", &name]);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: the approvals file [SCENE]/state/farrier/approvals.json cannot be locked: [SCENE]/state/farrier/approvals.json.lock is not a regular file
     |
     = help: Remove it with `rm [SCENE]/state/farrier/approvals.json.lock`, and run farrier again.
    ");
    drop(reader);

    std::fs::remove_file(&lock).expect("it goes");
    scene.farrier(["approve", "--revoke", &name]).output().assert_code(0);
}

#[test]
fn nobody_is_asked_for_an_answer_that_cannot_be_kept() {
    let scene = approved();
    declare(&scene, &PLAIN.replace("one", "two"));
    let lock = scene.state_home().join("farrier/approvals.json.lock");
    std::fs::remove_file(&lock).expect("it goes");
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RWXU).expect("a pipe");
    let asking = scene.farrier(["approve", "--color", "never"]).spawn_on_terminal(120, 40);
    let outcome = asking.wait().assert_code(125);
    assert!(!outcome.stdout().contains("[y/N]"), "{outcome}");
}

#[test]
fn a_folder_that_another_group_or_user_may_change_is_refused() {
    if !rustix::process::geteuid().is_root() {
        say_skipped("only root can give a folder to others");
        return;
    }
    let scene = approved();
    let folder = scene.path("shared");
    std::fs::create_dir_all(folder.join("inner")).expect("folders");
    let path = folder.join("inner/approvals.json").display().to_string();
    // Owner, group, mode, and who can replace approvals in it.
    for (owner, group, mode, whose) in [
        (0, 54_321, 0o775, Some("group 54321")),
        (54_321, 0, 0o755, Some("user 54321")),
        (0, 54_321, 0o755, None),
        (0, 54_321, 0o1775, None),
        (0, 0, 0o775, None),
    ] {
        std::os::unix::fs::chown(&folder, Some(owner), Some(group)).expect("given away");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).expect("a mode");
        let outcome = unattended(&scene, &["up", "--approvals", &path]).output();
        let told = outcome.stderr();
        match whose {
            Some(whose) => assert!(told.contains(&format!("{whose} can replace")), "{mode:o}: {outcome}"),
            None => assert!(!told.contains("can replace"), "{mode:o}: {outcome}"),
        }
    }

    // A primary group may be everybody's.
    std::os::unix::fs::chown(&folder, Some(0), Some(54_321)).expect("given away");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o775)).expect("a mode");
    let setpriv = Run::program(&scene, "setpriv").args(["--regid", "54321", "--clear-groups"]);
    let up = setpriv.args([env!("CARGO_BIN_EXE_farrier"), "up", "--no-prompt", "--approvals", &path]);
    let outcome = up.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[state-unusable]: group 54321 can replace the approvals in [SCENE]/shared
     |
     = help: Run `chmod g-w [SCENE]/shared`.
     = help: With `--approvals`, name a file of your own outside any workspace.
    ");
}
