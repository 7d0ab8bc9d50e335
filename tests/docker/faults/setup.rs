//! A sidecar and launches of it through a proxy, in the forms that make different requests.

use std::time::{Duration, Instant};

use crate::support::engine::{container_id, inspect, is_running};
use crate::support::launching::server_ready;
use crate::support::{
    Image, Outcome, PATIENT, Proxy, Run, Scene, containers_named, docker, fixture_image, fixture_program,
};

/// What a launch finds and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// There is no container.
    Create,
    /// There is a stale one with a volume.
    Recreate,
    /// There is none, and a relay dials.
    Relay,
    /// There is one that is paused.
    Resume,
}

/// One form of launch, again and again.
pub struct Stage {
    pub scene: Scene,
    pub proxy: Proxy,
    form: Form,
    image: String,
    round: u32,
}

impl Stage {
    pub fn new(form: Form) -> Option<Self> {
        let scene = Scene::with_docker()?;
        let proxy = Proxy::new(&scene)?;
        let image = if form == Form::Recreate {
            scene.image(&Image::new().change("VOLUME /data"))
        } else {
            fixture_image()
        };
        Some(Self { scene, proxy, form, image, round: 0 })
    }

    /// The definition of this round; `slow` is how long the server takes to listen.
    pub fn define(&mut self, slow: Duration) {
        self.define_until(slow, "40s");
    }

    /// Defines the sidecar as one that listens after `slow`, with this timeout of its wait.
    pub fn define_until(&mut self, slow: Duration, timeout: &str) {
        self.round += 1;
        let top = format!(
            "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--after\", \"{}\"]\n\
             env = {{ ROUND = \"{}\" }}",
            slow.as_millis(),
            self.round
        );
        let toml = server_ready(&self.image, &top, &format!("probe = \"tcp\"\ntimeout = \"{timeout}\""));
        self.scene.define("db", &toml);
    }

    /// Brings the engine into the state that this form of launch finds.
    pub fn prepare(&mut self) {
        self.proxy.calm();
        let container = self.scene.container("db");
        match self.form {
            Form::Create | Form::Relay => {
                if container_id(&container).is_some() {
                    docker(["rm", "--force", &container]);
                }
                self.define(Duration::ZERO);
            }
            Form::Recreate => {
                if !is_running(&container) {
                    self.define(Duration::ZERO);
                    self.launch().output().assert_code(0);
                }
                self.define(Duration::ZERO);
            }
            Form::Resume => {
                if !is_running(&container) {
                    self.define(Duration::ZERO);
                    self.launch().output().assert_code(0);
                }
                if inspect(&container, "{{.State.Paused}}").as_deref() != Some("true") {
                    docker(["pause", &container]);
                }
            }
        }
        self.scene.take_events();
    }

    /// A launch with a harness on this host that does nothing.
    pub fn launch(&self) -> Run {
        self.launch_of(&[&fixture_program().display().to_string(), "exit", "0"])
    }

    pub fn launch_of(&self, harness: &[&str]) -> Run {
        let options: &[&str] = if self.form == Form::Relay { &["--dial", "relay"] } else { &[] };
        self.scene.launch_with(options, harness)
    }

    /// The same with the proxy before the engine.
    pub fn proxied(&self) -> Run {
        self.proxy.before(self.launch())
    }

    /// The volume with the sidecar's data.
    pub fn volume(&self) -> Option<String> {
        let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}}{{end}}{{end}}";
        inspect(&self.scene.container("db"), format).filter(|name| !name.is_empty())
    }

    /// The next launch, without the proxy, succeeds, and leaves one container and nothing half-made.
    pub fn recovers(&self, what: &str, process: u32) {
        let again = self.launch().output();
        assert_eq!(again.code(), Some(0), "{what}: the next launch fails:\n{again}");
        let container = self.scene.container("db");
        assert!(is_running(&container), "{what}");
        let round = inspect(&container, "{{index .Config.Env 0}}").unwrap_or_default();
        assert_eq!(round, format!("ROUND={}", self.round), "{what}");
        let ours = format!("farrier-{}", self.scene.name("db"));
        // The engine may still be at what the killed launch asked for; each look takes it some milliseconds.
        let begun = Instant::now();
        loop {
            let (named, relays) = (containers_named(&ours), relays_of(process));
            if named == [container.clone()] && relays.is_empty() {
                break;
            }
            assert!(begun.elapsed() < PATIENT, "{what}: left behind: {named:?}, relays {relays:?}");
        }
    }
}

/// Relay containers that this process made.
fn relays_of(process: u32) -> String {
    let filter = format!("label=farrier.relay={process}");
    docker(["container", "ls", "--all", "--format", "{{.Names}} {{.Status}}", "--filter", &filter])
}

/// An end that farrier chose: the harness ran, or a refusal with a code and a next step. Never a panic.
pub fn ended_in_words(scene: &Scene, outcome: &Outcome, what: &str) {
    let events = scene.take_events();
    assert!(!outcome.stderr().contains("panicked"), "{what}:\n{outcome}");
    match outcome.code() {
        Some(0) => {}
        Some(125) => {
            let told: Vec<_> = events
                .iter()
                .filter(|event| matches!(event["event"].as_str(), Some("problem" | "not-ready")))
                .collect();
            assert!(!told.is_empty(), "{what}: no word:\n{outcome}");
            for event in told {
                let hints = event["hints"].as_array().map_or(0, Vec::len);
                assert!(hints > 0 && event["code"].is_string(), "{what}: no next step: {event:#}");
            }
        }
        code => panic!("{what}: ended with {code:?}:\n{outcome}"),
    }
}
