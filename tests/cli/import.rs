//! `farrier import`.

use std::path::Path;

use crate::support::scene::Layer;
use crate::support::{Scene, assert_output};

const COMPOSE: &str = "services:\n  db:\n    image: postgres:16\n    ports: [\"15432:5432\"]\n    volumes:\n      - data:/var/lib/postgresql/data\n      - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro\n    dns: [1.1.1.1]\nvolumes: {data: }\n";

fn written(scene: &Scene, text: &str) {
    std::fs::write(scene.workspace().join("compose.yaml"), text).expect("a file");
    std::fs::write(scene.workspace().join("init.sql"), "select 1;\n").expect("a file");
}

#[test]
fn definitions_are_written_and_valid_and_every_key_is_told() {
    let scene = Scene::new();
    written(&scene, COMPOSE);
    let dry = scene.farrier(["import", "compose.yaml", "--dry-run"]).output().assert_code(0);
    assert_output!(dry, @r#"
    exit code 0
    --- stdout
    # db.toml
    lifecycle = "shared"
    image = "postgres:16"
    mounts = [
        "volume:data:/var/lib/postgresql/data",
        "bind:../../init.sql:/docker-entrypoint-initdb.d/init.sql:ro",
    ]

    [interface]
    kind = "port"
    port = 5432
    publish = ["15432:5432"]

    [readiness]
    probe = "postgres"
    timeout = "60s"

    db:
      dns IS NOT TRANSLATED: definitions have no such key
      image is image
      ports is interface.publish
      volumes is mounts
    the file itself:
      volumes is mounts of the services
    1 definition, not written; not translated: 1 key
    --- stderr
    "#);
    let file = scene.layer(Layer::Workspace).join("db.toml");
    assert!(!file.exists(), "{dry}");
    let outcome = scene.farrier(["import", "compose.yaml"]).output().assert_code(0);
    for line in [
        "  ports is interface.publish\n",
        "  volumes is mounts\n",
        "  dns IS NOT TRANSLATED: ",
        "not translated: 1 key\n",
    ] {
        assert!(outcome.stdout().contains(line), "{line}: {outcome}");
    }
    let text = std::fs::read_to_string(&file).expect("a definition");
    assert!(text.contains("\"bind:../../init.sql:/docker-entrypoint-initdb.d/init.sql:ro\","), "{text}");
    let valid = scene.farrier(["validate"]).output().assert_code(0);
    assert_output!(valid, @r#"
    exit code 0
    --- stdout
    warning[approval-required]: `db` comes from the workspace and is not approved: a launch asks for approval first
     --> [SCENE]/workspace/.farrier/sidecars/db.toml:1:1
      |
    1 | lifecycle = "shared"
      | ^
      |
      = help: Review it and answer: `farrier approve db`.

    layer user      [SCENE]/config/farrier/sidecars (no such folder)
    layer workspace [SCENE]/workspace/.farrier/sidecars (1 file)
    1 sidecar, 0 errors, 1 warning
    --- stderr
    "#);
}

#[test]
fn nothing_is_written_over_without_force() {
    let scene = Scene::new();
    written(&scene, COMPOSE);
    let file = scene.define_in(Layer::Workspace, "db.toml", "mine");
    let refused = scene.farrier(["import", "compose.yaml"]).output().assert_code(2);
    assert_output!(refused, @"
    exit code 2
    --- stdout
    --- stderr
    error[duplicate-definition]: [SCENE]/workspace/.farrier/sidecars/db.toml already exists
     |
     = help: Nothing was changed. Edit that file, or choose another name.
    ");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
    scene.farrier(["import", "compose.yaml", "--force", "db"]).output().assert_code(0);
    assert_ne!(std::fs::read_to_string(&file).expect("it is there"), "mine");
}

#[test]
fn what_cannot_be_imported_is_one_clear_error() {
    let scene = Scene::new();
    for (text, code) in [
        ("services: [", "definition-syntax"),
        ("services:\n\tdb: {}", "definition-syntax"),
        ("a: 1", "definition-syntax"),
        ("services: {'../x': {image: y}}", "invalid-value"),
        ("services: {db: {image: x}}", "usage"),
    ] {
        written(&scene, text);
        let service: &[&str] = if code == "usage" { &["nobody"] } else { &[] };
        let refused = scene.farrier(["import", "compose.yaml"]).args(service).output().assert_code(2);
        assert!(refused.stderr().contains(&format!("[{code}]")), "{text}: {refused}");
    }
    let absent = scene.farrier(["import", "none.yaml"]).output().assert_code(2);
    assert_output!(absent, @"
    exit code 2
    --- stdout
    --- stderr
    error[file-unusable]: cannot read none.yaml: No such file or directory (os error 2)
     |
     = help: Name a compose file: `farrier import compose.yaml`.
    ");
    assert!(!Path::new(&scene.layer(Layer::Workspace)).join("db.toml").exists());
}
