//! The probes of `examples/probes`, in other languages or without the SDK: each is built as its README says, and tells a real
//! server that serves from one that does not.

#![allow(clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::support::engine::build_directory;
use crate::support::servers::image_of_brokers;
use crate::support::toolchains::{compiles_c, compiles_go, guest_compiler, own};
use crate::support::{Events, Layer, Outcome, PATIENT, Run, Scene, docker, wait_until};

/// An example's folder, and the scene in which its definition is used.
struct Example {
    scene: Scene,
    folder: PathBuf,
    name: &'static str,
    image: String,
}

impl Example {
    /// Builds `NAME.wasm` with the example's own script. None if there is no engine, or no image of the server.
    fn build(folder: &str, name: &'static str, variables: &[(&str, OsString)]) -> Option<Self> {
        let scene = Scene::with_docker()?;
        let image = image_of_brokers()?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes").join(folder);
        let component = scene.layer(Layer::User).join(format!("{name}.wasm"));
        std::fs::create_dir_all(scene.layer(Layer::User)).expect("a folder");
        let build = Run::program(&scene, folder.join("build.sh")).arg(&component);
        let mut build = own(build, &folder).env("FARRIER", env!("CARGO_BIN_EXE_farrier"));
        for (variable, value) in variables {
            build = build.env(*variable, value.clone());
        }
        let outcome = build.output().assert_code(0);
        assert!(outcome.stdout().contains("grants = { dial = [\"self\"] }"), "{outcome}");
        Some(Self { scene, folder, name, image })
    }

    /// Writes the example's definition, with the image of the tests and these lines in place of others.
    fn define(&self, timeout: &str, changes: &[(&str, &str)]) {
        let file = self.folder.join(format!("{}.toml", self.name));
        let text = std::fs::read_to_string(file).expect("the definition");
        let image = format!("image = \"{}\"", self.image);
        let begins = |line: &str| {
            let replaced = changes.iter().find(|(beginning, _)| line.starts_with(beginning));
            replaced.map(|(_, instead)| (*instead).to_owned())
        };
        let lines = text.lines().map(|line| match begins(line) {
            Some(instead) => instead,
            None if line.starts_with("image = ") => image.clone(),
            None => line.to_owned(),
        });
        let mut lines: Vec<String> = lines.collect();
        lines.push(format!("timeout = \"{timeout}\""));
        self.scene.define(self.name, &lines.join("\n"));
    }

    fn up(&self, timeout: &str, changes: &[(&str, &str)]) -> (Outcome, Events) {
        self.define(timeout, changes);
        let path = self.scene.path("events.jsonl");
        drop(std::fs::remove_file(&path));
        let outcome = self.scene.farrier(["up", "--events"]).arg(&path).output();
        (outcome, Events::read(&path))
    }

    fn is_ready(&self, changes: &[(&str, &str)]) {
        self.up("60s", changes).0.assert_code(0);
    }

    fn is_not_ready(&self, timeout: &str, changes: &[(&str, &str)], answer: &str) {
        let (outcome, events) = self.up(timeout, changes);
        let outcome = outcome.assert_code(125);
        let answers = events.answers();
        assert!(answers.iter().any(|found| found.contains(answer)), "{answers:#?}\n{outcome}");
    }
}

/// An answer that ends the wait at once must come long before this.
const LONG: &str = "60s";

#[test]
fn a_probe_in_c_tells_a_broker_that_accepts_clients() {
    if !compiles_c() {
        return;
    }
    let Some(example) = Example::build("mqtt-c", "mqtt", &[]) else { return };
    let configured = |lines: &str, before: &str| {
        let script = format!("printf '{lines}' >/tmp/conf; {before} exec mosquitto -c /tmp/conf");
        format!("entrypoint = [\"sh\", \"-c\", {script:?}]")
    };
    let open = configured("listener 1883\\nallow_anonymous true\\n", "");
    example.is_ready(&[("command", &open)]);
    let late =
        configured("listener 1883\\nallow_anonymous true\\n", "until [ -e /tmp/begin ]; do sleep 0.1; done;");
    example.define("60s", &[("command", &late)]);
    example.scene.take_events();
    let running = example.scene.up().spawn();
    wait_until("it is refused", PATIENT, || {
        example.scene.told().answered().iter().any(|answer| answer == "connection refused")
    });
    docker(["exec", &example.scene.container("mqtt"), "sh", "-c", ": >/tmp/begin"]);
    running.wait().assert_code(0);
    let guarded = configured("listener 1883\\nallow_anonymous false\\n", "");
    example.is_not_ready(LONG, &[("command", &guarded)], "the broker wants a login");
    let other = "command = [\"nats-server\", \"--port\", \"1883\"]";
    example.is_not_ready(LONG, &[("command", other)], "the port does not speak MQTT");
}

#[test]
fn a_probe_without_the_sdk_tells_a_name_server_that_answers() {
    let Some(compiler) = guest_compiler() else { return };
    let Some(example) = Example::build("dns-wit-bindgen", "dns", &[("RUSTC", compiler)]) else { return };
    example.is_ready(&[]);
    let other = ("settings", "settings = { name = \"elsewhere.test\" }");
    example.is_not_ready(LONG, &[other], "REFUSED: the server does not answer for this name");
    let memcached = ("command", "command = [\"memcached\", \"--port=53\"]");
    example.is_not_ready("3s", &[memcached], "the port is open, but no name server answers yet");
    let misspelt = ("settings", "settings = { nam = \"orders.test\" }");
    let outcome = example.up(LONG, &[misspelt]).0.assert_code(2);
    assert!(outcome.stderr().contains("[probe-settings]") && outcome.stderr().contains("nam"), "{outcome}");
}

#[test]
fn a_probe_in_go_tells_a_queue_that_accepts_jobs() {
    if !compiles_go() {
        return;
    }
    // What Go compiles is kept for the next time.
    let cache = build_directory().join("go");
    let variables = [("GOCACHE", cache.join("cache").into()), ("GOPATH", cache.join("path").into())];
    let Some(example) = Example::build("beanstalkd-go", "beanstalkd", &variables) else { return };
    let serving = ("image", format!("image = \"{}\"\ncommand = [\"beanstalkd\"]", example.image));
    let serving = [(serving.0, serving.1.as_str())];
    example.is_ready(&serving);
    // A server that gets SIGUSR1 accepts no more jobs until it ends.
    let container = example.scene.container("beanstalkd");
    docker(["kill", "--signal", "USR1", &container]);
    wait_until("beanstalkd drains", PATIENT, || {
        let (outcome, events) = example.up("1s", &serving);
        outcome.code() == Some(125)
            && events.answers().iter().all(|answer| answer == "beanstalkd is draining: it accepts no jobs")
    });
    let other = format!("image = \"{}\"\ncommand = [\"nats-server\", \"--port\", \"11300\"]", example.image);
    let changes = [("image", other.as_str())];
    example.is_not_ready(LONG, &changes, "the port does not speak beanstalkd's protocol; it said: \"INFO ");
}
