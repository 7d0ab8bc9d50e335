//! Real servers, real clients: `PostgreSQL` and Redis are ready when they answer queries, under each probe.

use crate::support::servers::{
    postgres_image, postgres_image_with_healthcheck, redis_image, redis_image_with_healthcheck,
};
use crate::support::{Events, Scene, docker};

/// Brings the server up under this readiness, then asks it from a container of the same image as the harness.
fn answers(image: Option<String>, port: u16, readiness: &str, ask: &[&str], expected: &str) {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = image else { return };
    let network = scene.network("net");
    scene.define(
        "server",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\n[interface]\nkind = \"port\"\nport = {port}\n\
             [readiness]\ntimeout = \"90s\"\n{readiness}\n"
        ),
    );
    let events = scene.path("events.jsonl");
    let name = scene.name("server");
    let words: Vec<&str> =
        ask.iter().map(|word| if *word == "HOST" { name.as_str() } else { word }).collect();
    let outcome = scene
        .farrier(["launch", "--events"])
        .arg(&events)
        .args(["--", "docker", "run", "--rm", "--network", &network, "--entrypoint", words[0], &image])
        .args(&words[1..])
        .output()
        .assert_code(0);
    assert_eq!(outcome.stdout().trim(), expected, "{outcome}");
    let events = Events::read(&events);
    assert_eq!(events.of("ready").len(), 1);
    let health = docker([
        "inspect",
        "--format",
        "{{if .State.Health}}{{.State.Health.Status}}{{end}}",
        &scene.container("server"),
    ]);
    assert!(matches!(health.as_str(), "" | "starting"), "ready before the engine's first test: {health}");
}

const QUERY: &[&str] = &["psql", "-h", "HOST", "-U", "postgres", "-Atc", "select 40 + 2"];
const PING: &[&str] = &["redis-cli", "-h", "HOST", "ping"];

#[test]
fn postgresql_under_tcp() {
    answers(postgres_image(), 5432, "probe = \"tcp\"", QUERY, "42");
}

#[test]
fn postgresql_under_exec() {
    let readiness =
        "probe = \"exec\"\ncommand = [\"pg_isready\", \"-h\", \"127.0.0.1\", \"-U\", \"postgres\"]";
    answers(postgres_image(), 5432, readiness, QUERY, "42");
}

#[test]
fn postgresql_under_healthcheck() {
    answers(postgres_image_with_healthcheck(), 5432, "probe = \"healthcheck\"", QUERY, "42");
}

#[test]
fn redis_under_tcp() {
    answers(redis_image(), 6379, "probe = \"tcp\"", PING, "PONG");
}

#[test]
fn redis_under_exec() {
    answers(redis_image(), 6379, "probe = \"exec\"\ncommand = [\"redis-cli\", \"ping\"]", PING, "PONG");
}

#[test]
fn redis_under_healthcheck() {
    answers(redis_image_with_healthcheck(), 6379, "probe = \"healthcheck\"", PING, "PONG");
}
