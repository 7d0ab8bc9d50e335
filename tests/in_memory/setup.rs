//! A folder of definitions, an engine in memory, and launches of the one on the other.

#[path = "../support/closed_port.rs"]
mod closed_port;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use farrier::definition::LayerDirectories;
use farrier::engine::docker::Docker;
use farrier::engine::docker::api::Container;
use farrier::engine::docker::bounded::{Bounded, Timeouts};
use farrier::engine::docker::double::{Double, DoubleImage};
use farrier::engine::kinds::Engines;
use farrier::event::record::Record;
use farrier::event::{Event, Reporter, Sink};
use farrier::harness::reachability::HarnessTarget;
use farrier::launch::connection::Connection;
use farrier::launch::{Launch, Running};
use farrier::plan::HarnessNetwork;
use farrier::plan::instance::Instance;
use farrier::plan::sidecar::Scopes;
use farrier::preparation::policy::PolicyFiles;
use farrier::preparation::settings::Settings;
use farrier::preparation::{ResolvedSidecar, prepare};
use farrier::probe::host::ProbeHost;
use farrier::readiness::route::Dialling;
use farrier::report::error::Failure;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub use closed_port::ClosedPort;

/// No launch of these tests takes longer, whatever goes wrong.
pub const PATIENCE: Duration = Duration::from_mins(3);
pub const NETWORK: &str = "net";
pub const IMAGE: &str = "image:1";

/// Polls at once in all launches together.
const POLLS: usize = 2_000;
/// All launches share compiled probes.
static HOST: LazyLock<Arc<ProbeHost>> = LazyLock::new(|| {
    let folder = |name: &str| Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
    Arc::new(ProbeHost::new(folder("in-memory-cache"), folder("in-memory-state")).for_polls(POLLS))
});

/// What a launch told, as the JSON that users get.
pub type Told = Arc<Mutex<Vec<Value>>>;

/// Keeps everything that is told.
pub struct Collector(pub Told);

impl Sink for Collector {
    fn event(&mut self, _: Duration, event: &Event<'_>) {
        let line = serde_json::to_value(Record::from(event)).expect("an event is JSON");
        self.0.lock().expect("events").push(line);
    }
}

/// Where the tests of one file work.
pub struct Fixture {
    pub engine: Double,
    folder: TempDir,
    pub target: HarnessTarget,
    pub recreate: bool,
    /// Whether launches keep what the engine told.
    remembers: bool,
    pub dialling: Dialling,
    pub patience: Timeouts,
}

/// How a launch ended, and what it told.
pub struct Ended {
    pub result: Result<Running, Failure>,
    pub told: Vec<Value>,
}

impl Fixture {
    /// With a network that is not farrier's, and one image that runs for ever.
    pub fn new() -> Self {
        let engine = Double::new();
        engine.change(|world| {
            world.create_network(NETWORK, &BTreeMap::new());
            world.add_image(IMAGE, DoubleImage::default());
        });
        let network = HarnessNetwork {
            name: NETWORK.to_owned(),
            home: "farrier".to_owned(),
            is_own: false,
            ..HarnessNetwork::default()
        };
        let target = HarnessTarget { network, ..HarnessTarget::default() };
        Self {
            engine,
            folder: tempfile::tempdir().expect("a folder"),
            target,
            recreate: false,
            dialling: Dialling::Auto,
            patience: Timeouts::default(),
            remembers: false,
        }
    }

    /// The same where farrier makes the network.
    pub fn with_own_network() -> Self {
        let mut fixture = Self::new();
        "farrier".clone_into(&mut fixture.target.network.name);
        fixture.target.network.is_own = true;
        fixture
    }

    /// The same with a cache folder.
    pub fn remembering(mut self) -> Self {
        self.remembers = true;
        self
    }

    /// What launches know of images; `endpoints` beside it is what they know of networks.
    pub fn remembered(&self) -> PathBuf {
        self.folder.path().join("cache/images")
    }

    pub fn define(&self, name: &str, toml: &str) -> &Self {
        let text = format!("lifecycle = \"shared\"\n{toml}");
        std::fs::write(self.file(name), text).expect("a definition");
        self
    }

    /// The file of a definition.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    /// A sidecar without a port that is ready when it runs.
    pub fn plain(&self, name: &str) -> &Self {
        self.define(name, &plain(""))
    }

    /// A sidecar that is ready when this port accepts.
    pub fn dialled(&self, name: &str, port: u16, readiness: &str) -> &Self {
        self.define(name, &dialled(port, readiness))
    }

    pub fn sidecars(&self) -> Vec<ResolvedSidecar> {
        let preparation = prepare(&self.settings());
        assert!(preparation.problems.is_empty(), "{:?}", preparation.problems);
        preparation.sidecars
    }

    pub fn settings(&self) -> Settings {
        Settings {
            directories: LayerDirectories {
                user: Some(self.folder.path().to_owned()),
                ..LayerDirectories::default()
            },
            scopes: Scopes::default(),
            cache: self.remembers.then(|| self.folder.path().join("cache")),
            state: None,
            env_prefix: "SWARMFORGE_TONG_".to_owned(),
            probe_image: None,
            dialling: self.dialling,
            recreate: self.recreate,
            approvals: None,
            no_prompt: true,
            given: Vec::new(),
            environment: farrier::engine::docker::address::Environment::default(),
            engine: Engines::default(),
            choice: farrier::preparation::choice::SidecarChoice::default(),
            policies: PolicyFiles { machine: None, user: Some(self.folder.path().join("policy.toml")) },
        }
    }

    pub fn launch_of(&self) -> (Launch, Told) {
        let told = Told::default();
        let launch = Launch {
            settings: self.settings(),
            sidecars: self.sidecars(),
            target: self.target.clone(),
            harness: "true".to_owned(),
            reporter: Arc::new(Reporter::new(vec![Box::new(Collector(Arc::clone(&told)))])),
            host: Arc::clone(&HOST),
            uses: Arc::default(),
        };
        (launch, told)
    }

    pub async fn bring_up(&self, launch: &Launch) -> Result<Running, Failure> {
        launch.bring_up(Connection::new(Arc::new(self.docker()))).await
    }

    /// The engine that launches speak to.
    pub fn docker(&self) -> Docker {
        let local = self.engine.look(|world| world.local);
        let docker = Docker::over(Arc::new(Bounded::new(self.engine.clone(), self.patience)), local);
        docker.keeping(self.settings().cache)
    }

    pub async fn launch(&self) -> Ended {
        let (launch, told) = self.launch_of();
        let result = tokio::time::timeout(PATIENCE, self.bring_up(&launch)).await;
        let told = std::mem::take(&mut *told.lock().expect("events"));
        let Ok(result) = result else {
            panic!("the launch did not end; told: {told:#?}; called: {:?}", self.engine.calls())
        };
        Ended { result, told }
    }

    /// A launch that succeeds; gives its actions and causes.
    pub async fn up(&self) -> Vec<String> {
        self.launch().await.ready().planned()
    }

    pub fn container(&self, sidecar: &str) -> Option<Instance> {
        let found = self.engine.change(|world| world.container(&format!("farrier-{sidecar}")));
        found.as_ref().map(Container::instance)
    }

    pub fn names(&self) -> Vec<String> {
        self.engine.change(|world| world.container_names())
    }
}

impl Ended {
    pub fn ready(self) -> Self {
        if let Err(failure) = &self.result {
            panic!("{failure} told: {:#?}", self.told);
        }
        self
    }

    pub fn planned(&self) -> Vec<String> {
        let planned = self.told.iter().filter(|event| event["event"] == "planned");
        let line = |event: &Value| {
            let causes: Vec<&str> =
                event["causes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!(
                "{} {}: {}",
                event["action"].as_str().unwrap_or_default(),
                event["sidecar"].as_str().unwrap_or_default(),
                causes.join("; ")
            )
        };
        planned.map(line).collect()
    }

    pub fn events(&self, kind: &str) -> Vec<&Value> {
        self.told.iter().filter(|event| event["event"] == kind).collect()
    }

    /// Every code and whether a next step stands with it: of problems, and of what was told as it happened.
    pub fn codes(&self) -> Vec<String> {
        let Err(failure) = &self.result else { return Vec::new() };
        assert_eq!(failure.exit, 125, "{failure}");
        let mut codes: Vec<String> = self
            .events("not-ready")
            .iter()
            .map(|event| event["code"].as_str().unwrap_or_default().to_owned())
            .collect();
        for event in self.events("not-ready") {
            assert!(event["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "{event:#}");
        }
        for problem in &failure.problems {
            assert!(!problem.hints.is_empty(), "no next step: {problem}");
            codes.push(problem.code.to_string());
        }
        assert!(!codes.is_empty(), "failed without a word");
        codes
    }

    /// The message of the only problem.
    pub fn message(&self) -> String {
        let Err(failure) = &self.result else { panic!("it succeeded") };
        let told = self
            .events("not-ready")
            .into_iter()
            .map(|event| event["message"].as_str().unwrap_or_default().to_owned());
        let found: Vec<String> =
            failure.problems.iter().map(|problem| problem.message.clone()).chain(told).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.concat()
    }
}

pub fn plain(more: &str) -> String {
    format!("image = \"{IMAGE}\"\n{more}\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"skip\"\n")
}

pub fn dialled(port: u16, readiness: &str) -> String {
    format!("image = \"{IMAGE}\"\n[interface]\nkind = \"port\"\nport = {port}\n[readiness]\n{readiness}\n")
}

/// A listener and its port.
pub async fn listener(address: Ipv4Addr) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A listener at a port that was closed until now.
pub fn opened(port: ClosedPort) -> TcpListener {
    let listener = port.open();
    listener.set_nonblocking(true).expect("a socket");
    TcpListener::from_std(listener).expect("a listener")
}
