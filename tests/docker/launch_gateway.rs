//! A harness in a container of Docker's that reaches sidecars of the engine `native`, and nobody else who does.

use crate::support::engine::is_running;
use crate::support::{
    Image, Layer, PATIENT, Scene, assert_output, docker, fixture_image, fixture_program, free_port,
    wait_until,
};

/// Removes what Docker does not know of.
struct Native<'a>(&'a Scene);

impl Drop for Native<'_> {
    fn drop(&mut self) {
        let _ = self.0.farrier(["down", "--all", "--yes", "--force", "--engine", "native"]).output();
    }
}

/// A sidecar of an image in a file, which listens at an address of its own.
fn image_file(scene: &Scene, stem: &str, port: u16) {
    let folder = scene.layer(Layer::User).join(stem);
    Image::new().layout(&fixture_program(), &folder).unwrap_or_else(|trouble| panic!("{trouble}"));
    let name = scene.name(stem);
    scene.define(stem, &format!(
        "lifecycle = 'shared'\nimage = 'oci:./{stem}'\ncommand = ['serve', '--port', '{port}', '--reply', 'from {stem}']\n\
         [interface]\nkind = 'port'\nport = {port}\naliases = ['alias-{name}']\n"
    ));
}

/// A program, which listens at all addresses of this host.
fn program(scene: &Scene, stem: &str, port: u16) {
    let program = fixture_program().display().to_string();
    scene.define(stem, &format!(
        "lifecycle = 'shared'\nprogram = ['{program}', 'serve', '--port', '{port}', '--reply', 'from {stem}']\n\
         [interface]\nkind = 'port'\nport = {port}\n"
    ));
}

#[test]
fn a_harness_in_a_container_reaches_what_this_host_runs_itself_on_each_kind_of_network() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let _native = Native(&scene);
    image_file(&scene, "box", free_port());
    program(&scene, "own", free_port());
    let (image, network) = (fixture_image(), scene.network("net"));
    let ask = |options: &[&str], stem: &str| {
        let run = [&["launch", "--", "docker", "run", "--rm"], options, &[&image, "ask-env"]].concat();
        scene.farrier(run).arg(scene.variable(stem)).output().assert_code(0).stdout()
    };
    // Docker's default network, and one of the harness's own.
    for options in [&[][..], &["--network", &network]] {
        for stem in ["box", "own"] {
            assert_eq!(ask(options, stem), format!("from {stem}\n"), "{options:?}");
        }
    }
    // The network on which farrier's containers are.
    let text = format!(
        "lifecycle = 'shared'\nimage = '{image}'\ncommand = ['serve', '--port', '7000', '--reply', 'from third']\n\
         [interface]\nkind = 'port'\nport = 7000\n"
    );
    scene.define("third", &text);
    for options in [&[][..], &["--network", &network]] {
        for stem in ["box", "own", "third"] {
            assert_eq!(ask(options, stem), format!("from {stem}\n"), "{options:?}");
        }
    }
}

#[test]
fn what_farrier_listens_to_for_a_harness_is_open_to_its_network_alone_and_closed_after_it() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let _native = Native(&scene);
    let port = free_port();
    image_file(&scene, "box", port);
    let (image, network, other) = (fixture_image(), scene.network("net"), scene.network("other"));
    let gateway = docker(["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &network]);
    let reached_from = |network: &str| {
        let port = port.to_string();
        let run = ["run", "--rm", "--network", network, &image, "ask", &gateway, &port];
        crate::support::docker::run(run).is_ok_and(|told| told == "from box")
    };
    let harness = scene.name("harness");
    let words =
        ["launch", "--", "docker", "run", "--rm", "--name", &harness, "--network", &network, &image, "wait"];
    let launch = scene.farrier(words).spawn();
    wait_until("the harness runs", PATIENT, || is_running(&harness));
    assert!(reached_from(&network), "whoever is on the network of the harness");
    for elsewhere in [&other, "bridge"] {
        assert!(!reached_from(elsewhere), "{elsewhere}");
    }
    docker(["kill", &harness]);
    launch.wait().assert_code(137);
    assert!(!reached_from(&network), "the harness has ended");
}

#[test]
fn what_cannot_be_reached_from_a_container_is_refused_before_anything_is_started() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let _native = Native(&scene);
    image_file(&scene, "box", free_port());
    let image = fixture_image();
    let absent = scene.name("absent");
    for (options, reason) in [
        (&["--detach"][..], "only to a harness in the foreground"),
        (&["--network", &absent], absent.as_str()),
    ] {
        let run = [&["launch", "--", "docker", "run", "--rm"], options, &[&image, "wait"]].concat();
        let launch = scene.farrier(run).output().assert_code(125);
        let told = launch.stderr();
        assert!(told.contains("[harness-no-route]") && told.contains(reason), "{launch}");
    }
    let create =
        scene.farrier(["launch", "--", "docker", "create", &image, "wait"]).output().assert_code(125);
    assert_output!(create, @"
    exit code 125
    --- stdout
    --- stderr
    error[harness-no-route]: the harness runs in a container, and cannot reach `box-[TOKEN]` on this host: farrier forwards connections only to a harness that it runs itself
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: Run the harness on this host, or give it `--network host`.
      = help: Or load the image into the harness's engine, and name it by its reference.
    ");
    let port = free_port();
    image_file(&scene, "box", port);
    image_file(&scene, "two", port);
    let both =
        scene.farrier(["launch", "--", "docker", "run", "--rm", &image, "wait"]).output().assert_code(125);
    let told = both.stderr();
    assert!(told.contains("[harness-no-route]") && told.contains(&format!("has port {port}, too")), "{both}");
    let told =
        scene.farrier(["ps", "--engine", "native", "--format", "json"]).output().assert_code(0).stdout();
    assert!(told.contains("\"sidecars\": []") || told.contains("\"sidecars\":[]"), "{told}");
}
