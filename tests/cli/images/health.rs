//! The health test of an image, which the supervisor of its container runs.

use super::setup::Images;
use crate::programs::setup::processes_with;
use crate::support::host_programs::with_shell;
use crate::support::{PATIENT, wait_until};

fn wait_for(images: &Images, health: &str) {
    wait_until(health, PATIENT, || images.sidecar("box")["health"] == health);
}

#[test]
fn health_is_tested_again_and_again_and_shown() {
    let images = Images::new();
    let test =
        "HEALTHCHECK --interval=60ms --retries=2 CMD [\"/fixture\", \"healthy-when-file\", \"/shared/well\"]";
    images.layout("box", &with_shell().change(test));
    let shared = images.programs.scene.home().join("shared");
    std::fs::create_dir_all(&shared).expect("a folder");
    std::fs::write(shared.join("well"), "yes").expect("written");
    let lines = "command = ['wait']\nmounts = ['bind:~/shared:/shared']";
    images.plain("box", lines);
    images.farrier(["up"]).output().assert_code(0);
    wait_for(&images, "healthy");
    let shown = images.farrier(["ps", "--engine", "native"]).output().assert_code(0).stdout();
    assert!(shown.contains("running, healthy"), "{shown}");
    std::fs::remove_file(shared.join("well")).expect("removed");
    wait_for(&images, "unhealthy");
    std::fs::write(shared.join("well"), "yes").expect("written");
    wait_for(&images, "healthy");
}

#[test]
fn a_test_that_does_not_end_is_killed_and_one_that_cannot_be_run_has_failed() {
    let images = Images::new();
    let token = images.programs.scene.token().to_owned();
    let env = format!("command = ['wait']\nenv = {{ TOKEN = '{token}' }}");
    for test in ["[\"/bin/sh\", \"-c\", \"sleep 1000\"]", "[\"/no/such/test\"]"] {
        let test = format!("HEALTHCHECK --interval=60ms --timeout=200ms --retries=1 CMD {test}");
        images.layout("box", &with_shell().change(test));
        images.plain("box", &env);
        images.farrier(["up"]).output().assert_code(0);
        wait_for(&images, "unhealthy");
    }
    images.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(processes_with("TOKEN", &token).is_empty());
}

#[test]
fn before_its_start_period_is_over_a_container_is_starting() {
    let images = Images::new();
    let test =
        "HEALTHCHECK --interval=60ms --start-period=600000ms --retries=1 CMD [\"/fixture\", \"exit\", \"1\"]";
    images.layout("box", &with_shell().change(test));
    images.plain("box", "command = ['wait']");
    images.farrier(["up"]).output().assert_code(0);
    let id = images.sidecar("box")["id"].as_str().expect("an id").to_owned();
    let record = images.store().join("instances").join(id).join("health.json");
    wait_until("it failed twice", PATIENT, || {
        std::fs::read_to_string(&record).is_ok_and(|text| text.matches("[1,").count() >= 2)
    });
    assert_eq!(images.sidecar("box")["health"], "starting");
}
