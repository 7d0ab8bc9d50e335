//! Dialling through a relay container, on a real engine, and without dialling at all.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::engine::inspect;
use crate::support::{Image, PATIENT, Running, Scene, Signal, docker, fixture_image, servers, wait_until};

fn define(scene: &Scene, stem: &str, arguments: &str) {
    let (image, arguments): (String, Vec<&str>) = (fixture_image(), arguments.split(' ').collect());
    scene.define(
        stem,
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {arguments:?}\n\
             [interface]\nkind = \"port\"\nport = 7000\n[readiness]\nprobe = \"tcp\"\ntimeout = \"60s\"\n"
        ),
    );
}

fn wait_for_refusal(scene: &Scene) {
    wait_until("the probe was refused once", PATIENT, || {
        scene.told().of("answered").iter().any(|event| event["answer"] == "connection refused")
    });
}

/// The relay containers of one farrier process, stopped ones too.
fn relays(process: u32) -> Vec<String> {
    let label = format!("label=farrier.relay={process}");
    let found = docker(["container", "ls", "--all", "--quiet", "--no-trunc", "--filter", &label]);
    found.lines().map(str::to_owned).collect()
}

fn only_relay(running: &Running) -> String {
    let found = relays(running.id());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn wait_until_gone(process: u32) {
    wait_until("no relay is left", PATIENT, || relays(process).is_empty());
}

#[test]
fn our_program_relays_from_an_image_without_any_tool_unprivileged_and_is_gone_afterwards() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait");
    let running = scene.up().args(["--dial", "relay"]).spawn();
    wait_for_refusal(&scene);
    let relay = only_relay(&running);
    let said = |format: &str| inspect(&relay, format).unwrap_or_default();
    assert_eq!(said("{{json .Config.Entrypoint}}"), "[\"/farrier-relay\"]");
    assert_eq!(said("{{json .Mounts}} {{json .HostConfig.Binds}}"), "[] null");
    assert_eq!(said("{{json .HostConfig.CapDrop}} {{json .HostConfig.CapAdd}}"), "[\"ALL\"] null");
    assert_eq!(said("{{.HostConfig.Privileged}} {{.HostConfig.AutoRemove}}"), "false true");
    assert_eq!(said("{{.HostConfig.LogConfig.Type}}"), "none", "what is carried stays out of files");
    assert_eq!(said("{{json .HostConfig.SecurityOpt}}"), "[\"no-new-privileges\"]");
    assert!(matches!(said("{{.Config.User}}").as_str(), "nobody" | "65534" | "65534:65534"));
    assert!(!said("{{json .Config.Env}}").contains("FARRIER"), "{}", said("{{json .Config.Env}}"));
    let process = running.id();
    scene.listen("db");
    running.wait().assert_code(0);
    assert_eq!(scene.told().of("problem").len(), 0);
    wait_until_gone(process);
}

#[test]
fn the_relay_ends_when_farrier_is_killed() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait");
    let running = scene.up().args(["--dial", "relay"]).spawn();
    wait_for_refusal(&scene);
    assert_eq!(relays(running.id()).len(), 1);
    let process = running.id();
    running.signal(Signal::KILL);
    drop(running);
    wait_until_gone(process);
}

/// Removes the relay of a launch that waits, and waits until the launch says so.
fn remove_relay(scene: &Scene, running: &Running, times: usize) {
    docker(["rm", "--force", &only_relay(running)]);
    wait_until("the end is told", PATIENT, || scene.told().of("problem").len() >= times);
    let codes: Vec<Value> = scene.told().of("problem").iter().map(|event| event["code"].clone()).collect();
    assert_eq!(codes, vec![Value::from("relay-ended"); times]);
}

fn goes_on_without_its_first_relay(image: impl FnOnce(&Scene) -> Option<String>) {
    let Some(scene) = Scene::with_docker() else { return };
    let image = image(&scene);
    define(&scene, "db", "wait");
    let named = image.iter().flat_map(|image| ["--probe-image", image]);
    let running = scene.up().args(["--dial", "relay"]).args(named).spawn();
    wait_for_refusal(&scene);
    remove_relay(&scene, &running, 1);
    scene.listen("db");
    let process = running.id();
    let outcome = running.wait().assert_code(0);
    let said = "the relay container ended, or the connection to it broke; farrier dials through a new relay";
    assert!(outcome.stderr().contains(said), "{outcome}");
    wait_until_gone(process);
}

#[test]
fn a_relay_that_somebody_removes_is_made_anew() {
    goes_on_without_its_first_relay(|_| None);
}

#[test]
fn so_is_one_that_runs_a_tool() {
    goes_on_without_its_first_relay(|scene| Some(bash_image(scene)));
}

#[test]
fn relays_that_always_end_are_not_made_for_ever() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait");
    let running = scene.up().args(["--dial", "relay"]).spawn();
    wait_for_refusal(&scene);
    for times in 1..=3 {
        remove_relay(&scene, &running, times);
    }
    docker(["rm", "--force", &only_relay(&running)]);
    wait_until("that there is none is the answer", PATIENT, || {
        let answers = scene.told();
        answers.of("answered").iter().any(|event| event["answer"] == "the relay container ended")
    });
    assert_eq!(relays(running.id()), Vec::<String>::new());
    running.signal(Signal::TERM);
    running.wait().assert_code(143);
}

#[test]
fn one_relay_serves_all_sidecars_also_if_the_named_image_has_no_tool() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene.image(&Image::new().change("USER 1:1").change("VOLUME [\"/data\"]"));
    for stem in ["one", "two", "three"] {
        define(&scene, stem, "wait");
    }
    let running = scene.up().args(["--dial", "relay"]).args(["--probe-image", &image]).spawn();
    wait_until("each was refused", PATIENT, || {
        ["one", "two", "three"]
            .iter()
            .all(|stem| scene.told().of("answered").iter().any(|event| event["sidecar"] == scene.name(stem)))
    });
    let image = inspect(&only_relay(&running), "{{.Config.Image}}").unwrap_or_default();
    assert!(image.starts_with("localhost/farrier-relay:"), "{image}");
    for stem in ["one", "two", "three"] {
        scene.listen(stem);
    }
    let process = running.id();
    running.wait().assert_code(0);
    wait_until_gone(process);
}

#[test]
fn without_dialling_running_is_ready_and_that_is_said_once() {
    let Some(scene) = Scene::with_docker() else { return };
    for stem in ["one", "two", "three"] {
        define(&scene, stem, "wait");
    }
    let outcome = scene.up().args(["--dial", "none"]).output().assert_code(0);
    let events = scene.told();
    assert_eq!(events.of("ready").len(), 3);
    let problem = events.one("problem");
    assert_eq!(problem["code"], "cannot-dial");
    assert_eq!(outcome.stderr().matches("cannot-dial").count(), 1, "{outcome}");
}

/// An image with this host's bash and cat and the libraries that they need.
fn bash_image(scene: &Scene) -> String {
    let mut image = Image::new();
    let mut known = std::collections::BTreeSet::new();
    for program in ["/bin/bash", "/bin/cat"] {
        let listed = Command::new("ldd").arg(program).output().expect("ldd runs").stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
        for path in libraries.chain([program]) {
            if known.insert(path.to_owned()) {
                image = image.file(path, std::fs::read(path).expect("readable"), 0o755);
            }
        }
    }
    scene.image(&image)
}

/// Waits through the relay that this image makes, and gives its entrypoint.
fn relayed_by(scene: &Scene, image: &str) -> String {
    define(scene, "db", "wait");
    let running = scene.up().args(["--dial", "relay"]).args(["--probe-image", image]).spawn();
    wait_for_refusal(scene);
    let entrypoint = inspect(&only_relay(&running), "{{json .Config.Entrypoint}}").unwrap_or_default();
    let process = running.id();
    scene.listen("db");
    running.wait().assert_code(0);
    wait_until_gone(process);
    entrypoint
}

/// Dials from a relay of this image, else of our own: what nobody listens on, a server that answers, one that closes, and
/// the answers of many lines at once.
async fn exchange(scene: &Scene, named: Option<String>) {
    use farrier::engine::dialler::DialError;
    use farrier::engine::docker::address::{Choice, Environment, resolve};
    use farrier::engine::docker::api::Api;
    use farrier::engine::docker::client::Client;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let network = scene.network("net");
    let name = scene.name("server");
    let serve = ["serve", "--port", "7000", "--touch", "/tmp/ready"];
    let own = ["--network", &network, "--name", &name, &fixture_image()].map(str::to_owned);
    scene.docker_run(own.into_iter().chain(serve.map(str::to_owned)));
    docker([
        "exec",
        "--detach",
        &name,
        "/fixture",
        "serve",
        "--port",
        "7001",
        "--close",
        "--touch",
        "/tmp/closing",
    ]);
    for file in ["/tmp/ready", "/tmp/closing"] {
        let look = ["exec", &name, "/fixture", "healthy-when-file", file];
        wait_until("the server listens", PATIENT, || crate::support::docker::run(look).is_ok());
    }
    let address =
        inspect(&name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").expect("it runs");
    let at = |port: u16| format!("{address}:{port}").parse().expect("an address");

    let home = std::env::var_os("HOME").map(Into::into);
    let environment = Environment::new(|name| std::env::var_os(name), home);
    let found = resolve(&Choice::default(), &environment).unwrap_or_else(|problem| panic!("{problem}"));
    let engine: std::sync::Arc<dyn Api> = std::sync::Arc::new(Client::open(&found).expect("an engine"));
    let images = farrier::engine::RelayImages { named, ..Default::default() };
    let relay = farrier::engine::docker::relay::start(&engine, &network, &images, async { Ok(None) })
        .await
        .expect("an answer")
        .unwrap_or_else(|reason| panic!("{reason}"));

    let limit = Duration::from_secs(5);
    assert!(matches!(relay.connect(at(7002), limit).await.err(), Some(DialError::Refused)));
    let mut closing = relay.connect(at(7001), limit).await.expect("it accepts");
    let ended = tokio::time::timeout(PATIENT, closing.read(&mut [0; 1])).await.expect("the end is seen");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let lines: Vec<String> = (0..2_000).map(|number| format!("{number} {}\n", "x".repeat(100))).collect();
    let sent = lines.concat();
    let (mut answers, mut questions) =
        tokio::io::split(relay.connect(at(7000), limit).await.expect("it accepts"));
    let mut received = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        async {
            questions.write_all(sent.as_bytes()).await?;
            questions.flush().await
        },
        tokio::time::timeout(PATIENT, answers.read_exact(&mut received)),
    );
    written.expect("written");
    read.expect("in time").expect("answered");
    assert!(received == sent.as_bytes(), "what came back is not what was sent");
}

#[tokio::test]
async fn bytes_go_both_ways_through_our_program() {
    let Some(scene) = Scene::with_docker() else { return };
    exchange(&scene, None).await;
}

#[tokio::test]
async fn bytes_go_both_ways_through_netcat() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = servers::redis_image() else { return };
    exchange(&scene, Some(image)).await;
}

#[tokio::test]
async fn bytes_go_both_ways_through_bash() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = bash_image(&scene);
    exchange(&scene, Some(image)).await;
}

#[test]
fn netcat_of_the_named_image_relays() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = servers::redis_image() else { return };
    let entrypoint = relayed_by(&scene, &image);
    assert_eq!(entrypoint, r#"["sh","-c","cat >/dev/null"]"#);
}

#[test]
fn so_does_its_bash_where_there_is_nothing_else() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = bash_image(&scene);
    let entrypoint = relayed_by(&scene, &image);
    assert_eq!(entrypoint, r#"["bash","-c","cat >/dev/null"]"#);
}
