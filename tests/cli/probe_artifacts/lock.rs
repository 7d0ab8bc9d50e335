//! `probes.lock` in the hands of whoever controls a workspace: it pins digests beside its definitions, and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;

use super::setup::{Published, Scenery, definition, other, ready};
use crate::support::http::Server;
use crate::support::{Layer, assert_output};

/// An honest registry with both probes, and their pins.
fn registry() -> (Server, Vec<(String, String)>) {
    let mut published = Published::default();
    let pins = [("1", ready()), ("2", other())].map(|(tag, component)| {
        let sha256 = super::setup::digest(&component).trim_start_matches("sha256:").to_owned();
        (published.publish("acme/x", tag, &component), sha256)
    });
    (Server::start(move |request| published.answer(request)), pins.to_vec())
}

fn lock(reference: &str, (digest, sha256): &(String, String)) -> String {
    format!(
        "version = 1\n\n[[probe]]\nreference = \"{reference}\"\ndigest = \"{digest}\"\nsha256 = \"{sha256}\"\n"
    )
}

#[test]
fn a_lock_that_cannot_be_used_is_told_and_no_registry_is_asked() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let (registry, pins) = registry();
    let reference = format!("oci://{}/acme/x:1", registry.address);
    scene.define_in(Layer::Workspace, "db.toml", definition(&reference, ""));
    let path = scene.layer(Layer::Workspace).join("probes.lock");
    let honest = lock(&reference, &pins[0]);
    let refused = |code: &str, text: &str| {
        for command in [&["validate"][..], &["probe", "pull"], &["up"], &["approve", "--format", "json"]] {
            let outcome = scenery.farrier(command).output();
            let told = format!("{}{}", outcome.stdout(), outcome.stderr());
            assert!(
                outcome.code() != Some(0) && told.contains(code) && told.contains(text),
                "{text}: {outcome}"
            );
        }
        assert_eq!(registry.requests().len(), 0, "{text}");
    };
    for (text, why) in [
        ("version = 2\n".to_owned(), "version 2"),
        ("not TOML".to_owned(), "cannot be used"),
        (honest.replace("version = 1", "version = 1\nregistry = \"evil.test\""), "unknown field"),
        (honest.replace(&pins[0].1, "../../../../etc/passwd"), "is not a digest"),
        (honest.replace(&pins[0].0, "sha256:../../x"), "is not a digest"),
        (honest.replace(&reference, "oci://169.254.169.254/x:1"), "link-local"),
        (format!("# {}\n{honest}", "x".repeat(1 << 20)), "larger than 1 MiB"),
    ] {
        fs::write(&path, text).expect("a lock");
        refused("probe-lock-unusable", why);
    }
    // What lies outside of the workspace is neither read nor quoted.
    let secret = scene.path("secret");
    fs::write(&secret, "hunter2 = 1\n").expect("a file");
    fs::remove_file(&path).expect("removed");
    symlink(&secret, &path).expect("a link");
    refused("probe-lock-unusable", "leads out of the workspace");
    assert!(!scenery.farrier(&["validate"]).output().stdout().contains("hunter2"));
    fs::remove_file(&path).expect("removed");
    mkfifoat(CWD, &path, Mode::RUSR).expect("a pipe");
    refused("probe-lock-unusable", "not a regular file");
    fs::remove_file(&path).expect("removed");
    refused("probe-unpinned", "is not pinned");
    // A pin for another registry is a pin for nothing that the definitions name.
    fs::write(&path, lock("oci://evil.test/acme/x:1", &pins[0])).expect("a lock");
    refused("probe-unpinned", "is not pinned");
}

#[test]
fn a_folder_that_is_replaced_while_a_registry_answers_changes_no_other_lock() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let mut published = Published::default();
    published.publish("acme/x", "1", &ready());
    let (folder, trusted) = (scene.layer(Layer::Workspace), scene.layer(Layer::User));
    fs::create_dir_all(&trusted).expect("a folder");
    fs::write(trusted.join("probes.lock"), "version = 1\n").expect("a lock");
    let (replaced, target) = (folder.clone(), trusted.clone());
    let registry = Server::start(move |request| {
        if !replaced.is_symlink() {
            fs::rename(&replaced, replaced.with_extension("moved")).expect("moved");
            symlink(&target, &replaced).expect("a link");
        }
        published.answer(request)
    });
    let reference = format!("oci://{}/acme/x:1", registry.address);
    scene.define_in(Layer::Workspace, "db.toml", definition(&reference, ""));
    scenery.farrier(&["probe", "pin"]).output().assert_code(0);
    assert_eq!(fs::read_to_string(trusted.join("probes.lock")).expect("the lock"), "version = 1\n");
    let pinned = fs::read_to_string(folder.with_extension("moved").join("probes.lock")).expect("the lock");
    assert!(pinned.contains(&reference), "{pinned}");
    let left: Vec<_> = fs::read_dir(folder.with_extension("moved")).expect("the folder").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_a_lock_pins_is_what_is_asked_about_and_another_pin_asks_again() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let (registry, pins) = registry();
    let reference = format!("oci://{}/acme/x:1", registry.address);
    let lines = "grants = { logs = true }\n";
    scene.define_in(Layer::Workspace, "db.toml", definition(&reference, lines));
    let path = scene.layer(Layer::Workspace).join("probes.lock");
    fs::write(&path, lock(&reference, &pins[0])).expect("a lock");

    // No command but `probe pull` contacts a registry that a workspace names.
    let up = scenery.farrier(&["up"]).output().assert_code(125);
    assert_output!(up, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[probe-not-pulled]: the probe `oci://127.0.0.1:[PORT]/acme/x:1` is not in the cache
     --> [SCENE]/workspace/.farrier/sidecars/db.toml:6:9
      |
    6 | probe = "oci://127.0.0.1:[PORT]/acme/x:1"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Run `farrier probe pull`, which downloads it from 127.0.0.1:[PORT]; nothing else contacts that registry.
      = help: Without a network, copy the component beside the definition and name the file: `probe = "./x.wasm"`.
    "#);
    assert_eq!(registry.requests().len(), 0);
    scenery.farrier(&["probe", "pull"]).output().assert_code(0);
    let asked = registry.requests().len();

    let state = || -> Value {
        let outcome = scenery.farrier(&["approve", "--format", "json"]).output();
        serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"))
    };
    let hash = |state: &Value| state["sidecars"][0]["hash"].as_str().expect("a hash").to_owned();
    let first = state();
    assert!(first.to_string().contains(&pins[0].1), "the question names the component: {first:#}");
    scenery.farrier(&["approve", "db", "--hash", &hash(&first)]).output().assert_code(0);
    let up = scenery.farrier(&["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-unreachable]: cannot inspect `example`: No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    ");

    // Another component, of the same registry and repository.
    fs::write(&path, lock(&reference, &pins[1])).expect("a lock");
    scenery.farrier(&["probe", "pull"]).output().assert_code(0);
    assert_ne!(hash(&state()), hash(&first));
    let up = scenery.farrier(&["up"]).output().assert_code(125);
    assert_output!(up, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `db` comes from the workspace, and it has changed since you approved it: readiness: probe
     --> [SCENE]/workspace/.farrier/sidecars/db.toml:1:1
      |
    1 | lifecycle = "shared"
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve db`.
      = help: If you have already reviewed it: `farrier approve db --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    "#);

    // Two digests that do not belong together: the component decides, and the registry has another one under the manifest.
    fs::write(&path, lock(&reference, &(pins[1].0.clone(), pins[0].1.clone()))).expect("a lock");
    assert_eq!(hash(&state()), hash(&first), "these bytes were approved");
    fs::remove_dir_all(scene.cache_home().join("farrier/probes")).expect("removed");
    let pulled = scenery.farrier(&["probe", "pull"]).output().assert_code(2);
    assert_output!(pulled, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[probe-pin-mismatch]: `oci://127.0.0.1:[PORT]/acme/x:1@[ID]` is the component [ID], but probes.lock pins [ID] with it
     --> [SCENE]/workspace/.farrier/sidecars/db.toml:6:9
      |
    6 | probe = "oci://127.0.0.1:[PORT]/acme/x:1"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Find out which of the two digests is right, and correct the other.
    "#);

    // Bytes in the cache under a digest that is not theirs are not run.
    fs::write(&path, lock(&reference, &pins[0])).expect("a lock");
    scenery.farrier(&["probe", "pull"]).output().assert_code(0);
    let cached = scene.cache_home().join("farrier/probes").join(format!("{}.wasm", pins[0].1));
    fs::write(&cached, other()).expect("written");
    let told = scenery.farrier(&["validate"]).output().assert_code(125).stdout();
    assert!(told.contains("error[probe-not-pulled]") && told.contains("damaged"), "{told}");
    scenery.farrier(&["probe", "pull"]).output().assert_code(0);
    assert_eq!(fs::read(&cached).expect("a component"), ready());
    assert!(registry.requests().len() > asked);
}

#[test]
fn a_lock_is_written_in_place_of_a_link_and_not_through_it() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let (registry, _) = registry();
    let reference = format!("oci://{}/acme/x:1", registry.address);
    scene.define_in(Layer::Workspace, "db.toml", definition(&reference, ""));
    let folder = scene.layer(Layer::Workspace);
    let target = scene.workspace().join("target.lock");
    fs::write(&target, "version = 1\n").expect("a file");
    symlink("../../target.lock", folder.join("probes.lock")).expect("a link");
    scenery.farrier(&["probe", "pin"]).output().assert_code(0);
    assert_eq!(fs::read_to_string(&target).expect("a file"), "version = 1\n");
    let written = fs::symlink_metadata(folder.join("probes.lock")).expect("a lock");
    assert!(written.is_file() && written.permissions().mode() & 0o444 == 0o444, "{written:?}");
    let names: Vec<_> =
        fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_trusted_lock_that_anyone_can_write_to_is_refused() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let (registry, pins) = registry();
    let reference = format!("oci://{}/acme/x:1", registry.address);
    scenery.define("db", &reference);
    let path = scene.layer(Layer::User).join("probes.lock");
    fs::write(&path, lock(&reference, &pins[0])).expect("a lock");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    let told = scenery.farrier(&["validate"]).output().assert_code(2).stdout();
    assert!(told.contains("error[probe-lock-unusable]") && told.contains("anyone on this machine"), "{told}");
    assert_eq!(registry.requests().len(), 0);
}
