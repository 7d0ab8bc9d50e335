//! The users of a container, in the user namespace that Podman gives it.

use std::os::unix::fs::MetadataExt;

use super::scene_on_podman;
use crate::support::engine::inspect;
use crate::support::launching::{identity, idler};
use crate::support::skipping::say_skipped;
use crate::support::{docker, fixture_image};

/// The number that a container's first process has as a user of this host.
fn user_on_this_host(container: &str) -> Option<u32> {
    let process = inspect(container, "{{.State.Pid}}")?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn root_of_a_container_is_podmans_own_user_and_another_user_is_neither() {
    let Some((scene, host)) = scene_on_podman() else { return };
    let Some(socket) = host.strip_prefix("unix://") else {
        say_skipped("Podman is not on this host");
        return;
    };
    let engine = std::fs::metadata(socket).expect("Podman's socket").uid();
    scene.define("root", &idler(&fixture_image(), "command = [\"wait\"]"));
    scene.define("other", &idler(&fixture_image(), "command = [\"wait\"]\nuser = \"1000:1000\""));
    scene.up().output().assert_code(0);
    let containers = ["root", "other"].map(|stem| scene.container(stem));
    let users = containers.each_ref().map(|container| docker(["exec", container, "/fixture", "identity"]));
    assert!(users[0].starts_with("user 0 group 0 "), "{users:?}");
    assert!(users[1].starts_with("user 1000 group 1000 "), "{users:?}");
    let [root, other] = containers.each_ref().map(|container| user_on_this_host(container));
    assert_eq!(root, Some(engine), "it may do on this host what Podman's user may do, and no more");
    assert!(other.is_some_and(|other| other != 0 && other != engine), "{other:?}");
    // Podman's words for users are no change.
    let before = containers.each_ref().map(|container| identity(container));
    scene.up().output().assert_code(0);
    assert_eq!(containers.each_ref().map(|container| identity(container)), before);
}
