//! The probe `grpc` against gRPC's own server and health service, which come from Python's package index; where they
//! cannot be had the test says so, and fails where `FARRIER_REQUIRE_PYPI=1`.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::net::TcpListener;
use std::path::Path;

use crate::support::python_server::PythonServer;
use crate::support::{Scene, pypi};

/// The releases that were tried.
pub const PACKAGES: [&str; 2] = ["grpcio==1.85.1", "grpcio-health-checking==1.85.1"];
const SERVER: &str = include_str!("../../servers/grpc_health.py");

pub fn start(python: &Path, arguments: &[&str]) -> PythonServer {
    PythonServer::start(python, SERVER, arguments)
}

pub fn set(server: &mut PythonServer, service: &str, status: &str) {
    assert_eq!(server.tell(&format!("{service} {status}")), "set");
}

fn checked(scene: &Scene, address: &str, settings: &str, code: i32, expected: &str) {
    let arguments = ["probe", "check", "grpc", "--target", address, "--settings", settings];
    let outcome = scene.farrier(arguments).output().assert_code(code);
    let said = outcome.stdout() + &outcome.stderr();
    assert!(said.contains(expected), "{expected}: {outcome}");
}

#[test]
fn an_open_port_is_told_from_a_service_that_serves() {
    let Some(python) = pypi::python("grpc-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let mut server = start(&python, &[]);
    let address = server.address.clone();
    let orders = r#"{"service": "orders.v1.Orders"}"#;

    checked(&scene, &address, "{}", 1, "pending: the server is NOT_SERVING");
    checked(&scene, &address, orders, 1, "pending: the health service does not know orders.v1.Orders (yet)");
    set(&mut server, "orders.v1.Orders", "UNKNOWN");
    checked(&scene, &address, orders, 1, "pending: orders.v1.Orders is UNKNOWN");
    set(&mut server, "orders.v1.Orders", "SERVING");
    checked(&scene, &address, orders, 0, "ready");
    checked(&scene, &address, "{}", 1, "pending: the server is NOT_SERVING");
    set(&mut server, "", "SERVING");
    checked(&scene, &address, "{}", 0, "ready");
}

#[test]
fn a_server_without_a_health_service_has_failed() {
    let Some(python) = pypi::python("grpc-server", &PACKAGES) else { return };
    let server = start(&python, &["plain"]);
    checked(&Scene::new(), &server.address, "{}", 1, "failed: the server has no health service");
}

#[test]
fn a_port_that_is_silent_is_pending() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    checked(&Scene::new(), &address, "{}", 1, "pending: the port is open, no HTTP/2 answer yet");
}

#[test]
fn senseless_settings_are_refused() {
    checked(&Scene::new(), "127.0.0.1:1", r#"{"service": "/a/b"}"#, 2, "settings.service");
}
