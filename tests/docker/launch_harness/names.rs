//! What a container harness says about names and variables, and what of it would keep it from a sidecar.

use super::scene_with_server;
use crate::support::{PATIENT, Scene, assert_output, fixture_image};

/// `docker run` of a harness that prints its environment, with these options.
fn harness(scene: &Scene, options: &[&str]) -> Vec<String> {
    let (label, image) = (scene.label(), fixture_image());
    let words = ["docker", "run", "--rm", "--label", &label];
    words.iter().chain(options).chain(&[image.as_str(), "env"]).map(|&word| word.to_owned()).collect()
}

#[test]
fn a_variable_that_is_passed_on_without_a_value_has_ours() {
    let Some((scene, _)) = scene_with_server() else { return };
    let network = scene.network("net");
    let variable = format!("SWARMFORGE_TONG_{}_HOST", scene.variable("db"));
    let file = scene.path("env");
    std::fs::write(&file, format!("{variable}\n")).expect("a file");
    let (attached, file) = (format!("--env={variable}"), file.display().to_string());
    for options in [&["-e", &variable] as &[&str], &[&attached], &["--env-file", &file]] {
        let options = [&["--network", &network], options].concat();
        let launch = scene.launch(harness(&scene, &options)).env(&variable, "inherited").timeout(PATIENT);
        let environment = launch.output().assert_code(0).stdout();
        let expected = format!("{variable}={}", scene.name("db"));
        assert!(environment.lines().any(|line| line == expected), "{options:?}: {environment}");
    }
    let own = format!("{variable}=own");
    let options = ["--network", &network, "-e", &own];
    let environment = scene.launch(harness(&scene, &options)).output().assert_code(0).stdout();
    assert!(environment.lines().any(|line| line == own), "the harness's own value wins: {environment}");
}

#[test]
fn a_harness_that_takes_a_sidecar_s_name_is_refused() {
    let Some((scene, _)) = scene_with_server() else { return };
    let network = scene.network("net");
    let name = scene.name("db").to_uppercase();
    for option in ["--name", "--network-alias", "--hostname"] {
        let outcome = scene.launch(harness(&scene, &["--network", &network, option, &name])).output();
        assert!(outcome.assert_code(125).stderr().contains(option), "{option}");
        assert_eq!(scene.take_codes(), ["alias-taken"], "{option}");
    }
    let outcome = scene.launch(harness(&scene, &["--link", "other"])).output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[network-unusable]: the harness's `--link other` works on Docker's default bridge only, and farrier adds another network
     |
     = help: Put both on a network of your own: `docker network create NAME`, `docker network connect NAME other`, and give the harness `--network NAME` beside `--link`.
     = help: Or leave `--link` out if the harness does not need that container.
    ");
    assert_eq!(scene.take_codes(), ["network-unusable"]);
}

#[test]
fn a_command_that_starts_a_container_itself_is_warned_about_once() {
    let Some((scene, _)) = scene_with_server() else { return };
    let outcome = scene.launch(["sh", "-c", "true || docker run x"]).output().assert_code(0);
    assert_eq!(outcome.stderr().matches("docker run` itself").count(), 1, "{outcome}");
    let way_out = format!("-e SWARMFORGE_TONG_{}_HOST={}", scene.variable("db"), scene.name("db"));
    assert!(outcome.stderr().contains(&way_out), "{outcome}");
    assert_eq!(scene.take_codes(), ["harness-shape"]);
    let outcome = scene.launch(["echo", "docker", "run", "x"]).output().assert_code(0);
    assert!(!outcome.stderr().contains("warning"), "{outcome}");
    assert_eq!(scene.take_codes(), [""; 0]);
}
