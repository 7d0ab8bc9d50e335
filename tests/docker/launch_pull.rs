//! Images that are absent: pulled with the user's credentials, or an error that names them.

use std::net::{Ipv4Addr, TcpListener};

use crate::support::registry::{self, Registry};
use crate::support::{Outcome, Run, Scene, Signal, containers_named, docker, fixture_image};

const SERVER: &str = "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\"]\n\
                      entrypoint = [\"/fixture\"]\nlifecycle = \"shared\"\n\
                      interface = { kind = \"port\", port = 7000 }\n";

fn scene_with_registry() -> Option<(Scene, Registry)> {
    let scene = Scene::with_docker()?;
    let registry = registry::start(&scene)?;
    Some((scene, registry))
}

fn log_in(scene: &Scene, registry: &Registry, with_password: bool) {
    let folder = scene.home().join(".docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let configuration = registry::client_configuration(&registry.address, with_password);
    std::fs::write(folder.join("config.json"), configuration).expect("a file");
}

fn launch(scene: &Scene, network: &str) -> Run {
    let variable = scene.variable("db");
    let image = fixture_image();
    let harness = ["docker", "run", "--rm", "--network", network, &image, "ask-env", &variable, "ping"];
    scene.farrier(["launch", "--events"]).arg(scene.path("events.json")).arg("--").args(harness)
}

fn event_kinds(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.path("events.json")).unwrap_or_default();
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["event"].clone();
    text.lines().map(|line| event(line).as_str().expect("a kind").to_owned()).collect()
}

fn assert_unavailable(scene: &Scene, outcome: Outcome, code: &str, reference: &str) {
    let outcome = outcome.assert_code(125);
    assert!(outcome.stderr().contains(&format!("error[{code}]")), "{}", outcome.stderr());
    assert!(outcome.stderr().contains(reference), "{}", outcome.stderr());
    assert_eq!(containers_named(&scene.container("db")), Vec::<String>::new());
}

#[test]
fn an_absent_image_is_pulled_with_the_users_credentials() {
    let Some((scene, registry)) = scene_with_registry() else { return };
    let reference = registry.publish(&fixture_image(), &format!("{}:1", scene.token()));
    log_in(&scene, &registry, true);
    scene.define("db", &format!("image = \"{reference}\"\n{SERVER}"));
    let network = scene.network("net");
    let outcome = launch(&scene, &network).output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong");
    assert!(event_kinds(&scene).contains(&"pulling".to_owned()), "{:?}", event_kinds(&scene));
    docker(["rm", "-f", &scene.container("db")]);
    docker(["rmi", &reference]);
}

#[test]
fn without_the_right_credentials_the_image_is_named() {
    let Some((scene, registry)) = scene_with_registry() else { return };
    let reference = registry.publish(&fixture_image(), &format!("{}:1", scene.token()));
    log_in(&scene, &registry, false);
    scene.define("db", &format!("image = \"{reference}\"\n{SERVER}"));
    let network = scene.network("net");
    let outcome = launch(&scene, &network).output();
    assert_unavailable(&scene, outcome, "image-denied", &reference);
}

#[test]
fn an_image_that_no_registry_has_is_named() {
    let Some((scene, registry)) = scene_with_registry() else { return };
    log_in(&scene, &registry, true);
    let reference = format!("{}/{}:none", registry.address, scene.token());
    scene.define("db", &format!("image = \"{reference}\"\n{SERVER}"));
    let network = scene.network("net");
    let outcome = launch(&scene, &network).output();
    assert_unavailable(&scene, outcome, "image-not-found", &reference);
}

#[test]
fn an_interrupt_ends_a_pull() {
    let Some(scene) = Scene::with_docker() else { return };
    // A registry that accepts and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = silent.local_addr().expect("its address");
    scene.define("db", &format!("image = \"{address}/{}:1\"\n{SERVER}", scene.token()));
    let network = scene.network("net");
    let running = launch(&scene, &network).spawn();
    running.wait_for_stderr("pulling");
    running.signal(Signal::INT);
    running.wait().assert_code(130);
    assert_eq!(containers_named(&scene.container("db")), Vec::<String>::new());
}
