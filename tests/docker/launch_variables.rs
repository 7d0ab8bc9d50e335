//! What the harness gets beside host and port: in a container, on this host, in a shell, and by `farrier env`.

use std::process::Command;

use crate::support::launching::server;
use crate::support::scene::Layer;
use crate::support::{Scene, assert_output, fixture_image};

fn with_url(scene: &Scene, more: &str) -> String {
    let text = server(&fixture_image(), &format!("env = {{ WORD = \"it's $5\" }}\n{more}"));
    text.replace(
        "[readiness]",
        "[harness.env]\nSIDECAR_URL = \"tcp://{host}:{port}/{env.WORD}\"\nPLAIN = \"x\"\n\n[readiness]",
    )
    .replace("NAME", &scene.name("db"))
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn a_harness_in_a_container_gets_them_and_its_own_win() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &with_url(&scene, ""));
    let outcome = scene.launch(scene.in_container(&network, &["env"])).output().assert_code(0);
    let expected = format!("tcp://{}:7000/it's $5", scene.name("db"));
    assert_eq!(value(&outcome.stdout(), "SIDECAR_URL"), Some(expected.as_str()), "{outcome}");
    let image = fixture_image();
    let own = [
        "docker",
        "run",
        "--rm",
        "-e",
        "SIDECAR_URL=own",
        "-e",
        "PLAIN",
        "--network",
        &network,
        &image,
        "env",
    ];
    let outcome = scene.launch(own).env("PLAIN", "inherited").output().assert_code(0);
    assert_eq!(value(&outcome.stdout(), "SIDECAR_URL"), Some("own"), "{outcome}");
    assert_eq!(value(&outcome.stdout(), "PLAIN"), Some("inherited"), "{outcome}");
}

#[test]
fn on_this_host_a_harness_a_shell_and_env_get_the_same() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &with_url(&scene, ""));
    let none = scene.farrier(["env"]).output().assert_code(125);
    assert_output!(none, @"
    exit code 125
    --- stdout
    --- stderr
    error[sidecar-not-found]: the sidecar `db-[TOKEN]` does not run as it is declared
     |
     = help: Start it with `farrier up`.
    ");
    let up = scene.farrier(["up", "--print", "sh"]).output().assert_code(0);
    let script = format!("{}printf %s \"$SIDECAR_URL\"", up.stdout());
    let shell = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let url = String::from_utf8_lossy(&shell.stdout).into_owned();
    assert!(url.starts_with("tcp://") && url.ends_with(":7000/it's $5"), "{url} {up}");
    assert_eq!(scene.farrier(["env"]).output().assert_code(0).stdout(), up.stdout());
    let json = scene.farrier(["env", "--print", "json", &scene.name("db")]).output().assert_code(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout()).expect("JSON");
    assert_eq!(json["SIDECAR_URL"], url.as_str());
    let harness = scene.launch(["sh", "-c", "printf %s \"$SIDECAR_URL\""]).output().assert_code(0);
    assert_eq!(harness.stdout(), url);
}

#[test]
fn variables_of_the_environment_and_of_a_file_are_replaced_and_a_workspace_is_asked_about() {
    let scene = Scene::new();
    let text = "lifecycle = \"shared\"\nimage = \"x:${TAG:-1}\"\nenv = { A = \"${FARRIER_TEST_A}\", B = \"$${B}\" }\n\
                interface.kind = \"none\"\nreadiness.probe = \"skip\"\n";
    let file = scene.define_in(Layer::Workspace, "db.toml", text);
    let refused = scene.farrier(["validate"]).output().assert_code(2);
    assert!(refused.to_string().contains("[variable-unset]"), "{refused}");
    std::fs::write(scene.workspace().join(".env"), "FARRIER_TEST_A=from the file\n").expect("a file");
    let asked = scene.farrier(["approve", "--format", "json"]).output();
    for words in ["reads variables", "FARRIER_TEST_A", "TAG", "from the file", "${B}", "x:1"] {
        assert!(asked.stdout().contains(words), "{words}: {asked}");
    }
    let asked = scene.farrier(["approve", "--format", "json"]).env("TAG", "2").output();
    assert_output!(asked, @r#"
    exit code 125
    --- stdout
    {
      "sidecars": [
        {
          "approved": false,
          "changes": null,
          "denied": [],
          "differences": null,
          "disables": false,
          "file": "[SCENE]/workspace/.farrier/sidecars/db.toml",
          "grants": [],
          "hash": "[ID]",
          "sidecar": "db",
          "statement": [
            {
              "label": "mounts",
              "text": "none"
            },
            {
              "label": "networks",
              "text": "the harness's"
            },
            {
              "label": "reads variables",
              "text": "FARRIER_TEST_A, TAG"
            },
            {
              "label": "image",
              "text": "docker.io/library/x:2"
            },
            {
              "label": "entrypoint",
              "text": "the image's own"
            },
            {
              "label": "command",
              "text": "the image's own"
            },
            {
              "label": "memory",
              "text": "no limit"
            },
            {
              "label": "reached",
              "text": "not at all"
            },
            {
              "label": "readiness: probe",
              "text": "skip, which ships with farrier"
            },
            {
              "label": "readiness: time",
              "text": "30s from the start, at most 1m"
            },
            {
              "label": "env A",
              "text": "\"from the file\""
            },
            {
              "label": "env B",
              "text": "\"${B}\""
            }
          ],
          "workspace": "[SCENE]/workspace"
        }
      ]
    }
    --- stderr
    "#);
    std::fs::write(file, text.replace("readiness.", "harness.env.LD_PRELOAD = \"x\"\nreadiness."))
        .expect("a file");
    let refused = scene.farrier(["validate"]).output().assert_code(2);
    assert!(refused.to_string().contains("may not set `LD_PRELOAD`"), "{refused}");
}
