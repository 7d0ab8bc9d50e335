//! Events of containers.

use std::collections::BTreeMap;

use farrier::engine::docker::api::EngineEvent;
use futures_util::StreamExt;

use super::setup::{Recipe, Stage, contract, words};

contract! {
    events_come_in_order_from_the_moment_asked_for,
    events_come_only_of_containers_with_the_label,
    a_removal_by_force_tells_that_it_killed,
    a_pause_and_a_health_are_told,
}

/// Events since a moment, up to the first one of this action.
async fn up_to(stage: &dyn Stage, label: &str, since: &str, last: &str) -> Vec<EngineEvent> {
    let mut stream = stage.engine().events(label, since).await.expect("a stream");
    let mut found: Vec<EngineEvent> = Vec::new();
    while found.last().is_none_or(|event| event.action != last) {
        found.push(stream.next().await.expect("the stream goes on").expect("an event"));
    }
    found
}

fn actions(events: &[EngineEvent]) -> Vec<&str> {
    events.iter().map(|event| event.action.as_str()).collect()
}

fn labelled(stage: &dyn Stage) -> String {
    let (name, value) = stage.label();
    format!("{name}={value}")
}

async fn events_come_in_order_from_the_moment_asked_for(stage: &dyn Stage) {
    let label = labelled(stage);
    let first = stage.engine().info().await.expect("an answer").time;
    let id = stage.started("db", &["exit", "3"]).await;
    let events = up_to(stage, &label, &first, "die").await;
    assert_eq!(actions(&events), ["start", "die"]);
    assert!(events.iter().all(|event| event.container == id), "{events:?}");
    assert!(events[0].time < events[1].time, "{events:?}");
    stage.exited(&id).await;
    let second = stage.engine().info().await.expect("an answer").time;
    stage.engine().start(&id).await.expect("it starts again");
    assert_eq!(actions(&up_to(stage, &label, &second, "die").await), ["start", "die"]);
    stage.exited(&id).await;
    stage.engine().remove(&id, true).await.expect("it goes");
    let all = up_to(stage, &label, &first, "destroy").await;
    assert_eq!(actions(&all), ["start", "die", "start", "die", "destroy"]);
}

async fn events_come_only_of_containers_with_the_label(stage: &dyn Stage) {
    stage.network("net").await;
    let own = stage.name("own");
    let since = stage.engine().info().await.expect("an answer").time;
    let mut ids = Vec::new();
    for (stem, value) in [("none", None), ("other", Some("other")), ("this", Some("this"))] {
        let mut spec = stage.spec(stem, &["exit", "0"]);
        spec.labels.extend(value.map(|value| (own.clone(), value.to_owned())));
        let id = stage.engine().create(&spec).await.expect("a container");
        stage.engine().start(&id).await.expect("it starts");
        stage.exited(&id).await;
        ids.push(id);
    }
    let of = |events: Vec<EngineEvent>| {
        let counted = events.into_iter().map(|event| event.container);
        counted.fold(BTreeMap::new(), |mut counts: BTreeMap<String, usize>, id| {
            *counts.entry(id).or_default() += 1;
            counts
        })
    };
    stage.engine().remove(&ids[2], true).await.expect("it goes");
    let key = up_to(stage, &own, &since, "destroy").await;
    assert_eq!(of(key), BTreeMap::from([(ids[1].clone(), 2), (ids[2].clone(), 3)]));
    let value = up_to(stage, &format!("{own}=this"), &since, "destroy").await;
    assert_eq!(of(value), BTreeMap::from([(ids[2].clone(), 3)]));
}

async fn a_removal_by_force_tells_that_it_killed(stage: &dyn Stage) {
    let since = stage.engine().info().await.expect("an answer").time;
    let id = stage.started("db", &["wait"]).await;
    stage.engine().remove(&id, true).await.expect("it goes");
    let events = up_to(stage, &labelled(stage), &since, "destroy").await;
    assert_eq!(actions(&events), ["start", "kill", "die", "destroy"]);
}

async fn a_pause_and_a_health_are_told(stage: &dyn Stage) {
    stage.network("net").await;
    let health = words(&["/fixture", "healthy-when-file", "/tmp/healthy"]);
    let mut spec = stage.spec("db", &["wait"]);
    spec.image = stage.image("tested", &Recipe { health, ..Recipe::default() });
    let since = stage.engine().info().await.expect("an answer").time;
    let id = stage.engine().create(&spec).await.expect("a container");
    stage.engine().start(&id).await.expect("it starts");
    stage.heal(&id).await;
    let events = up_to(stage, &labelled(stage), &since, "health_status: healthy").await;
    assert_eq!(actions(&events), ["start", "health_status: healthy"]);
    stage.pause(&id);
    let events = up_to(stage, &labelled(stage), &since, "pause").await;
    assert_eq!(actions(&events), ["start", "health_status: healthy", "pause"]);
}
