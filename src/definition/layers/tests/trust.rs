//! Which layer a file counts for, and what is not read at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{GOOD, World, codes, names};
use crate::definition::layers::{LayerDirectories, load};
use crate::definition::model::Layer;
use crate::report::error::Code;
use crate::report::snippet::render;

#[test]
fn trust_follows_location() {
    let world = World::new(&[
        ("ws/tongs/a.toml", GOOD),
        ("ws/.farrier/sidecars/b.toml", GOOD),
        ("ws/elsewhere/c.toml", GOOD),
        ("org/d.toml", GOOD),
    ]);
    symlink(world.path("ws/tongs"), world.path("user")).expect("a symlink");
    symlink(world.path("ws/elsewhere/c.toml"), world.path("org/c.toml")).expect("a symlink");
    let directories =
        LayerDirectories { repo: Some(world.path("ws/.farrier/sidecars")), ..world.directories() };
    let loaded = load(&directories);
    assert_eq!(loaded.problems, []);
    assert_eq!(
        names(&loaded),
        [("a", Layer::Workspace), ("b", Layer::Workspace), ("c", Layer::Workspace), ("d", Layer::Org),]
    );
    let layers: Vec<_> = loaded.layers.iter().map(|layer| (layer.given_as, layer.layer)).collect();
    assert_eq!(
        layers,
        [
            (Layer::User, Layer::Workspace),
            (Layer::Org, Layer::Org),
            (Layer::Repo, Layer::Workspace),
            (Layer::Workspace, Layer::Workspace),
        ]
    );
}

#[test]
fn nothing_outside_the_workspace_is_quoted() {
    let world = World::new(&[("secret.toml", "password = 'hunter2'"), ("ws/inside.toml", GOOD)]);
    let folder = world.path("ws/.farrier/sidecars");
    fs::create_dir_all(&folder).expect("a folder");
    symlink("../../../secret.toml", folder.join("relative.toml")).expect("a symlink");
    symlink(world.path("secret.toml"), folder.join("absolute.toml")).expect("a symlink");
    symlink(world.path("ws/inside.toml"), folder.join("fine.toml")).expect("a symlink");
    symlink("../../inside.toml", folder.join("good.toml")).expect("a symlink");
    symlink("/dev/zero", folder.join("zero.toml")).expect("a symlink");
    let loaded = world.load();
    assert_eq!(codes(&loaded.problems), [Code::OutsideWorkspace; 3]);
    assert_eq!(names(&loaded), [("fine", Layer::Workspace), ("good", Layer::Workspace)]);
    for problem in &loaded.problems {
        let shown = render(problem, false, 200);
        assert!(!shown.contains("hunter2") && !shown.contains("password"), "{shown}");
    }

    fs::rename(&folder, world.path("taken")).expect("a move");
    symlink(world.path("taken"), &folder).expect("a symlink");
    let loaded = world.load();
    assert_eq!(codes(&loaded.problems), [Code::OutsideWorkspace]);
    assert!(loaded.definitions.is_empty());
}

#[test]
fn what_anyone_may_write_is_not_trusted() {
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    let world =
        World::new(&[("user/a.toml", GOOD), ("org/b.toml", GOOD), ("ws/.farrier/sidecars/c.toml", GOOD)]);
    fs::create_dir_all(world.path("repo")).expect("a folder");
    set(&world.path("repo"), 0o777);
    set(&world.path("ws/.farrier/sidecars"), 0o777);
    assert_eq!(world.load().problems, [], "an empty layer, and the workspace, are not trusted anyway");
    set(&world.path("user"), 0o1777);
    set(&world.path("org/b.toml"), 0o666);
    let problems = world.load().problems;
    assert_eq!(codes(&problems), [Code::LayerUnusable, Code::LayerUnusable]);
    assert!(problems.iter().all(|problem| problem.hints.iter().any(|hint| hint.contains("chmod o-w"))));
}
