//! The probe `grpc` inside TLS, on gRPC's own server. That server ends a connection whose client did not agree on `h2` by ALPN.

use std::path::Path;

use super::check_probe;
use crate::built_in::grpc::{PACKAGES, set, start};
use crate::support::certificates::Certificates;
use crate::support::python_server::PythonServer;
use crate::support::{Scene, pypi};

const TLS: &str = r#"{"tls": true}"#;

/// The server with this certificate.
fn serve(python: &Path, certificates: &Certificates, name: &str) -> PythonServer {
    let [certificate, key] = ["pem", "key"].map(|ending| certificates.path(&format!("{name}.{ending}")));
    start(python, &["tls", &certificate, &key])
}

#[test]
fn a_server_inside_tls_is_asked_over_http2() {
    let Some(python) = pypi::python("grpc-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let mut server = serve(&python, &certificates, "server");
    let address = server.address.clone();
    let check = |settings: &str, code: i32, told: &str| {
        let outcome = check_probe(&scene, "grpc", &address, settings, &["--grant", &ca]).assert_code(code);
        assert!(outcome.stdout().contains(told), "{settings}: {outcome}");
    };
    check(TLS, 1, "pending: the server is NOT_SERVING");
    set(&mut server, "", "SERVING");
    check(TLS, 0, ": ready");
    check(r#"{"tls": true, "server_name": "db.test"}"#, 0, ": ready");

    let recording = scene.path("recorded.toml");
    let file = recording.display().to_string();
    check_probe(&scene, "grpc", &address, r#"{"tls": "insecure"}"#, &["--record", &file]).assert_code(0);
    let recorded = std::fs::read_to_string(&recording).expect("the recording");
    assert!(recorded.contains("protocols = [\"h2\"], protocol = \"h2\""), "{recorded}");
}

#[test]
fn a_server_that_is_not_trusted_or_speaks_no_tls_has_failed() {
    let Some(python) = pypi::python("grpc-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let rows: [(&str, &[&str], &str, &str); 4] = [
        ("self", &["--grant", &ca], TLS, "failed: the server's certificate is self-signed, and not trusted"),
        (
            "server",
            &[],
            TLS,
            "failed: the server's certificate comes from an authority that is not trusted: name the authority's file",
        ),
        ("elsewhere", &["--grant", &ca], TLS, "is for `other.test`, `*.wild.test`, not for `127.0.0.1`"),
        ("server", &[], "{}", "failed: the port speaks TLS"),
    ];
    for (certificate, grants, settings, told) in rows {
        let mut server = serve(&python, &certificates, certificate);
        set(&mut server, "", "SERVING");
        let options = [grants, &["--watch"]].concat();
        let outcome = check_probe(&scene, "grpc", &server.address, settings, &options).assert_code(1);
        assert!(outcome.stdout().contains(told), "{certificate} with {grants:?} and {settings}: {outcome}");
    }
    let plain = start(&python, &[]);
    let outcome = check_probe(&scene, "grpc", &plain.address, TLS, &["--watch"]).assert_code(1);
    assert!(outcome.stdout().contains("failed: the port does not speak TLS"), "{outcome}");
}
