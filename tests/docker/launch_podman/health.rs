//! The `healthcheck` probe: Podman runs health tests by timers of systemd or not at all, so farrier runs them itself.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use super::scene_on_podman;
use crate::support::docker::run;
use crate::support::engine::inspect;
use crate::support::events::text;
use crate::support::launching::identity;
use crate::support::{Image, PATIENT, Scene, docker, fixture_image, fixture_program, wait_until};

/// An image with this health test, which Podman itself would run only once an hour. `docker import` cannot make it, because
/// Podman accepts no HEALTHCHECK there, so this loads an archive in Docker's own form.
fn image_with_test(scene: &Scene, test: &[&str]) -> String {
    let health = format!("HEALTHCHECK --interval=3600000ms --retries=3 CMD {test:?}");
    let layout = scene.path("layout");
    let made = Image::new().change(health).layout(&fixture_program(), &layout);
    let config = made.unwrap_or_else(|trouble| panic!("{trouble}"));
    let blob = |digest: &str| {
        let hash = digest.trim_start_matches("sha256:");
        std::fs::read(layout.join("blobs/sha256").join(hash)).expect("a blob")
    };
    let config = blob(&config);
    let parsed: Value = serde_json::from_slice(&config).expect("a configuration");
    let layer = blob(&text(&parsed["rootfs"]["diff_ids"][0]));
    // The scene removes what has this tag, which moves to the loaded image.
    let tag = scene.tag(&fixture_image());
    let name = format!("docker.io/library/{tag}");
    let manifest =
        json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).to_string();
    let archive = scene.path("image.tar");
    let files = [
        ("manifest.json", manifest.as_bytes()),
        ("config.json", config.as_slice()),
        ("layer.tar", layer.as_slice()),
    ];
    write_archive(&archive, &files);
    // Podman fails if another test removes an image of the same layer meanwhile.
    let load = || run(["load", "--quiet", "--input", &archive.display().to_string()]);
    load().or_else(|_| load()).unwrap_or_else(|trouble| panic!("{trouble}"));
    tag
}

fn write_archive(path: &Path, files: &[(&str, &[u8])]) {
    let mut archive = tar::Builder::new(File::create(path).expect("an archive"));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).expect("a file in the archive");
    }
    archive.finish().expect("an archive");
}

/// Defines a sidecar `db` that only waits, with the image's health test.
fn define(scene: &Scene, test: &[&str], timeout: &str) {
    let image = image_with_test(scene, test);
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"wait\"]\n[interface]\nkind = \"none\"\n\
             [readiness]\nprobe = \"healthcheck\"\ntimeout = \"{timeout}\"\n"
        ),
    );
}

#[test]
fn a_health_test_that_podman_does_not_run_decides_readiness() {
    let Some((scene, _)) = scene_on_podman() else { return };
    define(&scene, &["/fixture", "healthy-when-file", "/tmp/ready"], "5m");
    let mut running = scene.up().spawn();
    wait_until("the test failed once", PATIENT, || {
        running.has_ended() || !scene.told().of("answered").is_empty()
    });
    assert!(scene.told().of("ready").is_empty());
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/ready"]);
    running.wait().assert_code(0);
    let health = inspect(&scene.container("db"), "{{.State.Health.Status}}");
    assert_eq!(health.as_deref(), Some("starting"), "Podman has not found it healthy itself");
}

#[test]
fn a_health_test_that_never_passes_is_told_with_its_output() {
    let Some((scene, _)) = scene_on_podman() else { return };
    define(&scene, &["/fixture", "crash", "disk on fire", "5"], "10s");
    let (outcome, events) = scene.assert_not_ready(scene.up().output(), "not-ready");
    let answers = events.answers();
    assert!(answers.contains(&"health test exited 5: disk on fire".to_owned()), "{answers:?}");
    assert!(outcome.stderr().contains("disk on fire"), "{outcome}");
}

/// Podman's answer about the image lacks the test, and its answer about the container has it.
#[test]
fn a_sidecar_with_a_health_test_is_reused() {
    let Some((scene, _)) = scene_on_podman() else { return };
    define(&scene, &["/fixture", "exit", "0"], "5m");
    scene.up().output().assert_code(0);
    let before = identity(&scene.container("db"));
    scene.take_events();
    scene.up().output().assert_code(0);
    assert_eq!(identity(&scene.container("db")), before, "{:?}", scene.take_decisions());
}
