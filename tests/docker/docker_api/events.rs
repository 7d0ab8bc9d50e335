//! Events of containers.

use std::collections::BTreeMap;

use farrier::engine::docker::api::EngineEvent;
use futures_util::StreamExt;

use super::setup::{Recipe, TestEngine, contract, words};

contract! {
    events_come_in_order_from_the_moment_asked_for,
    events_come_only_of_containers_with_the_label,
    a_removal_by_force_tells_that_it_killed,
    a_pause_and_a_health_are_told,
}

/// Events since a moment, up to the first one of this action.
async fn up_to(test_engine: &dyn TestEngine, label: &str, since: &str, last: &str) -> Vec<EngineEvent> {
    let mut stream = test_engine.engine().events(label, since).await.expect("a stream");
    let mut found: Vec<EngineEvent> = Vec::new();
    while found.last().is_none_or(|event| event.action != last) {
        found.push(stream.next().await.expect("the stream goes on").expect("an event"));
    }
    found
}

fn actions(events: &[EngineEvent]) -> Vec<&str> {
    events.iter().map(|event| event.action.as_str()).collect()
}

fn labelled(test_engine: &dyn TestEngine) -> String {
    let (name, value) = test_engine.label();
    format!("{name}={value}")
}

async fn events_come_in_order_from_the_moment_asked_for(test_engine: &dyn TestEngine) {
    let label = labelled(test_engine);
    let first = test_engine.engine().info().await.expect("an answer").time;
    let id = test_engine.started("db", &["exit", "3"]).await;
    let events = up_to(test_engine, &label, &first, "die").await;
    assert_eq!(actions(&events), ["start", "die"]);
    assert!(events.iter().all(|event| event.container == id), "{events:?}");
    assert!(events[0].time < events[1].time, "{events:?}");
    test_engine.exited(&id).await;
    let second = test_engine.engine().info().await.expect("an answer").time;
    test_engine.engine().start(&id).await.expect("it starts again");
    assert_eq!(actions(&up_to(test_engine, &label, &second, "die").await), ["start", "die"]);
    test_engine.exited(&id).await;
    test_engine.engine().remove(&id, true).await.expect("it goes");
    let all = up_to(test_engine, &label, &first, "destroy").await;
    assert_eq!(actions(&all), ["start", "die", "start", "die", "destroy"]);
}

async fn events_come_only_of_containers_with_the_label(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let own = test_engine.name("own");
    let since = test_engine.engine().info().await.expect("an answer").time;
    let mut ids = Vec::new();
    for (stem, value) in [("none", None), ("other", Some("other")), ("this", Some("this"))] {
        let mut spec = test_engine.spec(stem, &["exit", "0"]);
        spec.labels.extend(value.map(|value| (own.clone(), value.to_owned())));
        let id = test_engine.engine().create(&spec).await.expect("a container");
        test_engine.engine().start(&id).await.expect("it starts");
        test_engine.exited(&id).await;
        ids.push(id);
    }
    let of = |events: Vec<EngineEvent>| {
        let counted = events.into_iter().map(|event| event.container);
        counted.fold(BTreeMap::new(), |mut counts: BTreeMap<String, usize>, id| {
            *counts.entry(id).or_default() += 1;
            counts
        })
    };
    test_engine.engine().remove(&ids[2], true).await.expect("it goes");
    let key = up_to(test_engine, &own, &since, "destroy").await;
    assert_eq!(of(key), BTreeMap::from([(ids[1].clone(), 2), (ids[2].clone(), 3)]));
    let value = up_to(test_engine, &format!("{own}=this"), &since, "destroy").await;
    assert_eq!(of(value), BTreeMap::from([(ids[2].clone(), 3)]));
}

async fn a_removal_by_force_tells_that_it_killed(test_engine: &dyn TestEngine) {
    let since = test_engine.engine().info().await.expect("an answer").time;
    let id = test_engine.started("db", &["wait"]).await;
    test_engine.engine().remove(&id, true).await.expect("it goes");
    let events = up_to(test_engine, &labelled(test_engine), &since, "destroy").await;
    assert_eq!(actions(&events), ["start", "kill", "die", "destroy"]);
}

async fn a_pause_and_a_health_are_told(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let health = words(&["/fixture", "healthy-when-file", "/tmp/healthy"]);
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("tested", &Recipe { health, ..Recipe::default() });
    let since = test_engine.engine().info().await.expect("an answer").time;
    let id = test_engine.engine().create(&spec).await.expect("a container");
    test_engine.engine().start(&id).await.expect("it starts");
    test_engine.heal(&id).await;
    let events = up_to(test_engine, &labelled(test_engine), &since, "health_status: healthy").await;
    assert_eq!(actions(&events), ["start", "health_status: healthy"]);
    test_engine.pause(&id);
    let events = up_to(test_engine, &labelled(test_engine), &since, "pause").await;
    assert_eq!(actions(&events), ["start", "health_status: healthy", "pause"]);
}
