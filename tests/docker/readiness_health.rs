//! The `healthcheck` probe on a real engine: the image's own test counts from the start, the engine's word is
//! final.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::engine::{container_logs, inspect};
use crate::support::events::{number, text};
use crate::support::{Image, PATIENT, Scene, docker, wait_until};

fn define(scene: &Scene, stem: &str, image: &Image, command: &str, timeout: &str) {
    let (image, command): (String, Vec<&str>) = (scene.image(image), command.split(' ').collect());
    scene.define(
        stem,
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {command:?}\n\
             [interface]\nkind = \"port\"\nport = 7000\n\
             [readiness]\nprobe = \"healthcheck\"\ntimeout = \"{timeout}\"\n"
        ),
    );
}

#[test]
fn a_test_with_an_interval_of_30_s_is_run_at_once_in_exec_and_in_shell_form() {
    let Some(scene) = Scene::with_docker() else { return };
    let exec = "HEALTHCHECK --interval=30s CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]";
    let shell = "HEALTHCHECK --interval=30s CMD /fixture healthy-when-port 7000";
    let images = [("exec", Image::new().change(exec)), ("shell", Image::new().shell().change(shell))];
    for (stem, image) in &images {
        define(&scene, stem, image, "serve --port 7000 --after 1500", "60s");
    }
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    scene.up().output().assert_code(0);
    for (stem, _) in images {
        let health = inspect(&scene.container(stem), "{{.State.Health.Status}}");
        assert_eq!(health.as_deref(), Some("starting"), "{stem}: the engine has not tested it yet");
        let log = container_logs(&scene.container(stem));
        let accepting: f64 = log.trim().rsplit(' ').next().unwrap_or_default().parse().expect("Unix time");
        let events = scene.told();
        let ready = begun + number(&events.about("ready", &scene.name(stem))["at_ms"]) / 1000.0;
        let behind = ready - accepting;
        assert!(behind >= -1.0, "{stem}: ready {behind} s after the server");
    }
}

#[test]
fn the_test_runs_as_the_engine_would_run_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = Image::new()
        .change("WORKDIR /tmp")
        .change("USER 1234:5678")
        .change("HEALTHCHECK --interval=30s CMD [\"/fixture\", \"touch\", \"tested\"]");
    define(&scene, "user", &image, "wait", "60s");
    let image = Image::new()
        .change("ENV SWARMFORGE_TONG_SELF_HOST=127.0.0.1")
        .change("ENV SWARMFORGE_TONG_SELF_PORT=7000")
        .change("HEALTHCHECK --interval=30s CMD [\"/fixture\", \"ask-env\", \"SELF\"]");
    define(&scene, "env", &image, "serve --port 7000", "60s");
    scene.up().output().assert_code(0);
    let user = scene.container("user");
    // `docker cp` keeps the numbers of the owner in its archive.
    let tar = std::process::Command::new("docker").args(["cp", &format!("{user}:/tmp/tested"), "-"]).output();
    let tar = tar.expect("docker runs").stdout;
    let mut archive = tar::Archive::new(tar.as_slice());
    let file = archive.entries().expect("an archive").next().expect("a file").expect("a header");
    assert_eq!((file.header().uid().ok(), file.header().gid().ok()), (Some(1234), Some(5678)));
}

#[test]
fn a_failing_test_counts_only_when_the_engine_says_so_and_then_at_once() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = Image::new().change(
        "HEALTHCHECK --interval=2s --retries=2 CMD [\"/fixture\", \"crash\", \"disk on fire\", \"5\"]",
    );
    define(&scene, "db", &image, "serve --port 7000", "60s");
    let (outcome, events) = scene.assert_not_ready(scene.up().output(), "sidecar-unhealthy");
    let told = events.one("not-ready");
    let runs = told["state"]["health"].as_array().map_or(0, Vec::len);
    assert!(runs >= 2, "one failure is not the engine's verdict: {told:#}");
    assert!(events.answers().contains(&"health test exited 5: disk on fire".to_owned()), "{told:#}");
    assert!(outcome.stderr().contains("disk on fire"), "{outcome}");
    assert!(!outcome.stderr().contains("--recreate"), "a new container has the same test: {outcome}");
    assert!(told["state"]["health"].to_string().contains("disk on fire"), "{told:#}");
}

#[test]
fn an_image_without_a_test_fails_at_once_with_the_way_out() {
    for (stem, image) in
        [("without", Image::new()), ("switched-off", Image::new().change("HEALTHCHECK NONE"))]
    {
        let Some(scene) = Scene::with_docker() else { return };
        define(&scene, stem, &image, "serve --port 7000", "60s");
        let (_, events) = scene.assert_not_ready(scene.up().output(), "probe-failed");
        let told = events.one("not-ready");
        assert!(number(&told["waited_ms"]) < 15_000.0, "{told:#}");
        assert!(text(&told["message"]).contains("declares no HEALTHCHECK"), "{told:#}");
    }
}

#[test]
fn a_test_that_passes_later_is_noticed() {
    let Some(scene) = Scene::with_docker() else { return };
    let file = "HEALTHCHECK --interval=1s CMD [\"/fixture\", \"healthy-when-file\", \"/tmp/ready\"]";
    define(&scene, "db", &Image::new().change(file), "wait", "60s");
    let running = scene.up().spawn();
    wait_until("the test failed once", PATIENT, || !scene.told().of("answered").is_empty());
    assert!(scene.told().of("ready").is_empty());
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/ready"]);
    running.wait().assert_code(0);
}

#[test]
fn a_test_that_hangs_is_cut_at_the_images_own_timeout() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = Image::new()
        .change("HEALTHCHECK --interval=30s --timeout=1s CMD [\"/fixture\", \"sleep\", \"20000\"]");
    define(&scene, "db", &image, "wait", "4s");
    let (_, events) = scene.assert_not_ready(scene.up().output(), "not-ready");
    assert_eq!(events.answers()[0], "the health test did not run: timed out");
    assert!(number(&events.one("not-ready")["waited_ms"]) < 9_000.0);
}
