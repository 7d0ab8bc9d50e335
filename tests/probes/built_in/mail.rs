//! The probe `smtp` on aiosmtpd, a mail server from Python's package index; where it cannot be had the test says so, and fails
//! where `FARRIER_REQUIRE_PYPI=1`.

use std::path::Path;

use crate::support::certificates::Certificates;
use crate::support::python_server::PythonServer;
use crate::support::{Scene, pypi};

/// The release that was tried.
const PACKAGES: [&str; 1] = ["aiosmtpd==1.4.6"];
const SERVER: &str = include_str!("../../servers/smtp_server.py");

struct MailServer(PythonServer);

impl MailServer {
    fn start(python: &Path, arguments: &[&str]) -> Self {
        Self(PythonServer::start(python, SERVER, arguments))
    }

    /// Adds a mailbox, or makes it busy. No mail has arrived so far.
    fn told(&mut self, word: &str) {
        assert_eq!(self.0.tell(word), "known");
    }

    fn answers(&self, scene: &Scene, settings: &str, grants: &[&str], code: i32, expected: &str) {
        let run =
            scene.farrier(["probe", "check", "smtp", "--target", &self.0.address, "--settings", settings]);
        let outcome = run.args(grants).output().assert_code(code);
        let said = outcome.stdout() + &outcome.stderr();
        assert!(said.contains(expected), "{expected}: {outcome}");
    }
}

#[test]
fn a_mail_server_that_serves_is_told_from_one_that_does_not() {
    let Some(python) = pypi::python("mail-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let mut server = MailServer::start(&python, &[]);
    server.answers(&scene, "{}", &[], 0, "ready");
    server.answers(&scene, r#"{"recipient": "ops@example.test"}"#, &[], 0, "ready");
    let late = r#"{"recipient": "late@example.test"}"#;
    let absent = "pending: the server does not accept the recipient: 550 5.1.1 no such mailbox";
    server.answers(&scene, late, &[], 1, absent);
    server.told("late@example.test");
    server.answers(&scene, late, &[], 0, "ready");
    server.told("busy");
    server.answers(&scene, "{}", &[], 1, "pending: the mail server does not serve: 421 4.3.2 too busy");
    server.answers(&scene, r#"{"tls": true}"#, &[], 1, "421 4.3.2 too busy");
}

#[test]
fn tls_begins_in_plain_text_or_before_it() {
    let Some(python) = pypi::python("mail-server", &PACKAGES) else { return };
    let scene = Scene::new();
    let Some(certificates) = Certificates::of(&scene) else { return };
    let [pem, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|file| certificates.path(file));
    let trusted = ["--grant", &format!("tls={ca}")].map(str::to_owned);
    let trusted = [trusted[0].as_str(), trusted[1].as_str()];
    let upgrades = MailServer::start(&python, &[&pem, &key]);
    let secured = r#"{"tls": true, "server_name": "localhost", "recipient": "ops@example.test"}"#;
    upgrades.answers(&scene, secured, &trusted, 0, "ready");
    upgrades.answers(&scene, secured, &[], 1, "an authority that is not trusted");
    let plain = r#"{"recipient": "ops@example.test"}"#;
    upgrades.answers(
        &scene,
        plain,
        &[],
        1,
        "failed: the server needs TLS before mail (add `tls = true`): 530",
    );
    let implicit = MailServer::start(&python, &[&pem, &key, "implicit"]);
    let inside = r#"{"tls": true, "starttls": false, "server_name": "localhost"}"#;
    implicit.answers(&scene, inside, &trusted, 0, "ready");
    implicit.answers(
        &scene,
        "{}",
        &[],
        1,
        "pending: the port accepts connections, but the mail server does not answer yet",
    );
    let without = MailServer::start(&python, &[]);
    without.answers(&scene, secured, &trusted, 1, "failed: the port does not speak TLS");
}

#[test]
fn senseless_settings_of_mail_are_refused() {
    let scene = Scene::new();
    let settings = r#"{"starttls": true}"#;
    let run = scene.farrier(["probe", "check", "smtp", "--target", "127.0.0.1:1", "--settings", settings]);
    let outcome = run.output().assert_code(2);
    assert!(outcome.stderr().contains("settings.starttls"), "{outcome}");
}
