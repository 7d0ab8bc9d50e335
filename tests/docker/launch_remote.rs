//! Launches on an engine that this host has no route to, over TLS or SSH: the one that `DOCKER_HOST` names, if it is elsewhere.

use crate::support::engine::{containers_named, fixture_image, is_running};
use crate::support::launching::server;
use crate::support::skipping::skip_unless_required;
use crate::support::{Scene, fixture_program};

/// With the value 1, a test that cannot have an engine of another kind than this host's Docker fails.
const REQUIRE_ENGINES: &str = "FARRIER_REQUIRE_ENGINES";

/// A scene with a server `db` on an engine that is elsewhere.
fn scene_with_server() -> Option<Scene> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let is_encrypted = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    if !(host.starts_with("ssh://") || host.starts_with("tcp://") && is_encrypted) {
        skip_unless_required(REQUIRE_ENGINES, "DOCKER_HOST names no engine over TLS or SSH");
        return None;
    }
    let scene = Scene::with_docker()?;
    scene.define("db", &server(&fixture_image(), ""));
    Some(scene)
}

#[test]
fn a_sidecar_becomes_ready_by_the_relay_is_reused_listed_read_and_removed() {
    let Some(scene) = scene_with_server() else { return };
    let network = scene.network("net");
    for expected in ["create: ", "reuse: "] {
        let outcome = scene.launch(scene.asking(&network, "db")).output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong");
        let decisions = scene.take_decisions();
        assert!(decisions.iter().all(|decision| decision.starts_with(expected)), "{decisions:?}");
    }
    let listed = scene.farrier(["ps"]).output().assert_code(0).stdout();
    assert!(listed.contains(&scene.name("db")), "{listed}");
    scene.farrier(["logs", &scene.name("db")]).output().assert_code(0);
    assert!(is_running(&scene.container("db")));
    scene.farrier(["down", "--yes", &scene.name("db")]).output().assert_code(0);
    assert_eq!(containers_named(&scene.container("db")), Vec::<String>::new());
}

#[test]
fn a_session_ends_with_its_harness() {
    let Some(scene) = scene_with_server() else { return };
    scene.define("own", &server(&fixture_image(), "").replace("\"shared\"", "\"session\""));
    let network = scene.network("net");
    let outcome = scene.launch(scene.asking(&network, "own")).output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong");
    assert_eq!(containers_named(&scene.container("own")), Vec::<String>::new());
}

#[test]
fn a_harness_on_this_host_reaches_the_sidecar_at_a_local_port() {
    let Some(scene) = scene_with_server() else { return };
    let (program, variable) = (fixture_program().display().to_string(), scene.variable("db"));
    let outcome = scene.launch([&program, "ask-env", &variable]).output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    let told = scene.launch([&program, "env"]).output().assert_code(0).stdout();
    assert!(told.contains(&format!("SWARMFORGE_TONG_{variable}_HOST=127.0.0.1\n")), "{told}");
}
