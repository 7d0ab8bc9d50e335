//! The whole way of a custom probe, from its project to a launch that it gates: each step uses the result of the one before.
//! Other modules test the single steps.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::certificates::Certificates;
use crate::support::registry::{self, Registry, client_configuration};
use crate::support::toolchains::{PATIENCE, guest_compiler, own};
use crate::support::{Events, Layer, Outcome, Run, Scene, free_port};

/// What an author changes in the template's code, so that the probe speaks TLS.
const CODE: [(&str, &str); 3] = [
    ("Verdict, dial};", "Verdict, dial, tls};"),
    (
        "    expect: String,\n",
        "    expect: String,\n    /// The name that the server's certificate must be for.\n    server_name: String,\n",
    ),
    (
        "Ok(connection) => converse(connection, &settings),",
        "Ok(connection) => match tls::start(connection, &settings.server_name, &[]) {
                Ok(connection) => converse(connection, &settings),
                Err(failure) => failure.verdict(),
            },",
    ),
];

/// What the author changes in the template's scenario, to match.
const SCENARIO: [(&str, &str); 3] = [
    ("expect = \"ready\" }", "expect = \"ready\", server_name = \"db.test\" }"),
    ("dial = [\"self\"] }", "dial = [\"self\"], tls = true }"),
    ("steps = [\n", "steps = [\n  { shakes_hands = true, server_name = \"db.test\" },\n"),
];

/// A scenario that the author adds.
const WRONG_NAME: &str = r#"
port = 443

[readiness]
settings = { send = "HELO\r\n", expect = "ready", server_name = "db.test" }
grants = { dial = ["self"], tls = true }

[[poll]]
expect = "failed"
reason = "the server's certificate is for `other.test`"

[[poll.dial]]
steps = [{ fails_tls = "wrong-name", reason = "the server's certificate is for `other.test`" }]
"#;

/// A workspace, a registry for its probe, and certificates for its sidecar: an HTTPS server that is a program of this host.
struct Workspace {
    // Fields are dropped in order: the registry ends before the scene removes its folder.
    registry: Registry,
    certificates: Certificates,
    scene: Scene,
}

impl Workspace {
    /// `None`, and a loud message, if this machine lacks the registry's program or OpenSSL.
    fn new() -> Option<Self> {
        let scene = Scene::new().isolated();
        let certificates = Certificates::in_folder(&scene.layer(Layer::Workspace).join("certs"))?;
        let registry = registry::start(&scene)?;
        let docker = scene.home().join(".docker");
        std::fs::create_dir_all(&docker).expect("a folder");
        std::fs::write(docker.join("config.json"), client_configuration(&registry.address, true))
            .expect("the credentials");
        Some(Self { registry, certificates, scene })
    }

    /// farrier, without any engine but this host.
    fn farrier(&self, words: &[&str]) -> Run {
        without_docker(self.scene.farrier(words))
    }

    /// Makes the probe as its author does, and gives the component.
    fn build(&self, compiler: OsString) -> PathBuf {
        self.farrier(&["probe", "new", "web-ready"]).output().assert_code(0);
        let project = self.scene.workspace().join("web-ready");
        edit(&project.join("src/lib.rs"), &CODE);
        edit(&project.join("scenarios/starting.toml"), &SCENARIO);
        std::fs::write(project.join("scenarios/wrong-name.toml"), WRONG_NAME).expect("a scenario");
        let building = own(self.farrier(&["probe", "build"]), &project).env("RUSTC", compiler);
        let built = building.output().assert_code(0);
        assert!(built.stdout().contains("imports dial, tls, log"), "{built}");
        project.join("web-ready.wasm")
    }

    /// Writes the sidecar's definition: a server with this certificate, and the probe at this reference.
    fn define(&self, reference: &str, certificate: &str) {
        let port = free_port();
        let words = self.certificates.server(certificate, port);
        let program: Vec<&str> = ["openssl"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let text = format!(
            "program = {program:?}\n[interface]\nkind = \"port\"\nport = {port}\n\
             [readiness]\nprobe = \"{reference}\"\ntimeout = \"60s\"\n\
             settings = {{ send = \"GET / HTTP/1.0\\r\\n\\r\\n\", expect = \"200 ok\", server_name = \"db.test\" }}\n\
             grants = {{ dial = [\"self\"], tls = {{ ca = \"certs/ca.pem\" }} }}\n"
        );
        self.scene.define_in(Layer::Workspace, &format!("{}.toml", self.scene.name("web")), text);
    }

    /// Approves the sidecar by the hash of what farrier shows, and gives what it shows.
    fn approve(&self) -> Value {
        let name = self.scene.name("web");
        let outcome = self.farrier(&["approve", &name, "--format", "json"]).output();
        let shown: Value =
            serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        let hash = shown["sidecars"][0]["hash"].as_str().expect("a hash");
        self.farrier(&["approve", &name, "--hash", hash]).output().assert_code(0);
        shown
    }

    /// Launches `true` without a prompt, and gives the launch's events.
    fn launch(&self, code: i32) -> (Outcome, Events) {
        let launch = without_docker(self.scene.launch_with(["--no-prompt"], ["true"]));
        let outcome = launch.output().assert_code(code);
        (outcome, Events(self.scene.take_events()))
    }

    /// Fails the test unless a launch is refused, before anything starts, because nobody approved the sidecar.
    fn assert_unapproved(&self) {
        let (outcome, events) = self.launch(125);
        assert!(outcome.stderr().contains("error[approval-required]"), "{outcome}");
        assert!(events.of("started").is_empty(), "{outcome}");
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let down = ["down", "--all", "--yes", "--force", "--engine", "native"];
        let outcome = self.farrier(&down).output();
        if !std::thread::panicking() {
            outcome.assert_code(0);
        }
    }
}

fn without_docker(run: Run) -> Run {
    run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

/// Replaces texts of a file, each wherever it occurs.
fn edit(file: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(file).expect("a file of the template");
    for &(from, to) in changes {
        assert!(text.contains(from), "the template lacks {from:?}: {text}");
        text = text.replace(from, to);
    }
    std::fs::write(file, text).expect("the file");
}

#[test]
fn a_probe_is_built_tested_pushed_pinned_and_approved_and_gates_an_https_server() {
    let Some(compiler) = guest_compiler() else { return };
    let Some(workspace) = Workspace::new() else { return };
    let component = workspace.build(compiler).display().to_string();
    let played = workspace.farrier(&["probe", "test", &component]).timeout(PATIENCE).output().assert_code(0);
    assert!(played.stdout().contains("2 scenarios, 0 failed"), "{played}");

    let reference = format!("oci://{}/acme/web-ready:1", workspace.registry.address);
    let pushed = workspace.farrier(&["probe", "push", &component, &reference]).output().assert_code(0);
    let printed = pushed.stdout();
    let (_, digest) = printed.lines().next().and_then(|line| line.split_once('@')).expect("a digest");
    workspace.define(&reference, "server");
    let pinned = workspace.farrier(&["probe", "pin"]).output().assert_code(0);
    assert!(pinned.stdout().contains(&format!("{reference} is pinned now: {digest}\n")), "{pinned}");

    workspace.assert_unapproved();
    let shown = workspace.approve().to_string();
    let sha256 = hex::encode(Sha256::digest(std::fs::read(&component).expect("the component")));
    assert!(shown.contains(&sha256), "the approval is for the component that was built: {shown}");
    let (outcome, events) = workspace.launch(0);
    assert_eq!(events.of("ready").len(), 1, "{outcome}");
    let used = &events.one("used")["probes"][0];
    assert!(used["handshakes"].as_u64().is_some_and(|count| count > 0), "{used:#}");

    // The same probe, and a server whose certificate is for another name.
    workspace.define(&reference, "elsewhere");
    workspace.assert_unapproved();
    workspace.approve();
    let (outcome, events) = workspace.launch(125);
    assert!(events.of("ready").is_empty(), "{outcome}");
    assert_eq!(events.one("not-ready")["cause"]["name"], "certificate-refused", "{outcome}");
    assert!(outcome.stderr().contains("is for `other.test`, `*.wild.test`, not for `db.test`"), "{outcome}");
}
