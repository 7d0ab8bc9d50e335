//! `farrier ps`.

use serde_json::Value;

use crate::support::launching::{idler, server};
use crate::support::{Image, Scene, docker, fixture_image};

/// What `ps` says of the scene's own sidecar; others may be on the engine.
pub fn listed(scene: &Scene, stem: &str) -> Option<Value> {
    let outcome = scene.farrier(["ps", "--format", "json"]).output().assert_code(0);
    let list: Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
    let sidecars = list["sidecars"].as_array().expect("sidecars").clone();
    sidecars.into_iter().find(|sidecar| sidecar["name"] == scene.name(stem).as_str())
}

/// Starts what the scene defines, on a network of its own, and gives the network.
pub fn started(scene: &Scene) -> String {
    let network = scene.network("net");
    scene.launch(scene.in_container(&network, &["exit", "0"])).output().assert_code(0);
    network
}

#[test]
fn a_sidecar_is_listed_with_its_state_and_how_it_stands_to_its_definition() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let declared = format!("networks = [\"{network}\"]");
    let file = scene.define("db", &server(&fixture_image(), &declared));
    started(&scene);
    let fresh = listed(&scene, "db").expect("it is listed");
    assert_eq!(fresh["container"], scene.container("db").as_str());
    assert_eq!((&fresh["state"], &fresh["match"]), (&"running".into(), &"fresh".into()), "{fresh:#}");
    assert_eq!(fresh["networks"], serde_json::json!([network]));
    assert_eq!(fresh["definition"], file.to_str().expect("text"));
    assert_eq!(fresh["used_by"], serde_json::json!([]));
    assert!(fresh["age_seconds"].as_i64().is_some_and(|age| (0..600).contains(&age)), "{fresh:#}");

    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"2\" }"));
    let stale = listed(&scene, "db").expect("it is listed");
    assert_eq!((&stale["match"], &stale["causes"][0]["fields"][0]), (&"stale".into(), &"env.LEVEL".into()));

    docker(["kill", &scene.container("db")]);
    let stopped = listed(&scene, "db").expect("it is listed");
    assert_eq!((&stopped["state"], &stopped["exit_code"]), (&"exited".into(), &137.into()), "{stopped:#}");

    std::fs::write(&file, "disable = true\n").expect("a definition");
    assert_eq!(listed(&scene, "db").expect("it is listed")["match"], "undeclared");
    std::fs::remove_file(&file).expect("it goes");
    assert_eq!(listed(&scene, "db").expect("it is listed")["match"], "orphan");
}

#[test]
fn a_declared_sidecar_without_a_container_is_told() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("absent", &idler(&fixture_image(), "command = [\"wait\"]"));
    let outcome = scene.farrier(["ps"]).output().assert_code(0);
    let line = format!("declared, without a container: {}\n", scene.name("absent"));
    assert!(outcome.stdout().ends_with(&line), "{outcome}");
}

#[test]
fn what_other_folders_declare_is_listed_only_when_asked_for_and_says_whose_it_is() {
    let Some(scene) = Scene::with_docker() else { return };
    let file = scene.define("db", &server(&fixture_image(), ""));
    started(&scene);
    let elsewhere = Scene::new();
    let ps = |options: &[&str]| elsewhere.farrier(["ps"]).args(options).output().assert_code(0).stdout();
    assert!(
        !ps(&[]).contains(&scene.name("db")) && ps(&[]).contains(" more: farrier ps --all"),
        "{}",
        ps(&[])
    );
    let all: Value = serde_json::from_str(&ps(&["--all", "--format", "json"])).expect("JSON");
    let sidecars = all["sidecars"].as_array().expect("sidecars").iter();
    let found = sidecars.filter(|sidecar| sidecar["name"] == scene.name("db").as_str()).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{all:#}");
    assert_eq!(found[0]["definition"], file.to_str().expect("text"));
}

#[test]
fn labels_or_a_name_alone_make_no_sidecar() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &server(&fixture_image(), ""));
    started(&scene);
    // As from an image that was committed from a sidecar: all its labels, and a name of the right shape.
    let format = "{{range $name, $value := .Config.Labels}}{{println $name $value}}{{end}}";
    let labels = docker(["container", "inspect", "--format", format, &scene.container("db")]);
    let image = labels
        .lines()
        .filter_map(|line| line.split_once(' '))
        .fold(Image::new(), |image, (name, value)| image.change(format!("LABEL {name}={value:?}")));
    let image = scene.image(&image);
    docker(["rm", "--force", &scene.container("db")]);
    for (name, image) in [
        (scene.container("db"), image.as_str()),
        (scene.container("other"), &fixture_image()),
        (scene.name("elsewhere"), &image),
    ] {
        scene.docker_run(["--name", &name, image, "wait"]);
        let outcome = scene.farrier(["ps", "--format", "json"]).output().assert_code(0);
        assert!(!outcome.stdout().contains(&format!("\"{name}\"")), "{name}: {outcome}");
        let refused = scene.farrier(["down", "--yes", &name]).output().assert_code(125);
        assert!(refused.stderr().contains("[sidecar-not-found]"), "{refused}");
        docker(["rm", "--force", &name]);
    }
}

#[test]
fn the_list_fits_its_terminal() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &server(&fixture_image(), ""));
    started(&scene);
    for columns in [80, 40] {
        let outcome = scene.farrier(["ps"]).spawn_on_terminal(columns, 24).wait().assert_code(0);
        let widest = outcome.stdout().lines().map(|line| line.trim_end().chars().count()).max();
        assert!(widest <= Some(columns.into()), "{columns}: {outcome}");
        assert!(outcome.stdout().contains("running") && outcome.stdout().contains("DEFINITION"), "{outcome}");
    }
    let piped = scene.farrier(["ps"]).output().assert_code(0);
    let own = piped.stdout().lines().filter(|line| line.contains(scene.token())).count();
    assert_eq!(own, 1, "a line each without a terminal: {piped}");
}

#[test]
fn broken_definitions_hinder_nothing() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &server(&fixture_image(), ""));
    started(&scene);
    scene.define("broken", "lifecycle = ");
    let outcome = scene.farrier(["ps"]).output().assert_code(0);
    assert!(outcome.stdout().contains(&scene.name("db")), "{outcome}");
    assert!(outcome.stderr().contains("farrier validate"), "{outcome}");
}
