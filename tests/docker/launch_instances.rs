//! Sets of sidecars beside each other, as for test suites that run at once.

use serde_json::Value;

use crate::support::engine::{inspect, is_running};
use crate::support::launching::{identity, server};
use crate::support::{Scene, docker, fixture_image, fixture_program};

#[test]
fn a_second_set_runs_beside_the_first_and_goes_alone() {
    let Some(scene) = Scene::with_docker() else { return };
    let set = scene.token();
    scene.define("db", &server(&fixture_image(), "mounts = [\"volume:data:/data\"]"));
    scene.up().output().assert_code(0);
    let first = identity(&scene.container("db"));
    let program = fixture_program().display().to_string();
    let asked = || {
        let harness = [program.as_str(), "ask-env", &scene.variable("db")];
        let answer = scene.launch_with(["--instance", set], harness).output().assert_code(0);
        assert_eq!(answer.stdout(), "pong\n", "{answer}");
    };
    scene.take_decisions();
    asked();
    asked();
    assert_eq!(
        scene.take_decisions(),
        ["create: it does not exist", "reuse: it is running and matches its definition"]
    );

    let ps = |more: &[&str]| {
        let ps = scene.farrier(["ps", "--format", "json"]).args(more).output().assert_code(0);
        let ps: Value = serde_json::from_str(&ps.stdout()).expect("JSON");
        ps["sidecars"].as_array().cloned().unwrap_or_default()
    };
    let listed = ps(&["--instance", set]);
    let of = |instance: Value| listed.iter().find(|sidecar| sidecar["instance"] == instance).expect("listed");
    let (one, other) = (of(Value::Null), of(set.into()));
    assert_eq!((&one["match"], &other["match"]), (&"undeclared".into(), &"fresh".into()));
    assert!(one["container"] != other["container"] && one["address"] != other["address"], "{listed:#?}");
    assert_eq!(other["networks"], serde_json::json!([format!("farrier-{set}")]));
    let second = other["container"].as_str().expect("a name").to_owned();
    let mounted =
        |container: &str| inspect(container, "{{range .Mounts}}{{.Name}}{{end}}").expect("a container");
    let volumes = [mounted(&scene.container("db")), mounted(&second)];
    assert_ne!(volumes[0], volumes[1]);

    // The second one is found by its container's name.
    scene.farrier(["logs", &second]).output().assert_code(0);
    let down = ["-vv", "down", "--yes", "--volumes", "--instance", set, &scene.name("db")];
    let removed = scene.farrier(down).output().assert_code(0);
    assert!(!is_running(&second) && is_running(&scene.container("db")));
    assert_eq!(identity(&scene.container("db")), first, "the first one was not touched");
    let all = docker(["volume", "ls", "--quiet"]);
    assert_eq!(volumes.map(|volume| all.lines().any(|line| line == volume)), [true, false]);
    let networks = docker(["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.lines().any(|line| line == format!("farrier-{set}")), "{networks}\n{removed}");
}
