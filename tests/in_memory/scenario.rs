//! Launches that between them make every call that a launch can make, with what they must leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use farrier::engine::docker::api::{Container, ContainerSpec, HealthTest, Status};
use farrier::engine::docker::double::{At, Call, DoubleImage, End, Fault, Logged, Run, World};
use farrier::readiness::route::Dialling;
use futures_util::StreamExt;
use tokio::net::TcpListener;

use super::setup::{Fixture, IMAGE, PATIENCE, dialled, listener, plain};

/// With this variable every case runs, not a part of them.
const ALL: &str = "FARRIER_ALL_FAULTS";
/// Cases that run at once.
const AT_ONCE: usize = 8;
/// What is not farrier's, and stays as it is whatever happens.
const BYSTANDER: &str = "bystander";

/// What a launch has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Make its network, pull, create, recreate with a volume, join another network, dial.
    Making,
    /// Resume, connect, connect anew, clear up after a recreation that was killed, run a health test.
    Reusing,
    /// Dial through a relay, and remove a second network of its own.
    Relaying,
    /// Run a job after what is dialled, pulling meanwhile what comes after it.
    Ordered,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Making, Self::Reusing, Self::Relaying, Self::Ordered];

    /// The containers of its sidecars.
    pub fn containers(self) -> Vec<&'static str> {
        match self {
            Self::Making => vec!["farrier-pulled", "farrier-served", "farrier-stale"],
            Self::Reusing => vec!["farrier-apart", "farrier-half", "farrier-paused", "farrier-tested"],
            Self::Relaying => vec!["farrier-served"],
            Self::Ordered => vec!["farrier-job", "farrier-pulled", "farrier-served"],
        }
    }
}

pub struct Scenario {
    pub fixture: Fixture,
    pub kind: Kind,
    bystander: Container,
    port: u16,
    _listener: TcpListener,
}

/// A level in the environment, so that another one makes it stale.
fn stateful(level: u8) -> String {
    let text = plain(&format!("networks = [\"other\"]\nenv = {{ LEVEL = \"{level}\" }}"));
    text.replace(IMAGE, "stateful:1")
}

/// Runs for ever.
fn ordinary() -> DoubleImage {
    DoubleImage::new(|_| Run::forever())
}

/// Its health test passes; as a relay it copies what it is sent, where python is asked to.
pub fn scripted() -> DoubleImage {
    let mut image = DoubleImage::new(|arguments| {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["test"] | ["python3", "-c", ""] => Run::exit(0),
            ["python3", "-c", program] if program.contains("stdin") => Run::ending(End::Copies),
            ["python3", ..] => Run::ending(End::Copies).says("+"),
            ["sh" | "bash", ..] => Run::exit(127),
            _ => Run::forever(),
        }
    });
    let test = vec!["CMD".to_owned(), "test".to_owned()];
    image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
    image
}

impl Scenario {
    pub async fn new(kind: Kind) -> Self {
        let mut fixture = Fixture::with_own_network();
        let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
        let bystander = fixture.engine.change(|world| {
            world.create_network("other", &BTreeMap::new());
            world.publish("pulled:1", Ok(ordinary()), Vec::new());
            world.add_image(IMAGE, ordinary());
            let mut image = ordinary();
            image.image.volumes = vec!["/data".to_owned()];
            world.add_image("stateful:1", image);
            world.add_image("scripted:1", scripted());
            let spec = ContainerSpec {
                name: BYSTANDER.to_owned(),
                image: "stateful:1".to_owned(),
                network: "other".to_owned(),
                ..ContainerSpec::default()
            };
            world.create(&spec).expect("made");
            world.start_now(BYSTANDER).expect("started");
            world.container(BYSTANDER).expect("it runs")
        });
        match kind {
            Kind::Making => {
                fixture.define("stale", &stateful(1)).up().await;
                fixture.define("stale", &stateful(2));
                fixture.define("pulled", &plain("").replace(IMAGE, "pulled:1"));
            }
            Kind::Reusing => reusing(&fixture, port).await,
            Kind::Ordered => ordered(&fixture),
            Kind::Relaying => {
                fixture.dialling = Dialling::Relay;
                fixture.engine.change(|world| {
                    // A tool relays, which copies what it is sent.
                    world.loaded =
                        DoubleImage::new(|_| Run::ending(End::CannotRun("no such program".to_owned())));
                    let ours = BTreeMap::from([("farrier.network".to_owned(), "1".to_owned())]);
                    world.create_network("farrier", &ours);
                    world.create_network("farrier", &ours);
                });
            }
        }
        fixture.engine.calm();
        let scenario = Self { fixture, kind, bystander, port, _listener: listener };
        scenario.wait_for("30s");
        scenario
    }

    /// Lets launches wait so long for what does not become ready; no reason to make a container anew.
    pub fn wait_for(&self, timeout: &str) {
        let text = |probe: &str| dialled(self.port, &format!("probe = \"{probe}\"\ntimeout = \"{timeout}\""));
        let scripted = |probe: &str| text(probe).replace(IMAGE, "scripted:1");
        match self.kind {
            Kind::Making | Kind::Ordered => self.fixture.define("served", &text("tcp")),
            Kind::Reusing => self.fixture.define("tested", &scripted("healthcheck")),
            Kind::Relaying => self.fixture.define("served", &scripted("tcp")),
        };
    }

    /// The calls of a launch without faults.
    pub async fn calls(kind: Kind) -> Vec<Logged> {
        let scenario = Self::new(kind).await;
        scenario.fixture.up().await;
        scenario.fixture.engine.calls()
    }

    /// The next launch on what is left brings up one container of each name, and leaves nothing else.
    pub async fn recovers(&self, what: &str) {
        let fixture = &self.fixture;
        fixture.engine.calm();
        self.wait_for("30s");
        let ended = fixture.launch().await;
        if let Err(failure) = &ended.result {
            panic!("{what}: the next launch fails: {failure}; told: {:#?}", ended.told);
        }
        drop(ended);
        self.is_whole(what).await;
        if self.kind != Kind::Relaying {
            fixture.engine.calm();
            fixture.up().await;
            assert_eq!(fixture.engine.changes(), [], "{what}: the launch after that has nothing to do");
        }
    }

    async fn is_whole(&self, what: &str) {
        let mut expected = self.kind.containers();
        expected.insert(0, BYSTANDER);
        // A relay goes when the launch that made it has let go of it.
        let gone = self.fixture.engine.until(|engine| engine.change_names() == expected);
        let gone = tokio::time::timeout(PATIENCE, gone).await;
        assert!(gone.is_ok(), "{what}: {:?}", self.fixture.names());
        self.fixture.engine.change(|world| {
            assert_eq!(world.container(BYSTANDER).as_ref(), Some(&self.bystander), "{what}");
            let containers = expected.iter().filter_map(|name| world.container(name));
            let containers: Vec<Container> = containers.collect();
            for container in &containers {
                let status = if container.name == "farrier-job" { Status::Exited } else { Status::Running };
                assert_eq!(
                    (container.status, container.exit_code),
                    (status, 0),
                    "{what}: {}",
                    container.name
                );
            }
            assert_eq!(world.networks("farrier").len(), 1, "{what}");
            let used: BTreeSet<String> = containers
                .iter()
                .flat_map(|container| container.mounts.iter().map(|mount| mount.source.clone()))
                .collect();
            let volumes: BTreeSet<String> = world.volumes().into_iter().collect();
            assert_eq!(volumes, used, "{what}: no volume is lost, none is left behind");
        });
    }

    /// Removes volumes that no container has: of containers that were removed they stay, as data does, until
    /// somebody removes them. The one with the sidecar's data must be among the volumes until then.
    pub fn forget_unused_volumes(&self, data: Option<&String>, what: &str) {
        self.fixture.engine.change(|world| {
            let volumes = world.volumes();
            assert!(data.is_none_or(|data| volumes.contains(data)), "{what}: data is never lost");
            let names = world.container_names();
            let containers = names.iter().filter_map(|name| world.container(name));
            let used: Vec<String> =
                containers.flat_map(|found| found.mounts.into_iter().map(|mount| mount.source)).collect();
            for volume in volumes.iter().filter(|volume| !used.contains(volume)) {
                world.remove_volume(volume).expect("nothing has it");
            }
        });
    }

    /// The volume with data, where this kind has one that must survive.
    pub fn data(&self) -> Option<String> {
        self.fixture.container("stale").map(|stale| stale.volumes[0].source.clone())
    }
}

/// Everything is cold: a database, its migration, and what comes after that.
fn ordered(fixture: &Fixture) {
    fixture.engine.change(|world| {
        world.add_image("job:1", DoubleImage::new(|_| Run::exit(0)));
    });
    let job = "image = \"job:1\"\njob = \"once\"\nafter = [\"served\"]\n[interface]\nkind = \"none\"\n";
    fixture.define("job", &format!("{job}[readiness]\ntimeout = \"30s\"\n"));
    fixture.define("pulled", &plain("after = [\"job\"]").replace(IMAGE, "pulled:1"));
}

async fn reusing(fixture: &Fixture, port: u16) {
    let tested = dialled(port, "probe = \"healthcheck\"\ntimeout = \"30s\"").replace(IMAGE, "scripted:1");
    fixture.define("tested", &tested).plain("paused").plain("apart").define("half", &stateful(1));
    fixture.up().await;
    fixture.define("half", &stateful(2));
    fixture.engine.fault(At::Every(Call::Remove), Fault::Hang);
    let (launch, _) = fixture.launch_of();
    tokio::select! {
        _ = fixture.bring_up(&launch) => {}
        () = fixture.engine.stalled() => {}
    }
    fixture.engine.change(|world| {
        world.pause("farrier-paused");
        let apart = world.container_mut("farrier-apart").expect("made");
        apart.networks.get_mut("farrier").expect("on it").aliases.clear();
        world.disconnect("farrier", "farrier-tested").expect("it was on it");
    });
}

trait Names {
    fn change_names(&self) -> Vec<String>;
}

impl Names for farrier::engine::docker::double::Double {
    /// Without waking whoever waits for a change.
    fn change_names(&self) -> Vec<String> {
        self.look(World::container_names)
    }
}

/// All cases of a table, or every so manieth of them; said how many, for whoever asks with `--nocapture`.
pub fn thinned<T>(name: &str, every: usize, cases: Vec<T>) -> Vec<T> {
    let all = std::env::var_os(ALL).is_some_and(|value| value == "1");
    let whole = cases.len();
    let cases: Vec<T> = cases.into_iter().step_by(if all { 1 } else { every }).collect();
    println!("{name}: {} of {whole} cases", cases.len());
    cases
}

/// Runs cases beside each other.
pub async fn each<T, F: Future<Output = ()>>(cases: Vec<T>, run: impl Fn(T) -> F) {
    futures_util::stream::iter(cases).map(run).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// One case: what goes wrong, in which launch, at which call.
pub fn at_each_call<W: Copy>(kinds: &[(Kind, usize)], wrongs: &[W]) -> Vec<(Kind, usize, W)> {
    let mut cases = Vec::new();
    for (kind, length) in kinds {
        for wrong in wrongs {
            cases.extend((0..*length).map(|index| (*kind, index, *wrong)));
        }
    }
    cases
}

/// Every kind with the number of its calls.
pub async fn lengths() -> Vec<(Kind, usize)> {
    let mut lengths = Vec::new();
    for kind in Kind::ALL {
        lengths.push((kind, Scenario::calls(kind).await.len()));
    }
    lengths
}
