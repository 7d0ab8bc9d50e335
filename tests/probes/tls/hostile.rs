//! Servers that attack farrier's own TLS, which stands outside of the sandbox: each costs one poll and gives one line.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::plain;
use crate::support::Scene;
use crate::support::certificates::Certificates;

/// A record of TLS with this content.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a record").to_be_bytes();
    [&[kind, 3, 3], &length[..], content].concat()
}

/// Sends the same bytes for ever, or until the other side closes.
fn endless(mut connection: TcpStream, bytes: &[u8]) {
    let mut heard = [0; 1024];
    let _ = connection.read(&mut heard);
    while connection.write_all(bytes).is_ok() {}
}

/// The beginning of a handshake message of 16 MiB, which never ends.
fn long_message() -> Vec<u8> {
    record(0x16, &[&[0x02, 0xff, 0xff, 0xff][..], &[0; 16_000]].concat())
}

#[test]
fn no_server_holds_up_more_than_its_poll() {
    let scene = Scene::new();
    let attacks: [(&str, Vec<u8>); 8] = [
        ("a message without end", long_message()),
        ("empty records", record(0x16, &[])),
        ("warnings", record(0x15, &[1, 0])),
        ("data before the handshake", record(0x17, &[0; 1000])),
        ("changes of the cipher", record(0x14, &[1])),
        ("a record of the wrong length", vec![0x16, 3, 3, 0xff, 0xff]),
        ("an alert of no meaning", record(0x15, &[9, 9])),
        ("noise", (0..4096_u32).map(|at| (at * 167 % 251) as u8).collect()),
    ];
    let mut told = Vec::new();
    for (name, bytes) in attacks {
        let server = plain(move |connection| endless(connection, &bytes));
        let words = ["probe", "check", "http", "--poll", "500ms", "--settings", r#"{"scheme":"https"}"#];
        let outcome = scene.farrier(words).args(["--target", &server]).output().assert_code(1);
        let polls: Vec<String> =
            outcome.stdout().lines().filter(|line| line.starts_with("poll")).map(str::to_owned).collect();
        let [line] = polls.as_slice() else { panic!("{name}: one answer: {outcome}") };
        assert!(line.contains(": pending: ") || line.contains(": failed: "), "{name}: {outcome}");
        assert!(!line.contains("crashed") && line.chars().count() < 600, "{name}: {outcome}");
        told.push(format!("{name}: {line}"));
    }
    println!("{} attacks on the handshake\n{}", told.len(), told.join("\n"));
}

#[test]
fn names_from_a_certificate_are_told_as_plain_text() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let server = certificates.serve("odd", &[]);
    let settings = r#"{"scheme":"https"}"#;
    let words = [
        "probe",
        "check",
        "http",
        "--settings",
        settings,
        "--grant",
        &ca,
        "--target",
        &server.at("localhost"),
    ];
    let outcome = scene.farrier(words).output().assert_code(1);
    let told = outcome.stdout();
    assert!(told.contains("failed: ") && told.contains("not for `localhost`"), "{outcome}");
    assert!(told.contains(" more, not for"), "the rest is counted: {outcome}");
    assert!(told.lines().all(|line| line.chars().all(|shown| !shown.is_control())), "{outcome}");
}

/// Each more is one more to try in every order.
#[test]
fn a_server_with_very_many_certificates_is_not_verified() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let words = ["probe", "check", "http", "--settings", r#"{"scheme":"https"}"#, "--grant", &ca];
    for (count, code, text) in [
        (8, 0, "ready"),
        (9, 1, "the server sends 10 certificates, and farrier verifies at most 9"),
        (200, 1, "a message of more than 64 KiB"),
    ] {
        let chain = scene.path("chain.pem");
        std::fs::write(&chain, certificates.text("ca.pem").repeat(count)).expect("a chain");
        let server = certificates.serve("server", &["-cert_chain", &chain.display().to_string()]);
        let outcome =
            scene.farrier(words).args(["--target", &server.at("localhost")]).output().assert_code(code);
        assert!(outcome.stdout().contains(text), "{count}: {outcome}");
    }
}
