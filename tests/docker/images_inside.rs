//! Images in files where farrier runs in an ordinary container itself, as in CI and for agents.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::host_programs::with_programs;
use crate::support::{Image, Scene, fixture_program};

/// The image with all files of a folder.
fn with_folder(mut image: Image, folder: &Path, at: &str) -> Image {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = format!("{at}/{}", entry.file_name().display());
        image = if entry.path().is_dir() {
            with_folder(image, &entry.path(), &path)
        } else {
            image.file(&path, std::fs::read(entry.path()).expect("a file"), 0o644)
        };
    }
    image
}

/// What comes of a launch in a container, whose sidecar has these lines.
fn launched(scene: &Scene, lines: &str) -> impl Fn(&[&str]) -> Output {
    let definition = format!(
        "lifecycle = \"shared\"\nimage = \"oci:./layout\"\n{lines}\n[interface]\nkind = \"port\"\nport = 7000\n\
         [readiness]\nprobe = \"tcp\"\n"
    );
    launched_as(scene, definition)
}

/// What comes of a launch in a container with this definition of a sidecar `box`.
fn launched_as(scene: &Scene, definition: String) -> impl Fn(&[&str]) -> Output {
    let layout = scene.path("layout");
    let sidecar = Image::new().change("CMD [\"serve\", \"--port\", \"7000\", \"--reply\", \"from inside\"]");
    sidecar.layout(&fixture_program(), &layout).unwrap_or_else(|trouble| panic!("{trouble}"));
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let image = with_programs(Image::new(), &[farrier]).file("/sidecars/box.toml", definition, 0o644);
    let image = scene.image(&with_folder(image, &layout, "/sidecars/layout"));
    let label = scene.label();
    move |options: &[&str]| {
        Command::new("docker")
            .args(["run", "--rm", "--label", &label, "--env", "HOME=/tmp"])
            .args(options)
            .args(["--env", "DOCKER_HOST=unix:///nowhere.sock", "--entrypoint", farrier, &image, "launch"])
            .args(["--no-workspace", "--user-dir", "/sidecars", "--", "/fixture", "ask-env", "BOX"])
            .output()
            .expect("docker runs")
    }
}

#[test]
fn in_a_container_images_run_and_it_is_told_that_nothing_keeps_them_apart() {
    let Some(scene) = Scene::with_docker() else { return };
    let launch = launched(&scene, "");
    let run = |options: &[&str]| {
        let output = launch(options);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "from inside\n", "{told}");
        told
    };
    let told = run(&[]);
    assert_eq!(told.matches("[no-isolation]").count(), 1, "{told}");
    let told = run(&["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
    assert!(!told.contains("[no-isolation]"), "{told}");
}

#[test]
fn in_a_container_what_cannot_be_mounted_is_refused_by_name() {
    let Some(scene) = Scene::with_docker() else { return };
    let launch = launched(&scene, "mounts = [\"volume:data:/data\", \"tmpfs:/made\"]");
    let refused = launch(&[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(125), "{told}");
    assert!(told.contains("[engine-lacks]") && told.contains("`/data`, `/made`"), "{told}");
    let mounted = launch(&["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
    assert_eq!(String::from_utf8_lossy(&mounted.stdout), "from inside\n", "{mounted:?}");
}

#[test]
fn in_a_container_a_program_that_cannot_be_confined_is_not_started() {
    let Some(scene) = Scene::with_docker() else { return };
    let definition = "lifecycle = \"shared\"\nprogram = [\"/fixture\", \"serve\", \"--port\", \"7000\", \"--reply\", \"from inside\"]\n\
                      confine = { network = \"loopback\" }\n[interface]\nkind = \"port\"\nport = 7000\n";
    let launch = launched_as(&scene, definition.to_owned());
    for options in [&[][..], &["--user", "1000"]] {
        let refused = launch(options);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(125), "{told}");
        assert!(told.contains("[engine-lacks]: this host cannot confine a program"), "{told}");
    }
    // Here it is confined or refused: filters of system calls differ between versions of Docker.
    let confined = launch(&["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
    let told = String::from_utf8_lossy(&confined.stderr).into_owned();
    if !told.contains("[engine-lacks]: this host cannot confine a program") {
        assert_eq!(String::from_utf8_lossy(&confined.stdout), "from inside\n", "{told}");
    }
}
