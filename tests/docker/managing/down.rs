//! `farrier down`.

use std::time::Duration;

use super::ps::started;
use crate::support::engine::{container_id, inspect, is_running};
use crate::support::launching::{idler, server};
use crate::support::running::Outcome;
use crate::support::{Image, Scene, assert_output, docker, fixture_image, wait_until};

/// What was printed, without networks of farrier's that nothing was on: other tests leave some.
fn containers(outcome: &Outcome) -> String {
    let is_of_a_network = |line: &&str| line.starts_with("removed the network ");
    outcome.stdout().lines().filter(|line| !is_of_a_network(line)).map(|line| format!("{line}\n")).collect()
}

fn with_server(stems: &[&str]) -> Option<Scene> {
    let scene = Scene::with_docker()?;
    for stem in stems {
        scene.define(stem, &server(&fixture_image(), ""));
    }
    started(&scene);
    Some(scene)
}

#[test]
fn what_is_named_goes_and_then_there_is_nothing_to_remove() {
    let Some(scene) = with_server(&["db", "cache"]) else { return };
    let outcome = scene.farrier(["down", "--yes", &scene.name("db")]).output().assert_code(0);
    assert_eq!(containers(&outcome), format!("removed {}\n", scene.container("db")), "{outcome}");
    assert!(container_id(&scene.container("db")).is_none());
    assert!(is_running(&scene.container("cache")));
    let again = scene.farrier(["down", "--yes", &scene.name("db")]).output().assert_code(0);
    assert!(!again.stdout().contains("removed farrier-"), "{again}");
    let network = scene.network("net");
    assert_eq!(
        docker(["network", "ls", "--quiet", "--filter", &format!("name={network}")]).lines().count(),
        1
    );
}

#[test]
fn without_a_name_only_what_the_layers_declare_goes() {
    let Some(scene) = with_server(&["db", "cache", "former"]) else { return };
    scene.define("former", "disable = true");
    let kept_for_now = scene.farrier(["down", "--yes", "--older-than", "1h"]).output().assert_code(0);
    assert!(!kept_for_now.stdout().contains("removed farrier-"), "{kept_for_now}");
    scene.farrier(["down", "--yes"]).output().assert_code(0);
    let left = ["db", "cache", "former"].map(|stem| container_id(&scene.container(stem)).is_some());
    assert_eq!(left, [false, false, true]);
}

#[test]
fn an_orphan_can_be_named() {
    let Some(scene) = with_server(&["db"]) else { return };
    std::fs::remove_file(scene.define("db", "")).expect("it goes");
    scene.farrier(["down", "--yes", &scene.name("db")]).output().assert_code(0);
    assert!(container_id(&scene.container("db")).is_none());
}

#[test]
fn nothing_goes_unasked() {
    let Some(scene) = with_server(&["db"]) else { return };
    let refused = scene.farrier(["down"]).stdin("y\n").output().assert_code(125);
    assert_output!(refused, @"
    exit code 125
    --- stdout
    --- stderr
    error[confirmation-required]: removing 1 sidecar (farrier-db-[TOKEN]) needs confirmation, and there is no terminal
     |
     = help: Add `--yes` to skip the question.
    ");
    for (typed, code) in [("\n", 0), ("n\n", 0), ("yess\n", 0), ("\u{3}", 130)] {
        let mut asking = scene.farrier(["down"]).spawn_on_terminal(80, 24);
        asking.wait_for_stdout("Remove 1 sidecar? [y/N]");
        asking.type_text(typed);
        asking.wait().assert_code(code);
        assert!(is_running(&scene.container("db")), "{typed:?}");
    }
    let mut asking = scene.farrier(["down"]).spawn_on_terminal(80, 24);
    asking.wait_for_stdout("Remove 1 sidecar? [y/N]");
    asking.type_text("y\n");
    asking.wait().assert_code(0);
    assert!(container_id(&scene.container("db")).is_none());
}

#[test]
fn what_a_launch_uses_is_left_unless_forced_and_nothing_else_goes_either() {
    let Some(scene) = with_server(&["cache", "db"]) else { return };
    let held = scene.name("holder");
    let network = scene.network("net");
    let label = scene.label();
    let image = fixture_image();
    let harness = [
        "docker",
        "run",
        "--rm",
        "-i",
        "--label",
        &label,
        "--name",
        &held,
        "--network",
        &network,
        &image,
        "cat",
    ];
    let holding = scene.launch(harness).open_stdin().spawn();
    wait_until("the harness runs", Duration::from_mins(10), || is_running(&held));
    // Only `db` is looked for by the second launch's definitions.
    let listed = super::ps::listed(&scene, "db").expect("it is listed");
    assert_eq!(listed["used_by"][0]["process"], holding.id(), "{listed:#}");
    let refused = scene.farrier(["down", "--yes"]).output().assert_code(125);
    assert_output!(refused, @"
    exit code 125
    --- stdout
    --- stderr
    error[sidecar-in-use]: process [PROCESS] uses the sidecar `cache-[TOKEN]`: docker run farrier-fixture:[DIGEST]
     |
     = help: Wait until that launch ends.
     = help: Or add `--force` to remove it despite that launch.
    error[sidecar-in-use]: process [PROCESS] uses the sidecar `db-[TOKEN]`: docker run farrier-fixture:[DIGEST]
     |
     = help: Wait until that launch ends.
     = help: Or add `--force` to remove it despite that launch.
    ");
    assert!(is_running(&scene.container("db")) && is_running(&scene.container("cache")));
    scene.farrier(["down", "--yes", "--force", &scene.name("db")]).output().assert_code(0);
    assert!(container_id(&scene.container("db")).is_none());
    holding.wait().assert_code(0);
}

#[test]
fn anonymous_volumes_stay_unless_told() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene.image(&Image::new().change("VOLUME /data"));
    scene.define("db", &idler(&image, "command = [\"wait\"]"));
    let volume = || {
        started(&scene);
        let format = "{{range .Mounts}}{{.Name}}{{end}}";
        inspect(&scene.container("db"), format).expect("a container")
    };
    let exists =
        |name: &str| !docker(["volume", "ls", "--quiet", "--filter", &format!("name={name}")]).is_empty();
    let first = volume();
    let kept = scene.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(kept.stdout().contains(&format!("kept the anonymous volume {}", &first[..12])), "{kept}");
    assert!(kept.stdout().contains(&format!("`docker volume rm {first}`")), "{kept}");
    assert!(exists(&first));
    docker(["volume", "rm", &first]);
    let second = volume();
    scene.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(!exists(&second));
    let third = volume();
    let mut asking = scene.farrier(["down"]).spawn_on_terminal(80, 24);
    asking.wait_for_stdout("Remove 1 sidecar? [y/N]");
    asking.type_text("y\n");
    asking.wait_for_stdout("Remove the anonymous volume too, with all data? [y/N]");
    asking.type_text("y\n");
    asking.wait().assert_code(0);
    assert!(!exists(&third));
}
