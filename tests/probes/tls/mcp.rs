//! The probe `mcp` inside TLS, on a server of the official SDK behind uvicorn.

use super::check_probe;
use crate::built_in::mcp::{PACKAGES, Server};
use crate::support::certificates::Certificates;
use crate::support::{Scene, pypi};

const TLS: &str = r#"{"tls": true, "tools": ["total"]}"#;

#[test]
fn a_server_inside_tls_opens_sessions_there() {
    let Some(python) = pypi::python("mcp-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let ca = format!("tls={}", certificates.path("ca.pem"));
    let [certificate, key] = ["server.pem", "server.key"].map(|file| certificates.path(file));
    for form in ["json", "events"] {
        let mut server = Server::open(&python, &[form, &certificate, &key]);
        let address = server.address.clone();
        let check = |options: &[&str]| {
            check_probe(&scene, "mcp", &address, TLS, &[&["--grant", &ca], options].concat())
        };
        let outcome = check(&[]).assert_code(1);
        let told = "pending: the port accepts connections, but does not finish the TLS handshake";
        assert!(outcome.stdout().contains(told), "{form}: {outcome}");
        server.run();
        check(&["--watch", "--timeout", "60s"]).assert_code(0);
        // The session ended where it began, inside TLS.
        server.wait_for("\"DELETE /mcp HTTP/1.1\" 200");
    }
}

#[test]
fn a_server_that_is_not_trusted_or_speaks_no_tls_has_failed() {
    let Some(python) = pypi::python("mcp-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let [ca, own] = ["ca.pem", "self.pem"].map(|file| format!("tls={}", certificates.path(file)));
    let [certificate, key] = ["self.pem", "self.key"].map(|file| certificates.path(file));
    let mut server = Server::open(&python, &["events", &certificate, &key]);
    let mut plain = Server::open(&python, &["events"]);
    server.run();
    plain.run();
    let rows: [(&Server, &[&str], &str, i32, &str); 4] = [
        (&server, &["--grant", &own], TLS, 0, ": ready"),
        (
            &server,
            &["--grant", &ca],
            TLS,
            1,
            "failed: the server's certificate is self-signed, and not trusted: name its file in `grants.tls`",
        ),
        (&server, &[], "{}", 1, "failed: the port speaks TLS"),
        (&plain, &["--grant", &ca], TLS, 1, "failed: the port does not speak TLS"),
    ];
    for (server, grants, settings, code, told) in rows {
        let options = [grants, &["--watch", "--timeout", "60s"]].concat();
        let outcome = check_probe(&scene, "mcp", &server.address, settings, &options).assert_code(code);
        assert!(outcome.stdout().contains(told), "{grants:?} and {settings}: {outcome}");
    }
}
