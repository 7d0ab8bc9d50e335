//! Farrier's own files where there is no room or no permission: what is optional is done without, what is needed is
//! named with a way out.

use std::os::unix::fs::PermissionsExt;

use crate::support::launching::{assert_answered, server};
use crate::support::{Outcome, Run, Scene, fixture_image, fixture_program};

fn scene() -> Option<Scene> {
    let scene = Scene::with_docker()?.isolated();
    scene.define("db", &server(&fixture_image(), ""));
    Some(scene)
}

/// A harness on this host that asks the sidecar.
fn harness(scene: &Scene) -> [String; 3] {
    [fixture_program().display().to_string(), "ask-env".to_owned(), scene.variable("db")]
}

fn launch(scene: &Scene) -> Run {
    scene.farrier(["launch", "--"]).args(harness(scene))
}

/// A launch that sees a full disk at this folder: a file system of one page, in a mount namespace of its own. None
/// where this user may not mount.
fn with_full_disk(scene: &Scene, folder: &str) -> Option<Outcome> {
    let script = "mount -t tmpfs -o size=4k,nr_inodes=3 none \"$1\" && chmod 1777 \"$1\" && \
                  { head -c 8192 /dev/zero > \"$1/filler\"; shift; exec \"$@\"; }";
    let may_mount = Run::program(scene, "unshare").args(["--mount", "true"]).output().code() == Some(0);
    if !may_mount {
        println!("SKIPPED: this user may not mount");
        return None;
    }
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let run = Run::program(scene, "unshare").args(["--mount", "sh", "-c", script, "sh", folder, farrier]);
    Some(run.args(["launch", "--"]).args(harness(scene)).output())
}

#[test]
fn without_room_for_compiled_probes_launches_go_on() {
    let Some(scene) = scene() else { return };
    for folder in [scene.cache_home().display().to_string(), scene.state_home().display().to_string()] {
        let Some(outcome) = with_full_disk(&scene, &folder) else { return };
        assert_answered(outcome);
    }
}

#[test]
fn without_room_for_locks_the_folder_is_named_with_a_way_out() {
    let Some(scene) = scene() else { return };
    // It exists from here on.
    assert_answered(launch(&scene).output());
    let folder = farrier::system::lock::folder().display().to_string();
    let Some(outcome) = with_full_disk(&scene, &folder) else { return };
    let outcome = outcome.assert_code(125);
    for part in ["error[state-unusable]", folder.as_str(), "disk"] {
        assert!(outcome.stderr().contains(part), "{part}: {outcome}");
    }
}

#[test]
fn what_is_told_to_a_full_disk_or_to_nobody_ends_no_launch() {
    let Some(scene) = scene() else { return };
    let told = scene.farrier(["launch", "--events", "/dev/full", "--"]).args(harness(&scene)).output();
    assert!(!told.stderr().contains("panicked"), "{told}");
    assert_answered(told);
    let script = "exec \"$@\" 2>/dev/full";
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let silent =
        Run::program(&scene, "sh").args(["-c", script, "sh", farrier, "launch", "-vv", "--recreate", "--"]);
    assert_answered(silent.args(harness(&scene)).output());
}

#[test]
fn folders_that_others_may_write_or_that_are_files_are_done_without() {
    let Some(scene) = scene() else { return };
    let cache = scene.cache_home().to_owned();
    for mode in [0o777, 0o000, 0o500] {
        std::fs::create_dir_all(cache.join("farrier")).expect("a folder");
        std::fs::set_permissions(cache.join("farrier"), PermissionsExt::from_mode(mode)).expect("a mode");
        assert_answered(launch(&scene).output());
    }
    std::fs::set_permissions(cache.join("farrier"), PermissionsExt::from_mode(0o700)).expect("a mode");
    std::fs::remove_dir_all(cache.join("farrier")).expect("it goes");
    std::fs::write(cache.join("farrier"), "a file").expect("a file");
    assert_answered(launch(&scene).output());
}
