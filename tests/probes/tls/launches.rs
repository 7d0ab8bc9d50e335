//! Launches whose sidecar speaks TLS: an HTTPS server as a program of this host.

use crate::support::certificates::Certificates;
use crate::support::{Events, Layer, Outcome, Run, Scene, free_port};

/// A workspace or user definition of a server with this certificate, tried by `farrier up`.
struct Web {
    scene: Scene,
    certificates: Certificates,
    port: u16,
}

impl Web {
    fn new() -> Option<Self> {
        let scene = Scene::new().isolated();
        let certificates = Certificates::in_folder(&scene.layer(Layer::User).join("certs"))?;
        Some(Self { scene, certificates, port: free_port() })
    }

    fn define(&self, certificate: &str, readiness: &str) {
        let words = self.certificates.server(certificate, self.port);
        let program: Vec<&str> = ["openssl"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let text = format!(
            "program = {program:?}\n[interface]\nkind = \"port\"\nport = {}\n[readiness]\nprobe = \"http\"\ntimeout = \"60s\"\n\
             {readiness}\n",
            self.port
        );
        self.scene.define("web", &text);
    }

    fn up(&self, code: i32) -> (Outcome, Events) {
        let path = self.scene.path("events.jsonl");
        let _ = std::fs::remove_file(&path);
        let run = self.scene.farrier(["up", "--engine", "native", "--events"]).arg(&path);
        (run.output().assert_code(code), Events::read(&path))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let down = ["down", "--all", "--yes", "--force", "--engine", "native"];
        let outcome = self.scene.farrier(down).output();
        if !std::thread::panicking() {
            outcome.assert_code(0);
        }
    }
}

#[test]
fn a_launch_waits_for_a_server_that_speaks_tls() {
    let Some(web) = Web::new() else { return };
    let settings = "settings = { scheme = \"https\", server_name = \"db.test\" }";
    let trusting = format!("{settings}\ngrants = {{ tls = {{ ca = \"certs/ca.pem\" }} }}");
    web.define("server", &trusting);
    web.up(0);
    web.define("server", settings);
    let (outcome, events) = web.up(125);
    let told = events.one("not-ready").clone();
    assert_eq!(told["cause"]["name"], "certificate-refused", "{outcome}");
    assert!(outcome.stderr().contains("comes from an authority that is not trusted"), "{outcome}");
    // Whoever does not ask for TLS is told to.
    web.define("server", "settings = { path = \"/\" }");
    let (outcome, events) = web.up(125);
    assert_eq!(events.one("not-ready")["cause"]["name"], "speaks-tls", "{outcome}");
    assert!(outcome.stderr().contains("scheme = \"https\""), "{outcome}");
    // And after that it is as ready as before.
    web.define("server", &trusting);
    web.up(0);
}

#[test]
fn what_a_workspace_would_trust_is_asked_about() {
    let scene = Scene::new();
    let folder = scene.layer(Layer::Workspace);
    let Some(_) = Certificates::in_folder(&folder.join("certs")) else { return };
    let show = |settings: &str, grants: &str| {
        scene.define_in(
            Layer::Workspace,
            "web.toml",
            format!(
                "image = 'x'\n[interface]\nkind = 'port'\nport = 443\n[readiness]\nprobe = 'http'\n\
                 settings = {{ {settings} }}\n{grants}\n"
            ),
        );
        // No terminal to ask at, and no engine to ask about.
        let run = Run::program(&scene, "setsid").args(["--wait", env!("CARGO_BIN_EXE_farrier"), "approve"]);
        run.args(["--format", "json"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output()
    };
    for (settings, grants, told) in [
        ("scheme = 'https'", "", "with servers that this machine's authorities vouch for"),
        (
            "scheme = 'https', insecure = true",
            "",
            "INSECURELY: with any server, because no certificate is verified",
        ),
        ("scheme = 'https'", "grants = { tls = 'insecure' }", "INSECURELY"),
        (
            "scheme = 'https'",
            "grants = { tls = { ca = 'certs/ca.pem' } }",
            "the authorities in \"certs/ca.pem\", sha256",
        ),
        (
            "scheme = 'https'",
            "grants = { tls = { cert = 'certs/client.pem', key = 'certs/client.key' } }",
            "with the key \"certs/client.key\"",
        ),
    ] {
        let outcome = show(settings, grants);
        let shown: serde_json::Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
        let lines = shown["sidecars"][0]["statement"].as_array().expect("a statement");
        let line = lines.iter().find(|line| line["label"] == "readiness: may speak TLS");
        let text = line.and_then(|line| line["text"].as_str()).unwrap_or_default();
        assert!(text.contains(told), "{settings} {grants}: {outcome}");
    }
    // A workspace names no file outside of itself.
    let outcome =
        show("scheme = 'https'", "grants = { tls = { ca = '/etc/ssl/certs/ca-certificates.crt' } }");
    assert!(
        outcome
            .to_string()
            .contains("cannot be read: a workspace definition may use only files of the workspace"),
        "{outcome}"
    );
}
