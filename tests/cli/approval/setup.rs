//! What these tests share: sidecars of a workspace, and ways to answer about them.

use serde_json::Value;

use crate::support::launching::server;
use crate::support::{Layer, Outcome, Run, Running, Scene, fixture_image};

/// A definition that nothing is started of where no engine is needed.
pub const PLAIN: &str = "lifecycle = \"shared\"\nimage = \"postgres:16\"\nenv = { A = \"one\" }\n\
                         [interface]\nkind = \"port\"\nport = 5432\n[readiness]\nprobe = \"tcp\"\n";

/// farrier where there is no terminal, whoever started the tests, and no engine.
pub fn unattended(scene: &Scene, words: &[&str]) -> Run {
    detached(scene, words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

/// The same with the engine there is.
pub fn detached(scene: &Scene, words: &[&str]) -> Run {
    // A process has no controlling terminal in a new session.
    Run::program(scene, "setsid").args(["--wait", env!("CARGO_BIN_EXE_farrier")]).args(words)
}

/// Writes `db` of the workspace.
pub fn declare(scene: &Scene, toml: &str) {
    scene.define_in(Layer::Workspace, &format!("{}.toml", scene.name("db")), toml);
}

/// A server `db` of the workspace that can be started.
pub fn declare_server(scene: &Scene) {
    declare(scene, &server(&fixture_image(), ""));
}

/// Starts a launch without a harness on a terminal, and waits until it asks.
pub fn asked(scene: &Scene) -> Running {
    let running = scene.farrier(["up", "--color", "never"]).spawn_on_terminal(120, 40);
    running.wait_for_stdout("[y/N] ");
    running
}

/// The containers of the scene's sidecars, by name.
pub fn containers(scene: &Scene) -> Vec<String> {
    let format = ["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("name={}", scene.token())];
    crate::support::docker(format).lines().map(str::to_owned).collect()
}

/// What `approve --format json` says of `db`.
pub fn state(scene: &Scene) -> Value {
    let outcome = unattended(scene, &["approve", "--format", "json"]).output();
    json(&outcome)["sidecars"][0].clone()
}

/// The hash of `db`.
pub fn hash(scene: &Scene) -> String {
    state(scene)["hash"].as_str().expect("a hash").to_owned()
}

/// Approves `db` as it is.
pub fn approve(scene: &Scene) {
    let (name, hash) = (scene.name("db"), hash(scene));
    unattended(scene, &["approve", &name, "--hash", &hash]).output().assert_code(0);
}

/// What was printed, as JSON.
pub fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}
