//! A real server in a container under a built-in probe.

use std::time::Duration;

use crate::support::{Events, Outcome, Scene, docker, wait_until};

/// An answer that ends the wait at once must come long before this.
pub const LONG: &str = "60s";

/// A server under its probe, in a scene of its own.
pub struct Sidecar {
    pub scene: Scene,
    probe: &'static str,
    image: String,
    port: u16,
    /// What the definition says besides: an entrypoint, a command.
    top: String,
}

impl Sidecar {
    pub fn new(probe: &'static str, image: Option<String>, port: u16, top: &str) -> Option<Self> {
        let scene = Scene::with_docker()?;
        Some(Self { scene, probe, image: image?, port, top: top.to_owned() })
    }

    /// Brings it up with these settings of the probe.
    pub fn up(&self, settings: &str, timeout: &str) -> (Outcome, Events) {
        self.define(settings, timeout);
        let path = self.scene.path("events.jsonl");
        drop(std::fs::remove_file(&path));
        let outcome = self.scene.farrier(["up", "--events"]).arg(&path).output();
        (outcome, Events::read(&path))
    }

    fn define(&self, settings: &str, timeout: &str) {
        let Self { probe, image, port, top, .. } = self;
        // Another port than the interface's has to be granted.
        let grants =
            if settings.contains("port = 9000") { "grants = { dial = [\"self:9000\"] }\n" } else { "" };
        self.scene.define(
            "db",
            &format!(
                "lifecycle = \"shared\"\nimage = \"{image}\"\n{top}\n[interface]\nkind = \"port\"\n\
                 port = {port}\n[readiness]\nprobe = \"{probe}\"\n\
                 settings = {{ {settings} }}\n{grants}timeout = \"{timeout}\"\n"
            ),
        );
    }

    /// It becomes ready.
    pub fn is_ready(&self, settings: &str) {
        let (outcome, events) = self.up(settings, "90s");
        outcome.assert_code(0);
        assert_eq!(events.of("ready").len(), 1, "{settings}");
    }

    /// It does not become ready in this time, and this is among the answers.
    pub fn is_not_ready(&self, settings: &str, timeout: &str, answer: &str) {
        self.fails(settings, timeout, answer, None);
    }

    /// Fails with this answer, and the report names this cause.
    pub fn fails_for(&self, settings: &str, timeout: &str, answer: &str, cause: &str) {
        self.fails(settings, timeout, answer, Some(cause));
    }

    fn fails(&self, settings: &str, timeout: &str, answer: &str, cause: Option<&str>) {
        let (outcome, events) = self.up(settings, timeout);
        let outcome = outcome.assert_code(125);
        let answers = events.answers();
        assert!(answers.iter().any(|found| found.contains(answer)), "{answers:#?}\n{outcome}");
        if let Some(expected) = cause {
            assert_eq!(events.one("not-ready")["cause"]["name"], expected, "{outcome}");
        }
    }

    /// It is waited for until this answer was heard, then changed, and becomes ready.
    pub fn is_waited_for(&self, settings: &str, answer: &str, change: impl FnOnce()) {
        self.define(settings, "90s");
        let path = self.scene.path("events.jsonl");
        drop(std::fs::remove_file(&path));
        let running = self.scene.farrier(["up", "--events"]).arg(&path).spawn();
        wait_until("the server answers", Duration::from_mins(10), || {
            let events = Events::read(&path);
            let mut answered = events.of("answered").into_iter();
            answered.any(|told| told["answer"].as_str().is_some_and(|text| text.contains(answer)))
        });
        change();
        running.wait().assert_code(0);
    }

    /// Runs a command in its container.
    pub fn run(&self, command: &[&str]) -> String {
        let container = self.scene.container("db");
        docker(["exec", &container].iter().chain(command))
    }
}
