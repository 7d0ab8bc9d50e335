//! The likely cause that a failure's report names, by its stable name, on a real engine: one test for each.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use crate::support::guest::{self, component, guest};
use crate::support::{Events, Image, Layer, Outcome, PATIENT, Scene, docker, fixture_image, wait_until};
use serde_json::Value;

const PORT: &str = "[interface]\nkind = \"port\"\nport = 7000\n";
const NO_PORT: &str = "[interface]\nkind = \"none\"\n";

/// A sidecar of this image that runs these arguments of the fixture, with the rest of its definition.
fn define(scene: &Scene, image: &str, arguments: &str, rest: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    scene.define(
        "db",
        &format!("lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {arguments:?}\n{rest}"),
    );
}

fn up(scene: &Scene, options: &[&str]) -> (Outcome, Events) {
    let path = scene.path("events.jsonl");
    drop(std::fs::remove_file(&path));
    let outcome = scene.farrier(["up", "--events"]).arg(&path).args(options).output();
    (outcome.assert_code(125), Events::read(&path))
}

/// The cause of the failure, once the report for people was seen to tell it too.
fn cause(outcome: &Outcome, events: &Events) -> Value {
    let cause = events.one("not-ready")["cause"].clone();
    let sentence = cause["message"].as_str().unwrap_or_else(|| panic!("no cause: {outcome}"));
    assert!(outcome.stderr().contains(&format!("likely cause: {sentence}")), "{outcome}");
    assert!(outcome.stderr().contains("help: "), "the next step: {outcome}");
    cause
}

fn fails(image: impl FnOnce() -> String, arguments: &str, rest: &str, expected: &str, words: &str) {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, &image(), arguments, rest);
    let (outcome, events) = up(&scene, &[]);
    let cause = cause(&outcome, &events);
    assert_eq!(cause["name"], expected, "{outcome}");
    assert!(cause["message"].as_str().is_some_and(|text| text.contains(words)), "{cause}");
}

#[test]
fn a_program_that_ends() {
    let rest = format!("{PORT}[readiness]\ntimeout = \"60s\"\n");
    fails(fixture_image, "crash boom 3", &rest, "exited", "exit code 3");
    fails(fixture_image, "exit 0", &rest, "exited", "must keep running");
    fails(fixture_image, "exit 127", &rest, "program-missing", "not in the image");
}

#[test]
fn a_program_that_needs_more_memory_than_it_may_have() {
    let rest = format!("resources.memory = \"16m\"\n{PORT}[readiness]\ntimeout = \"60s\"\n");
    fails(fixture_image, "eat-memory 64", &rest, "killed-for-memory", "16 MiB");
}

#[test]
fn a_server_that_listens_somewhere_else() {
    let rest = format!("{PORT}[readiness]\ntimeout = \"2s\"\n");
    fails(
        fixture_image,
        "serve --port 7000 --bind 127.0.0.1",
        &rest,
        "listens-on-loopback",
        "127.0.0.1 only",
    );
    fails(fixture_image, "serve --port 7001 --port 7002", &rest, "listens-elsewhere", "7001, 7002");
    fails(fixture_image, "wait", &rest, "listens-nowhere", "port 7000");
}

#[test]
fn where_a_server_listens_is_known_through_a_relay_too() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, &fixture_image(), "serve --port 7001", &format!("{PORT}[readiness]\ntimeout = \"1s\"\n"));
    let (outcome, events) = up(&scene, &["--dial", "relay"]);
    let told = events.one("not-ready");
    // The engine is on this host all the same, and its containers' processes can be looked at.
    assert_eq!(told["cause"]["name"], "listens-elsewhere", "{outcome}");
}

#[test]
fn a_health_test_that_fails() {
    let Some(scene) = Scene::with_docker() else { return };
    let failing = "CMD [\"/fixture\", \"healthy-when-file\", \"/never\"]";
    let image = scene.image(&Image::new().change(format!("HEALTHCHECK --interval=1h {failing}")));
    let rest = format!("{NO_PORT}[readiness]\nprobe = \"healthcheck\"\ntimeout = \"1s\"\n");
    fails(|| image.clone(), "wait", &rest.replace("1s", "10s"), "health-test-fails", "exit code 1: ");
    let slow =
        scene.image(&Image::new().change(format!("HEALTHCHECK --interval=1h --start-period=60s {failing}")));
    fails(|| slow.clone(), "wait", &rest, "timeout-below-start-period", "1m");
    let quick = scene.image(&Image::new().change(format!("HEALTHCHECK --interval=1s --retries=1 {failing}")));
    fails(|| quick.clone(), "wait", &rest.replace("1s", "60s"), "health-test-fails", "exit code 1: ");
}

#[test]
fn an_image_without_a_health_test() {
    let rest = format!("{NO_PORT}[readiness]\nprobe = \"healthcheck\"\ntimeout = \"60s\"\n");
    fails(fixture_image, "wait", &rest, "no-health-test", "no HEALTHCHECK");
}

#[test]
fn a_command_that_is_not_in_the_image() {
    let rest =
        format!("{NO_PORT}[readiness]\nprobe = \"exec\"\ncommand = [\"/pg_isready\"]\ntimeout = \"60s\"\n");
    fails(fixture_image, "wait", &rest, "command-missing", "not in the image");
}

#[test]
fn a_command_that_is_written_for_a_shell() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    for (command, instead) in [
        ("[\"cat /tmp/s | grep -q ready\"]", "cat /tmp/s | grep -q ready"),
        ("[\"/fixture\", \"exit\", \"1\", \"&&\", \"true\"]", "/fixture exit 1 && true"),
    ] {
        let rest =
            format!("{NO_PORT}[readiness]\nprobe = \"exec\"\ncommand = {command}\ntimeout = \"10s\"\n");
        define(&scene, &image, "wait", &rest);
        let (outcome, events) = up(&scene, &[]);
        assert_eq!(cause(&outcome, &events)["name"], "shell-missing", "{outcome}");
        let help = format!("command = [\"sh\", \"-c\", \"{instead}\"]");
        assert!(outcome.stderr().contains(&help), "{outcome}");
    }
}

#[test]
fn a_server_that_does_not_answer_http_in_time() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    let probe = "[readiness]\nprobe = \"http\"\ntimeout = \"3s\"\nlimits = { poll = \"500ms\" }\n";
    define(&scene, &image, "serve --port 7000 --half-open", &format!("{PORT}{probe}"));
    let (outcome, events) = up(&scene, &[]);
    let told = cause(&outcome, &events);
    assert_eq!(told["name"], "slow-answer", "{outcome}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("500ms")), "{told}");
    assert!(outcome.stderr().contains("raise `limits.poll`"), "{outcome}");
    // Where the wait itself was shorter than a poll may be, no limit of a poll is to blame.
    let hurried = format!("{PORT}{}", probe.replace("3s", "1s").replace("500ms", "10s"));
    define(&scene, &image, "serve --port 7000 --half-open", &hurried);
    let (outcome, events) = up(&scene, &[]);
    assert!(events.one("not-ready")["cause"].is_null(), "{outcome}");
}

#[test]
fn a_server_that_wants_credentials_or_speaks_something_else() {
    let http = "[readiness]\nprobe = \"http\"\ntimeout = \"1s\"\n";
    let Some(scene) = Scene::with_docker() else { return };
    for (reply, probe, expected) in [
        ("HTTP/1.1 401 Unauthorized\\r\\nContent-Length: 0\\r\\n\\r\\n", "http", Some("unauthorized")),
        ("HTTP/1.1 503 No\\r\\nContent-Length: 0\\r\\n\\r\\n", "http", None),
        ("220 mail.test ESMTP", "http", Some("protocol-fails")),
        ("220 mail.test ESMTP", "redis", Some("protocol-fails")),
    ] {
        let command = format!("[\"serve\", \"--port\", \"7000\", \"--reply\", \"{reply}\"]");
        let image = fixture_image();
        let readiness = http.replace("http", probe);
        scene.define(
            "db",
            &format!("lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {command}\n{PORT}{readiness}"),
        );
        let (outcome, events) = up(&scene, &[]);
        let told = &events.one("not-ready")["cause"];
        assert_eq!(told["name"].as_str(), expected, "{outcome}");
    }
}

#[test]
fn a_port_that_the_settings_name() {
    let Some(scene) = Scene::with_docker() else { return };
    let on = |port: u16, serving: u16, code: i32| {
        let readiness = format!(
            "{PORT}[readiness]\nsettings = {{ port = {port} }}\ngrants.dial = [\"self:{port}\"]\ntimeout = \"{}\"\n",
            if code == 0 { "60s" } else { "1s" }
        );
        define(&scene, &fixture_image(), &format!("serve --port {serving}"), &readiness);
        let path = scene.path("events.jsonl");
        drop(std::fs::remove_file(&path));
        let outcome = scene.farrier(["up", "--events"]).arg(&path).output().assert_code(code);
        (outcome, Events::read(&path))
    };
    on(9000, 9000, 0);
    let (outcome, events) = on(9001, 9000, 125);
    let cause = cause(&outcome, &events);
    assert_eq!(cause["name"], "listens-elsewhere");
    assert!(
        cause["message"].as_str().is_some_and(|text| text.contains("not listen on port 9001")),
        "{cause}"
    );
}

#[test]
fn a_container_that_somebody_else_removes() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, &fixture_image(), "wait", &format!("{PORT}[readiness]\ntimeout = \"60s\"\n"));
    let path = scene.path("events.jsonl");
    let running = scene.farrier(["up", "--events"]).arg(&path).spawn();
    wait_until("it was asked", PATIENT, || !Events::read(&path).of("answered").is_empty());
    docker(["rm", "--force", &scene.container("db")]);
    let outcome = running.wait().assert_code(125);
    assert_eq!(cause(&outcome, &Events::read(&path))["name"], "stopped-by-others");
}

#[test]
fn a_probe_that_is_at_fault_itself() {
    for (body, expected) in
        [(guest::TRAP, "probe-broken"), (guest::BOMB, "probe-memory"), (guest::SPIN, "probe-time")]
    {
        let Some(scene) = Scene::with_docker() else { return };
        scene.define_in(Layer::User, "mine.wasm", component(&guest(body)));
        let rest = format!(
            "{NO_PORT}[readiness]\nprobe = \"./mine.wasm\"\ntimeout = \"1500ms\"\nlimits = {{ poll = \"300ms\" }}\n"
        );
        define(&scene, &fixture_image(), "wait", &rest);
        let (outcome, events) = up(&scene, &[]);
        assert_eq!(cause(&outcome, &events)["name"], expected, "{outcome}");
    }
}

#[test]
fn a_probe_that_asks_for_what_it_was_not_granted() {
    let Some(scene) = Scene::with_docker() else { return };
    let frozen: &[u8] = include_bytes!("../fixtures/frozen/probe-0.1.0.wasm");
    scene.define_in(Layer::User, "frozen.wasm", frozen);
    let rest = format!(
        "{PORT}[readiness]\nprobe = \"./frozen.wasm\"\ntimeout = \"1s\"\n\
         settings = {{ command = [\"/fixture\", \"exit\", \"0\"], log = \"x\" }}\n\
         grants = {{ dial = [\"self:7001\"], exec = [[\"/other\"]], health = true, logs = true }}\n"
    );
    define(&scene, &fixture_image(), "serve --port 7000", &rest);
    let (outcome, events) = up(&scene, &[]);
    let cause = cause(&outcome, &events);
    assert_eq!(cause["name"], "not-granted");
    // The line that is missing, with everything that is granted already.
    let line =
        "grants = { dial = [\"self:7001\", \"self\"], exec = [[\"/other\"]], health = true, logs = true }";
    let step = format!("Write `{line}` under [readiness].");
    assert!(outcome.stderr().contains(&format!("help: {step}")), "{outcome}");
    assert!(!outcome.stderr().contains("Correct [readiness]"), "{outcome}");
    assert!(cause["message"].as_str().is_some_and(|text| text.ends_with(" is not granted")), "{cause}");
}

/// What was told of a launch that ended before any wait.
fn told_code(events: &Events) -> String {
    events.one("problem")["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_program_that_cannot_be_executed() {
    let rest = format!("{PORT}[readiness]\ntimeout = \"60s\"\n");
    for entrypoint in ["/nothing", "nothing", "/"] {
        let Some(scene) = Scene::with_docker() else { return };
        define(&scene, &fixture_image(), "wait", &format!("entrypoint = [\"{entrypoint}\"]\n{rest}"));
        let (outcome, events) = up(&scene, &[]);
        assert_eq!(told_code(&events), "program-missing", "{entrypoint}: {outcome}");
    }
    // What is not made for this machine is noticed when the kernel is asked to execute it.
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene.image(&Image::new().file(
        "/other",
        b"\x7fELF\x02\x01\x01 made for another machine".to_vec(),
        0o755,
    ));
    define(&scene, &image, "wait", &format!("entrypoint = [\"/other\"]\n{rest}"));
    let (outcome, events) = up(&scene, &[]);
    let found = events.of("not-ready").first().map(|told| told["cause"]["name"].clone());
    let found = found.unwrap_or_else(|| told_code(&events).into());
    assert_eq!(found, "wrong-architecture", "{outcome}");
}

#[test]
fn an_alias_that_another_container_holds() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let alias = scene.name("db");
    scene.docker_run(["--network", &network, "--network-alias", &alias, &fixture_image(), "wait"]);
    define(&scene, &fixture_image(), "wait", &format!("{PORT}[readiness]\nprobe = \"skip\"\n"));
    let path = scene.path("events.jsonl");
    let harness = ["docker", "run", "--rm", "--network", &network, &fixture_image(), "print", "x"];
    scene.farrier(["launch", "--events"]).arg(&path).arg("--").args(harness).output().assert_code(125);
    assert_eq!(told_code(&Events::read(&path)), "alias-taken");
}

#[test]
fn a_port_where_the_harness_has_no_network() {
    for network in ["none", "bridge", "container:x"] {
        let Some(scene) = Scene::with_docker() else { return };
        define(&scene, &fixture_image(), "wait", &format!("{PORT}[readiness]\nprobe = \"skip\"\n"));
        let path = scene.path("events.jsonl");
        let harness = ["docker", "run", "--rm", "--network", network, &fixture_image(), "print", "x"];
        scene.farrier(["launch", "--events"]).arg(&path).arg("--").args(harness).output().assert_code(125);
        assert_eq!(told_code(&Events::read(&path)), "network-unusable", "{network}");
    }
}

#[test]
fn an_engine_that_is_not_there_not_allowed_or_not_known() {
    let told = |prepare: &dyn Fn(&Scene, crate::support::Run) -> crate::support::Run| {
        let scene = Scene::new();
        define(&scene, "x", "wait", &format!("{PORT}[readiness]\nprobe = \"skip\"\n"));
        let path = scene.path("events.jsonl");
        let run = scene.farrier(["up", "--events"]).arg(&path);
        prepare(&scene, run).output().assert_code(125);
        told_code(&Events::read(&path))
    };
    let nowhere = |scene: &Scene| format!("unix://{}", scene.path("engine.sock").display());
    assert_eq!(told(&|scene, run| run.env("DOCKER_HOST", nowhere(scene))), "engine-unreachable");
    assert_eq!(
        told(&|_, run| run.env_remove("DOCKER_HOST").env("DOCKER_CONTEXT", "nowhere")),
        "engine-context"
    );
}

#[test]
fn an_engine_that_this_user_may_not_use() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    /// A user without any rights, on every Linux.
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().expect("a folder");
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    open(folder.path(), 0o755);
    let closed = folder.path().join("engine.sock");
    let _socket = std::os::unix::net::UnixListener::bind(&closed).expect("a socket");
    open(&closed, 0o000);
    let user = folder.path().join("user");
    std::fs::create_dir(&user).expect("a folder");
    let definition = "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"skip\"\n";
    std::fs::write(user.join("db.toml"), definition).expect("a definition");
    let farrier = folder.path().join("farrier");
    std::fs::copy(env!("CARGO_BIN_EXE_farrier"), &farrier).expect("the program");
    let told = folder.path().join("told");
    std::fs::create_dir(&told).expect("a folder");
    open(&told, 0o777);
    let events = told.join("events.jsonl");
    let mut command = std::process::Command::new(&farrier);
    command.args(["up", "--no-workspace", "--user-dir"]).arg(&user).arg("--events").arg(&events);
    command.env_clear().env("HOME", folder.path()).current_dir(folder.path());
    command.env("DOCKER_HOST", format!("unix://{}", closed.display()));
    if rustix::process::geteuid().is_root() {
        // Nothing is closed to root.
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert_eq!(told_code(&Events::read(&events)), "engine-permission", "{output:?}");
}
