//! TLS by the host: real servers with certificates of each kind, and what the probes say of each.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod contract;
mod grpc;
mod hostile;
mod launches;
mod mcp;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use crate::support::certificates::Certificates;
use crate::support::{Outcome, Scene};

/// What `farrier probe check http` says about `https` at this address, with these grants and more settings.
fn check(scene: &Scene, target: &str, grants: &[&str], settings: &str) -> Outcome {
    let settings = format!("{{\"scheme\": \"https\"{settings}}}");
    let options: Vec<&str> = grants.iter().flat_map(|grant| ["--grant", grant]).collect();
    check_probe(scene, "http", target, &settings, &options)
}

/// What `farrier probe check` says about this address with this probe, these settings and more options.
fn check_probe(scene: &Scene, probe: &str, target: &str, settings: &str, options: &[&str]) -> Outcome {
    let words = ["probe", "check", probe, "--target", target, "--settings", settings];
    scene.farrier(words).args(options).output()
}

/// A server that does this with each connection, as long as the test runs.
fn plain(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    format!("localhost:{}", address.port())
}

#[test]
fn each_certificate_is_told_from_the_right_one() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let (other, own) =
        (format!("tls={}", certificates.path("other.pem")), format!("tls={}", certificates.path("self.pem")));
    let alone = format!("tls={}", certificates.path("alone.pem"));
    let ca = ca.as_str();
    let rows: [(&str, &str, &str, &str); 20] = [
        ("server", "localhost", ca, ""),
        ("server", "127.0.0.1", ca, ""),
        ("server", "localhost", "tls=insecure", ""),
        ("expired", "localhost", "tls=insecure", ""),
        ("self", "localhost", "tls=insecure", ""),
        ("elsewhere", "localhost", "tls=insecure", ""),
        ("self", "localhost", &own, ""),
        // Self-signed, or from an authority that was not named.
        (
            "self",
            "localhost",
            ca,
            "the server's certificate is self-signed, and not trusted: name its file in `grants.tls`",
        ),
        (
            "self",
            "localhost",
            "tls",
            "the server's certificate is self-signed, and not trusted: name its file",
        ),
        (
            "server",
            "localhost",
            &other,
            "comes from an authority that is not trusted: name the authority's file in `grants.tls`",
        ),
        (
            "server",
            "localhost",
            "tls",
            "comes from an authority that is not trusted: name the authority's file",
        ),
        ("expired", "localhost", ca, "the server's certificate expired 2020-01-02T00:00:00Z: renew it"),
        (
            "future",
            "localhost",
            ca,
            "the server's certificate is not valid before 2090-01-01T00:00:00Z: check the clocks",
        ),
        (
            "elsewhere",
            "localhost",
            ca,
            "is for `other.test`, `*.wild.test`, not for `localhost`: set `server_name` to one of its names",
        ),
        ("elsewhere", "127.0.0.1", ca, "not for `127.0.0.1`"),
        ("unnamed", "localhost", ca, "names no host (subjectAltName), so that it is not for `localhost`"),
        ("self", "127.0.0.1", &own, ""),
        ("client", "localhost", &own, "comes from an authority that is not trusted"),
        // A server's own certificate vouches for itself alone.
        ("alone", "localhost", &alone, ""),
        ("under", "localhost", &alone, "comes from an authority that is not trusted"),
    ];
    for (certificate, host, grant, told) in rows {
        let server = certificates.serve(certificate, &[]);
        let outcome = check(&scene, &server.at(host), &[grant], "");
        let expected = if told.is_empty() { ": ready" } else { told };
        let outcome = outcome.assert_code(u8::from(!told.is_empty()).into());
        assert!(outcome.stdout().contains(expected), "{certificate} at {host} with {grant}: {outcome}");
        assert!(told.is_empty() || outcome.stdout().contains(": failed: "), "a person must act: {outcome}");
    }
}

#[test]
fn the_name_that_is_asked_for_is_the_settings() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    // The second certificate is for who asks for it (SNI).
    let (cert, key) = (certificates.path("elsewhere.pem"), certificates.path("elsewhere.key"));
    let options = ["-servername", "other.test", "-cert2", &cert, "-key2", &key];
    let server = certificates.serve("server", &options);
    for (name, code, told) in [
        ("db.test", 0, ": ready"),
        ("other.test", 0, ": ready"),
        ("third.test", 1, "is for `localhost`, `db.test`, `127.0.0.1`, not for `third.test`"),
        ("no name", 1, "no certificate can be for `no name`"),
    ] {
        let named = format!(", \"server_name\": \"{name}\"");
        let outcome = check(&scene, &server.at("localhost"), &[&ca], &named).assert_code(code);
        assert!(outcome.stdout().contains(told), "{name}: {outcome}");
    }
}

#[test]
fn versions_that_both_speak_are_spoken() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let old = ["-cipher", "ALL:@SECLEVEL=0"];
    let told =
        "the server speaks no version of TLS that farrier does, which are 1.2 and 1.3: turn one of them on";
    for (options, code, told) in [
        (vec!["-tls1_3"], 0, ": ready"),
        (vec!["-tls1_2"], 0, ": ready"),
        ([&["-tls1_1"], &old[..]].concat(), 1, told),
        ([&["-tls1"], &old[..]].concat(), 1, told),
        (
            vec!["-tls1_2", "-cipher", "AES128-SHA"],
            1,
            "the server refuses the TLS handshake (HandshakeFailure)",
        ),
    ] {
        let server = certificates.serve("server", &options);
        let outcome = check(&scene, &server.at("localhost"), &[&ca], "").assert_code(code);
        assert!(outcome.stdout().contains(told), "{options:?}: {outcome}");
    }
}

#[test]
fn a_port_without_tls_is_told_from_one_that_never_finishes() {
    let scene = Scene::new();
    let http = plain(|mut connection| {
        let mut heard = [0; 1024];
        let _ = connection.read(&mut heard);
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let told = "failed: the port does not speak TLS: remove TLS from the settings, or name the port for TLS";
    let outcome = check(&scene, &http, &["tls"], "").assert_code(1);
    assert!(outcome.stdout().contains(told), "{outcome}");
    let (keeper, kept) = std::sync::mpsc::channel();
    let silent = plain(move |connection| drop(keeper.send(connection)));
    let mut words = vec!["probe", "check", "http", "--target", &silent, "--poll", "2s"];
    words.extend(["--settings", r#"{"scheme": "https"}"#]);
    let outcome = scene.farrier(words).output().assert_code(1);
    let told = "pending: the port accepts connections, but does not finish the TLS handshake";
    assert!(outcome.stdout().contains(told), "{outcome}");
    drop(kept);
    let closing = plain(drop);
    let outcome = check(&scene, &closing, &["tls"], "").assert_code(1);
    let told = "pending: the port accepts connections, but closes them during the TLS handshake";
    assert!(outcome.stdout().contains(told), "{outcome}");
}

#[test]
fn a_client_certificate_is_for_servers_that_ask_for_it() {
    let scene = Scene::new();
    let Some(certificates) = Certificates::in_folder(&scene.layer(crate::support::Layer::User).join("certs"))
    else {
        return;
    };
    let ca = certificates.path("ca.pem");
    let asks = ["-Verify", "1", "-verify_return_error", "-CAfile", &ca];
    let lacks = "the server asks for a client certificate: name its files in `grants.tls`";
    let refuses = "the server refuses the client certificate";
    let with = |client: &str| {
        format!("ca = 'certs/ca.pem', cert = 'certs/{client}.pem', key = 'certs/{client}.key'")
    };
    for (version, grant, code, told) in [
        ("-tls1_3", with("client"), 0, ": ready"),
        ("-tls1_2", with("client"), 0, ": ready"),
        ("-tls1_3", "ca = 'certs/ca.pem'".to_owned(), 1, lacks),
        ("-tls1_2", "ca = 'certs/ca.pem'".to_owned(), 1, lacks),
        ("-tls1_3", with("self"), 1, refuses),
        ("-tls1_2", with("self"), 1, refuses),
    ] {
        let server = certificates.serve("server", &[&[version], &asks[..]].concat());
        let definition = scene.define(
            "web",
            &format!(
                "image = 'x'\n[interface]\nkind = 'port'\nport = 443\n[readiness]\nprobe = 'http'\n\
                 settings = {{ scheme = 'https', server_name = 'db.test' }}\ngrants = {{ tls = {{ {grant} }} }}\n"
            ),
        );
        let target = server.at("localhost");
        let words = ["probe", "check", "--target", &target, "--definition"];
        let outcome = scene.farrier(words).arg(&definition).output().assert_code(code);
        assert!(outcome.stdout().contains(told), "{version} {grant}: {outcome}");
    }
}
