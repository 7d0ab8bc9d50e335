//! The engine's socket in a sidecar, which is Podman's own.

use std::process::{Command, Stdio};

use super::scene_on_podman;
use crate::support::engine::inspect;
use crate::support::launching::{identity, idler};
use crate::support::{docker, fixture_image};

/// Where Podman says that it listens.
fn socket(host: &str) -> String {
    let mut podman = Command::new("podman");
    podman.args(["--url", host, "info", "--format", "{{.Host.RemoteSocket.Path}}"]);
    let output = podman.stdin(Stdio::null()).output().expect("Podman's client");
    let path = String::from_utf8(output.stdout).expect("UTF-8");
    path.trim().trim_start_matches("unix://").to_owned()
}

#[test]
fn a_sidecar_that_wants_the_engines_socket_gets_podmans_own() {
    let Some((scene, host)) = scene_on_podman() else { return };
    scene.define("own", &idler(&fixture_image(), "command = [\"wait\"]\nmounts = [\"docker-socket:ro\"]"));
    scene.up().output().assert_code(0);
    let container = scene.container("own");
    let mounted = || inspect(&container, "{{range .Mounts}}{{.Source}} at {{.Destination}}{{end}}");
    let expected = Some(format!("{} at /var/run/docker.sock", socket(&host)));
    assert_eq!(mounted(), expected);
    let before = identity(&container);
    scene.up().output().assert_code(0);
    assert_eq!(identity(&container), before, "it is what the definition says");
    // A container of the same definition that has another one.
    let labels = inspect(&container, "{{range $name, $text := .Config.Labels}}{{$name}}={{$text}}\n{{end}}");
    let labels = labels.expect("labels");
    let mut run = vec!["run", "--detach", "--name", &container, "--network", "farrier"];
    run.extend(labels.lines().filter(|line| !line.is_empty()).flat_map(|line| ["--label", line]));
    // Any file that Podman sees stands for it.
    let mount = "type=bind,source=/etc/passwd,target=/var/run/docker.sock,readonly";
    let image = fixture_image();
    run.extend(["--mount", mount, &image, "wait"]);
    docker(["rm", "--force", &container]);
    docker(run);
    let up = scene.up().output().assert_code(0);
    assert!(up.stderr().contains("recreate") && up.stderr().contains("mounts"), "{up}");
    assert_eq!(mounted(), expected);
}
