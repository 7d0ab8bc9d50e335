//! One launch on several engines, and an engine that can do less than Docker.

use std::sync::Arc;

use farrier::engine::Engine;
use farrier::engine::docker::double::Call;
use farrier::engine::memory::{self, Memory};
use farrier::launch::connection::Connection;
use farrier::launch::placement::Placement;
use farrier::launch::{Launch, Running};
use farrier::plan::HarnessNetwork;
use farrier::preparation::prepare;
use farrier::report::error::{Code, Failure};

use super::setup::{Fixture, plain};

/// The sidecars `db` and `cache` on Docker, and `broker` on the engine in memory, where farrier makes the network.
struct Two {
    fixture: Fixture,
    memory: Memory,
}

impl Two {
    fn new() -> Self {
        let fixture = Fixture::with_own_network();
        fixture.plain("db").plain("cache").plain("broker");
        Self { fixture, memory: Memory::new() }
    }

    async fn launch(&self) -> (Result<Running, Failure>, Vec<serde_json::Value>) {
        let (launch, told) = self.fixture.launch_of();
        let result = launch.bring_up_on(&self.placements(&launch)).await;
        let told = std::mem::take(&mut *told.lock().expect("events"));
        (result, told)
    }

    fn placements<'a>(&self, launch: &'a Launch) -> [Placement<'a>; 2] {
        let on = |engine: Arc<dyn Engine>, network: HarnessNetwork, is_here: fn(&str) -> bool| Placement {
            connection: Arc::new(Connection::new(engine)),
            network,
            sidecars: launch.sidecars.iter().filter(|prepared| is_here(prepared.sidecar.name())).collect(),
        };
        let own = HarnessNetwork {
            name: "loopback".to_owned(),
            is_own: true,
            home: "loopback".to_owned(),
            ..HarnessNetwork::default()
        };
        [
            on(Arc::new(self.fixture.docker()), launch.target.network.clone(), |name| name != "broker"),
            on(Arc::new(self.memory.clone()), own, |name| name == "broker"),
        ]
    }
}

fn planned(told: &[serde_json::Value]) -> Vec<String> {
    let planned = told.iter().filter(|event| event["event"] == "planned");
    let mut planned: Vec<String> =
        planned.map(|event| format!("{} {}", event["action"], event["sidecar"]).replace('"', "")).collect();
    planned.sort();
    planned
}

#[tokio::test]
async fn each_sidecar_starts_where_it_is_placed_and_all_are_handed_over_together() {
    let two = Two::new();
    let (first, told) = two.launch().await;
    let first = first.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(planned(&told), ["create broker", "create cache", "create db"]);
    let names: Vec<&str> = first.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["farrier-broker", "farrier-cache", "farrier-db"], "in the order of the launch");
    let on = |index: usize| {
        first.engines[index].instances.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((on(0), on(1)), (vec!["cache", "db"], vec!["broker"]));
    assert_eq!(two.fixture.names(), ["farrier-cache", "farrier-db"], "nothing of the other engine");
    first.leave().await;
    two.fixture.engine.calm();
    let (second, told) = two.launch().await;
    assert!(second.is_ok());
    assert_eq!(planned(&told), ["reuse broker", "reuse cache", "reuse db"]);
    assert!(two.fixture.engine.changes().is_empty());
    assert_eq!(two.fixture.engine.count(Call::Info), 0, "what runs needs no engine's word on what it is");
}

#[tokio::test]
async fn what_ended_on_one_engine_is_replaced_there_alone() {
    let two = Two::new();
    two.launch().await.0.unwrap_or_else(|failure| panic!("{failure}")).leave().await;
    two.memory.end("farrier-broker", 3);
    two.fixture.engine.calm();
    let (again, told) = two.launch().await;
    assert!(again.is_ok());
    assert_eq!(planned(&told), ["recreate broker", "reuse cache", "reuse db"]);
    assert!(two.fixture.engine.changes().is_empty(), "{:?}", two.fixture.engine.changes());
}

#[tokio::test]
async fn the_problems_of_all_engines_are_told_at_once_and_nothing_starts() {
    let mut two = Two::new();
    two.fixture.target.network.name = "absent".to_owned();
    two.fixture.target.network.is_own = false;
    let (launch, _) = two.fixture.launch_of();
    let mut placements = two.placements(&launch);
    placements[1].network.is_own = false;
    let failure = launch.bring_up_on(&placements).await.err().expect("neither network is there");
    let codes: Vec<Code> = failure.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::NetworkUnusable; 2]);
    assert!(two.fixture.engine.changes().is_empty());
    assert!(!two.memory.calls().contains(&"carry out"));
}

#[tokio::test]
async fn what_an_engine_cannot_do_is_refused_by_name_before_any_call() {
    let fixture = Fixture::new();
    fixture.plain("plain");
    let probes = [
        ("log", "probe = \"log\"\nsettings = { text = \"up\" }", "keeps no logs"),
        ("exec", "probe = \"exec\"\ncommand = [\"true\"]", "executes no commands in sidecars"),
        ("healthcheck", "probe = \"healthcheck\"", "runs no health tests"),
    ];
    for (name, readiness, _) in &probes {
        let text = plain("").replace("probe = \"skip\"", readiness);
        fixture.define(&format!("by-{name}"), &text);
    }
    let memory = Memory::new();
    let mut preparation = prepare(&fixture.settings());
    assert!(preparation.problems.is_empty(), "Docker can do all of it: {:?}", preparation.problems);
    preparation.refuse_beyond(|_| memory::CAPABILITIES);
    let told: Vec<String> = preparation.problems.iter().map(ToString::to_string).collect();
    for (name, _, what) in &probes {
        let named = |text: &&String| text.contains(what) && text.contains(&format!("probe `{name}`"));
        assert_eq!(told.iter().filter(named).count(), 1, "{told:#?}");
    }
    assert_eq!(told.len(), probes.len(), "{told:#?}");
    assert!(preparation.problems.iter().all(|problem| problem.code == Code::EngineLacks));
    assert!(preparation.accept(Vec::new()).is_err());
    assert!(memory.calls().is_empty());
}
