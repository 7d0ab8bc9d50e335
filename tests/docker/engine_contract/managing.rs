//! What farrier made: finding it again, and removing it.

use std::sync::Arc;

use farrier::plan::reconcile::staleness;
use farrier::plan::sidecar::Sidecar;

use super::setup::{Ground, contract, network, sidecar};

contract! {
    what_farrier_made_is_found_with_its_definition,
    only_the_instance_that_was_meant_is_removed,
    a_network_goes_when_nothing_needs_it,
}

async fn what_farrier_made_is_found_with_its_definition(ground: &dyn Ground) {
    let db = sidecar(ground, "db", "");
    ground.launch(&[Arc::clone(&db)]).await;
    let found = ground.engine().find(&db).await.expect("an answer").expect("it is there");
    assert!(staleness(&db, &found, false).is_empty());
    let edited = sidecar(ground, "db", "env = { LEVEL = \"debug\" }");
    let found = ground.engine().find(&edited).await.expect("an answer").expect("it is there");
    assert_eq!(staleness(&edited, &found, false).len(), 1);
    let of = async |declared: &[Arc<Sidecar>]| {
        let all = ground.engine().inventory(declared).await.expect("an answer");
        let mine = all.into_iter().find(|(found, _)| found.instance.name == db.container);
        mine.expect("it is listed").1.map(|sidecar| sidecar.name().to_owned())
    };
    assert_eq!(of(&[Arc::clone(&db)]).await.as_deref(), Some(db.name()));
    assert_eq!(of(&[]).await, None, "nobody declares it");
}

async fn only_the_instance_that_was_meant_is_removed(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    ground.launch(&db).await;
    let old = ground.inspect(&db[0]).await.expect("it runs");
    let edited = [sidecar(ground, "db", "env = { LEVEL = \"debug\" }")];
    ground.launch(&edited).await;
    let remove = async |instance| {
        let removed = ground.engine().remove(db[0].name(), instance, &|_| ()).await;
        removed.expect("an answer")
    };
    assert!(!remove(&old).await, "another one has its name by now");
    let new = ground.inspect(&db[0]).await.expect("it is left alone");
    assert!(remove(&new).await);
    assert!(ground.inspect(&db[0]).await.is_none());
}

async fn a_network_goes_when_nothing_needs_it(ground: &dyn Ground) {
    let (db, name) = ([sidecar(ground, "db", "")], network(ground).name);
    ground.launch(&db).await;
    assert!(ground.engine().own_networks().await.expect("an answer").contains(&name));
    assert!(!ground.engine().remove_network(&name).await.expect("an answer"), "a sidecar is on it");
    let instance = ground.inspect(&db[0]).await.expect("it runs");
    assert!(ground.engine().remove(db[0].name(), &instance, &|_| ()).await.expect("an answer"));
    assert!(ground.engine().remove_network(&name).await.expect("an answer"));
    assert!(!ground.engine().own_networks().await.expect("an answer").contains(&name));
}
