//! Every engine call fails, or is the last one of a killed launch: the next launch works.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use farrier::engine::memory::{At, Call, Fault, MemoryImage};
use farrier::engine::{EngineErrorKind, Status};

use crate::bench::{Bench, listener, plain};

/// A launch with all that a launch can do: it makes its network, pulls, joins another network, dials; and with
/// a stale container that is made anew.
struct Scenario {
    bench: Bench,
    _listener: tokio::net::TcpListener,
}

async fn scenario() -> Scenario {
    let bench = Bench::with_own_network();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.engine.change(|world| {
        world.create_network("other", &BTreeMap::new());
        world.publish("pulled:1", Ok(MemoryImage::default()), Vec::new());
        let mut image = MemoryImage::default();
        image.image.volumes = vec!["/data".to_owned()];
        world.add_image("stateful:1", image);
    });
    let stale = |level: u8| {
        plain(&format!("networks = [\"other\"]\nenv = {{ LEVEL = \"{level}\" }}"))
            .replace("image:1", "stateful:1")
    };
    bench.define("stale", &stale(1));
    bench.up().await;
    bench.engine.calm();
    bench.define("stale", &stale(2));
    bench.define("pulled", &plain("").replace("image:1", "pulled:1"));
    bench.dialled("served", port, "probe = \"tcp\"");
    Scenario { bench, _listener: listener }
}

/// The next launch on what is left brings up one container of each name, all running.
async fn recovers(bench: &Bench, what: &str) {
    bench.engine.calm();
    bench.up().await;
    assert_eq!(bench.names(), ["farrier-pulled", "farrier-served", "farrier-stale"], "{what}");
    for name in ["pulled", "served", "stale"] {
        assert_eq!(bench.container(name).map(|found| found.status), Some(Status::Running), "{what}: {name}");
    }
    bench.engine.calm();
    bench.up().await;
    assert_eq!(bench.engine.changes(), [], "{what}: the launch after that has nothing to do");
}

async fn length_of_a_launch() -> usize {
    let scenario = scenario().await;
    scenario.bench.up().await;
    scenario.bench.engine.calls().len()
}

#[tokio::test]
async fn whichever_call_fails_the_launch_says_why_and_the_next_one_works() {
    let length = length_of_a_launch().await;
    assert!(length > 20, "{length} calls");
    for kind in [EngineErrorKind::Refused, EngineErrorKind::Unreachable, EngineErrorKind::Conflict] {
        for fault in [Fault::Fail(kind), Fault::FailAfter(kind)] {
            for index in 0..length {
                let scenario = scenario().await;
                scenario.bench.engine.fault(At::Index(index), fault);
                let ended = scenario.bench.launch().await;
                let call = scenario.bench.engine.calls().get(index).cloned();
                let what = format!("{fault:?} at {index}: {call:?}");
                if ended.result.is_err() {
                    assert!(!ended.codes().is_empty(), "{what}");
                }
                drop(ended);
                recovers(&scenario.bench, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn wherever_a_launch_is_killed_the_next_one_works_and_keeps_the_data() {
    let length = length_of_a_launch().await;
    for fault in [Fault::Hang, Fault::HangAfter] {
        for index in 0..length {
            let scenario = scenario().await;
            let bench = &scenario.bench;
            let data = bench.container("stale").expect("made before").mounts[0].source.clone();
            bench.engine.fault(At::Index(index), fault);
            let (launch, _) = bench.launch_of();
            tokio::select! {
                _ = bench.bring_up(&launch) => {}
                () = bench.engine.stalled() => {}
            }
            drop(launch);
            let what = format!("{fault:?} at {index}: {:?}", bench.engine.calls().get(index));
            recovers(bench, &what).await;
            let kept = bench.container("stale").expect("it runs").mounts[0].source.clone();
            assert_eq!(kept, data, "{what}: the volume is carried over");
        }
    }
}

#[tokio::test]
async fn nonsense_answers_end_in_words_not_in_a_panic() {
    let length = length_of_a_launch().await;
    for index in 0..length {
        let scenario = scenario().await;
        scenario.bench.engine.fault(At::Index(index), Fault::Garbage);
        scenario.bench.launch().await.codes_or_ready();
        let removed = |name: &str| scenario.bench.engine.change(|world| world.remove(name, false));
        ["farrier-pulled", "farrier-served", "farrier-stale"].into_iter().for_each(removed);
        recovers(&scenario.bench, &format!("nonsense at {index}")).await;
    }
}

impl crate::bench::Ended {
    fn codes_or_ready(&self) {
        if self.result.is_err() {
            self.codes();
        }
    }
}

#[tokio::test]
async fn two_launches_at_once_make_one_container() {
    let bench = Bench::with_own_network();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"").plain("cache");
    bench.engine.fault(At::Every(Call::Create), Fault::Late(std::time::Duration::from_millis(50)));
    let (one, other) = tokio::join!(bench.launch(), bench.launch());
    let (one, other) = (one.ready(), other.ready());
    assert_eq!(bench.engine.count(Call::Create), 2);
    assert_eq!(bench.engine.count(Call::CreateNetwork), 1);
    assert_eq!(bench.names(), ["farrier-cache", "farrier-db"]);
    let mut actions: Vec<String> = one.planned();
    actions.extend(other.planned());
    assert_eq!(actions.iter().filter(|line| line.starts_with("create")).count(), 2, "{actions:?}");
    assert_eq!(actions.iter().filter(|line| line.starts_with("reuse")).count(), 2, "{actions:?}");
    let waited = [&one, &other].map(|ended| ended.events("waiting-for-launch").len());
    assert_eq!(waited.iter().filter(|count| **count > 0).count(), 1, "one waits for the other: {waited:?}");
}

#[tokio::test]
async fn a_network_that_another_tool_made_meanwhile_does_not_stay_twice() {
    for empty in [true, false] {
        let bench = Bench::with_own_network();
        bench.plain("db");
        bench.engine.before(At::Nth(Call::CreateNetwork, 1), |world| {
            world
                .create_network("farrier", &BTreeMap::from([("farrier.network".to_owned(), "1".to_owned())]));
        });
        bench.up().await;
        let networks = bench.engine.change(|world| world.networks("farrier"));
        assert_eq!(networks.len(), 1, "empty: {empty}");
    }
}

#[tokio::test]
async fn two_networks_of_ours_left_by_killed_launches_are_made_one() {
    let bench = Bench::with_own_network();
    bench.plain("db");
    bench.engine.change(|world| {
        for _ in 0..2 {
            world
                .create_network("farrier", &BTreeMap::from([("farrier.network".to_owned(), "1".to_owned())]));
        }
    });
    bench.up().await;
    assert_eq!(bench.engine.change(|world| world.networks("farrier")).len(), 1);
}
