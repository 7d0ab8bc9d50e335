//! What is told of sidecars that end while the harness runs, whatever the engine does.

use std::sync::Arc;
use std::time::Duration;

use farrier::engine::docker::double::{At, Call, End, Fault, World};
use farrier::event::Reporter;
use farrier::harness::watch::SidecarWatch;
use farrier::system::leases::Leases;
use serde_json::Value;

use super::setup::{Collector, Fixture, Told};

/// Between two looks at what was told.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The watch of a launch of one sidecar `db`.
async fn watched(fixture: &Fixture) -> (SidecarWatch, Told) {
    fixture.plain("db").up().await;
    let told = Told::default();
    let reporter = Arc::new(Reporter::new(vec![Box::new(Collector(Arc::clone(&told)))]));
    let engine = Arc::new(fixture.docker());
    let db = fixture.container("db").expect("it runs");
    let leases = Leases::open("a test").expect("leases");
    // Calls are counted from here.
    fixture.engine.calm();
    (SidecarWatch::new(engine, reporter, leases, [("db".to_owned(), db)]), told)
}

fn ends(told: &Told) -> Vec<Value> {
    told.lock().expect("events").clone()
}

/// Watches until an end is told.
async fn end(watch: &SidecarWatch, told: &Told) -> Value {
    let is_told = async {
        while ends(told).is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        never = watch.run() => match never {},
        done = tokio::time::timeout(PATIENCE, is_told) => done.expect("the end is told"),
    }
    ends(told).remove(0)
}

#[tokio::test]
async fn each_way_to_end_is_told_with_its_cause() {
    type Change = fn(&mut World);
    let rows: [(&str, Value, Change); 5] = [
        ("exited", 3.into(), |world| world.end("farrier-db", &End::Exit(3))),
        ("exited", 0.into(), |world| world.end("farrier-db", &End::Exit(0))),
        ("killed-for-memory", 137.into(), |world| world.end("farrier-db", &End::OutOfMemory)),
        ("stopped-by-others", Value::Null, |world| world.remove("farrier-db", true)),
        ("", Value::Null, |world| world.restart("farrier-db")),
    ];
    for (cause, code, change) in rows {
        let fixture = Fixture::new();
        let (watch, told) = watched(&fixture).await;
        fixture.engine.change(change);
        let end = end(&watch, &told).await;
        assert_eq!(end["event"], "sidecar-ended");
        assert_eq!(end["cause"]["name"].as_str().unwrap_or_default(), cause, "{end:#}");
        assert_eq!(end["exit_code"], code, "{end:#}");
        assert_eq!(end["runs_again"], cause.is_empty(), "{end:#}");
        watch.finish().await;
        assert_eq!(ends(&told).len(), 1, "it is told once");
    }
}

#[tokio::test]
async fn an_end_that_no_event_told_is_seen_when_the_engine_is_back() {
    let fixture = Fixture::new();
    let (watch, told) = watched(&fixture).await;
    fixture
        .engine
        .fault(At::Nth(Call::Events, 1), Fault::Fail(farrier::engine::EngineErrorKind::Unreachable));
    fixture.engine.change(|world| {
        world.hold_events(true);
        world.end("farrier-db", &End::Exit(4));
    });
    assert_eq!(end(&watch, &told).await["exit_code"], 4);
}

#[tokio::test]
async fn a_restart_whose_end_was_seen_between_the_runs_is_told_as_one() {
    let fixture = Fixture::new();
    let (watch, told) = watched(&fixture).await;
    fixture.engine.change(|world| world.end("farrier-db", &End::Exit(137)));
    assert_eq!(end(&watch, &told).await["runs_again"], false);
    fixture.engine.change(|world| world.start_now("farrier-db").expect("it starts"));
    watch.finish().await;
    let [_, again]: [Value; 2] = ends(&told).try_into().expect("it is told again, once");
    assert_eq!((&again["runs_again"], &again["exit_code"]), (&true.into(), &137.into()), "{again:#}");
    assert!(
        again["message"].as_str().is_some_and(|text| text.contains("; it is running again")),
        "{again:#}"
    );
}

#[tokio::test]
async fn an_engine_that_hangs_keeps_nobody_from_ending() {
    for call in [Call::Events, Call::Container, Call::Logs] {
        let fixture = Fixture::new();
        let (watch, told) = watched(&fixture).await;
        fixture.engine.fault(At::Every(call), Fault::Hang);
        fixture.engine.change(|world| world.end("farrier-db", &End::Exit(3)));
        tokio::select! {
            never = watch.run() => match never {},
            () = fixture.engine.stalled() => {}
        }
        tokio::time::timeout(PATIENCE, watch.finish()).await.unwrap_or_else(|_| panic!("{call:?}"));
        assert_eq!(ends(&told), [] as [Value; 0], "{call:?}");
    }
}

#[tokio::test]
async fn what_happened_before_the_launch_or_to_others_is_not_told() {
    let fixture = Fixture::new();
    fixture.plain("db").up().await;
    fixture.engine.change(|world| world.restart("farrier-db"));
    let (watch, told) = watched(&fixture).await;
    fixture.plain("other").up().await;
    fixture.engine.change(|world| {
        world.end("farrier-other", &End::Exit(3));
        world.end("farrier-db", &End::Exit(5));
    });
    assert_eq!(end(&watch, &told).await["exit_code"], 5);
    watch.finish().await;
    assert_eq!(ends(&told).len(), 1);
}
