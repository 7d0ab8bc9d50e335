//! Launches on the Podman that `CONTAINER_HOST` names. The tests' own docker client has to use it, too. Here are harnesses of
//! Podman's client; the modules contain sidecars.

use crate::support::engine::{containers_named, fixture_image};
use crate::support::launching::server;
use crate::support::skipping::{say_skipped, skip_unless_required};
use crate::support::{PATIENT, Run, Scene, docker, fixture_program, wait_until};

mod health;
mod readiness;
mod restarts;
mod sockets;
mod users;

/// With the value 1, a test that cannot have an engine of another kind than this host's Docker fails.
const REQUIRE_ENGINES: &str = "FARRIER_REQUIRE_ENGINES";

/// A scene on Podman, and the address of Podman's service.
fn scene_on_podman() -> Option<(Scene, String)> {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(docker_host)) = (named("CONTAINER_HOST"), named("DOCKER_HOST")) else {
        skip_unless_required(REQUIRE_ENGINES, "CONTAINER_HOST and DOCKER_HOST do not name a Podman");
        return None;
    };
    if host != docker_host {
        say_skipped("CONTAINER_HOST and DOCKER_HOST name different engines");
        return None;
    }
    Some((Scene::with_docker()?, host))
}

/// A scene on Podman with a server `db`, and the address of Podman's service.
fn scene_with_server() -> Option<(Scene, String)> {
    let (scene, host) = scene_on_podman()?;
    scene.define("db", &server(&fixture_image(), ""));
    Some((scene, host))
}

fn launch(scene: &Scene, host: &str, words: &[&str]) -> Run {
    scene.launch(words).env_remove("DOCKER_HOST").env("CONTAINER_HOST", host)
}

#[test]
fn a_run_reaches_the_sidecar_by_its_name_on_a_network_that_it_names_and_on_farriers_own() {
    let Some((scene, host)) = scene_with_server() else { return };
    let (network, image, variable) = (scene.network("net"), fixture_image(), scene.variable("db"));
    let label = scene.label();
    let run = ["podman", "run", "--rm", "--label", &label];
    for options in [&["--network", &network][..], &["--network", &format!("{network}:alias=me")], &[]] {
        let words = [&run[..], options, &[&image, "ask-env", &variable]].concat();
        let outcome = launch(&scene, &host, &words).output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{options:?}: {outcome}");
    }
}

#[test]
fn a_runs_exit_code_and_output_are_passed_on() {
    let Some((scene, host)) = scene_with_server() else { return };
    let (network, image) = (scene.network("net"), fixture_image());
    for code in ["0", "3", "255"] {
        let words = ["podman", "run", "--rm", "--network", &network, &image, "exit", code];
        launch(&scene, &host, &words).output().assert_code(code.parse().expect("a number"));
    }
    let words = ["podman", "run", "--rm", "--network", &network, "-i", &image, "cat"];
    let outcome = launch(&scene, &host, &words).stdin("told\n").output().assert_code(0);
    assert_eq!(outcome.stdout(), "told\n");
}

#[test]
fn a_container_that_is_created_reaches_the_sidecar_when_it_is_started() {
    let Some((scene, host)) = scene_with_server() else { return };
    let (network, image, variable) = (scene.network("net"), fixture_image(), scene.variable("db"));
    let name = scene.container("created");
    let words = ["podman", "create", "--name", &name, "--network", &network, &image, "ask-env", &variable];
    launch(&scene, &host, &words).output().assert_code(0);
    let start =
        Run::program(&scene, "podman").args(["start", "--attach", &name]).env("CONTAINER_HOST", &host);
    assert_eq!(start.output().assert_code(0).stdout().trim(), "pong");
}

#[test]
fn a_harness_on_this_host_reaches_the_sidecar_at_a_local_port() {
    let Some((scene, host)) = scene_with_server() else { return };
    let (program, variable) = (fixture_program().display().to_string(), scene.variable("db"));
    let words = [&program, "ask-env", &variable];
    let launch = scene.launch(words).env("DOCKER_HOST", &host).output().assert_code(0);
    assert_eq!(launch.stdout().trim(), "pong", "{launch}");
    let relay = docker(["image", "ls", "--quiet", "localhost/farrier-relay"]);
    assert!(!relay.is_empty(), "farrier's own program relays, and no tool of the sidecar's image");
}

#[test]
fn a_session_ends_with_a_run_that_names_its_network() {
    let Some((scene, host)) = scene_with_server() else { return };
    let definition = server(&fixture_image(), "").replace("\"shared\"", "\"session\"");
    scene.define("own", &definition);
    let (network, image) = (scene.network("net"), fixture_image());
    let ask = |stem: &str| {
        let variable = scene.variable(stem);
        let words = ["podman", "run", "--rm", "--network", &network, &image, "ask-env", &variable];
        launch(&scene, &host, &words).output().assert_code(0).stdout()
    };
    assert_eq!((ask("own").trim(), ask("db").trim()), ("pong", "pong"));
    assert_eq!(containers_named(&scene.container("own")), Vec::<String>::new());
}

#[test]
fn a_harness_that_cannot_reach_sidecars_is_refused_before_anything_starts() {
    let Some((scene, host)) = scene_with_server() else { return };
    let image = fixture_image();
    for options in [&["--network", "pasta"][..], &["--pod", "new:p"], &["--network", "bridge"]] {
        let words = [&["podman", "run", "--rm"][..], options, &[&image, "wait"]].concat();
        launch(&scene, &host, &words).output().assert_code(125);
        assert!(scene.take_codes().contains(&"network-unusable".to_owned()), "{options:?}");
    }
    let words = ["podman", "--connection", "nowhere", "run", &image, "wait"];
    launch(&scene, &host, &words).output().assert_code(125);
    assert!(scene.take_codes().contains(&"engine-context".to_owned()));
    assert_eq!(containers_named(&scene.container("db")), Vec::<String>::new());
}

#[test]
fn a_plan_and_doctor_name_podman_and_where_its_address_comes_from() {
    let Some((scene, host)) = scene_with_server() else { return };
    let (network, image) = (scene.network("net"), fixture_image());
    let run = ["podman", "run", "--rm", "--network", &network, &image, "wait"];
    let plan = scene.farrier(["plan", "--"]).args(run).env_remove("DOCKER_HOST").env("CONTAINER_HOST", &host);
    let plan = plan.output().assert_code(0).stdout();
    assert!(plan.contains(&format!("engine docker: Podman at {host} (CONTAINER_HOST)\n")), "{plan}");
    let is_named = |line: &str| line.contains(" Podman ") && line.ends_with(&format!("{host} (DOCKER_HOST)"));
    // A Podman that is busy for longer than doctor waits is told as that.
    wait_until("doctor names Podman", PATIENT, || {
        let doctor = scene.farrier(["doctor"]).env("DOCKER_HOST", &host).output().stdout();
        doctor.lines().any(is_named)
    });
}
