//! Observing, deciding on it, and carrying the plan out.

use farrier::engine::{Availability, Freshness};
use farrier::plan::instance::Status;
use farrier::plan::{Action, NetworkAction};

use super::setup::{Ground, contract, network, sidecar};

contract! {
    what_is_absent_is_created_and_then_used_as_it_is,
    an_instance_is_marked_after_it_was_created_and_before_it_starts,
    an_edit_replaces_the_instance_by_another_one,
    what_ended_is_replaced_and_the_plan_says_how_it_ended,
    several_are_observed_in_the_order_in_which_they_were_asked_about,
    an_observation_changes_nothing,
    facets_are_there_as_the_capabilities_say,
}

async fn what_is_absent_is_created_and_then_used_as_it_is(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    let before = ground.plan(&db).await;
    assert_eq!(before.network.action, NetworkAction::Create);
    assert_eq!(before.sidecars[0].action, Action::Create, "{before}");
    ground.launch(&db).await;
    let instance = ground.inspect(&db[0]).await.expect("it runs");
    assert!(instance.is_of(&db[0]) && instance.status == Status::Running, "{instance:?}");
    assert!(instance.address(&network(ground).name).is_some(), "{instance:?}");
    let after = ground.plan(&db).await;
    assert!(after.changes_nothing(), "{after}");
    assert_eq!(after.sidecars[0].existing.as_ref().map(|existing| &existing.id), Some(&instance.id));
}

async fn an_instance_is_marked_after_it_was_created_and_before_it_starts(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    assert_eq!(ground.launch(&db).await, ["network created", "created", "marked", "started"]);
}

async fn an_edit_replaces_the_instance_by_another_one(ground: &dyn Ground) {
    ground.launch(&[sidecar(ground, "db", "")]).await;
    let edited = [sidecar(ground, "db", "env = { LEVEL = \"debug\" }")];
    let old = ground.inspect(&edited[0]).await.expect("it runs");
    let plan = ground.plan(&edited).await;
    assert_eq!(plan.sidecars[0].action, Action::Recreate);
    assert!(plan.to_string().contains("because env.LEVEL changed"), "{plan}");
    assert_eq!(ground.launch(&edited).await, ["stopping", "created", "marked", "started"]);
    let new = ground.inspect(&edited[0]).await.expect("it runs");
    assert!(new.id != old.id && new.is_of(&edited[0]) && !old.is_of(&edited[0]));
    assert!(ground.engine().inspect(&old.id).await.expect("an answer").is_none(), "the old one is gone");
}

async fn what_ended_is_replaced_and_the_plan_says_how_it_ended(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    ground.launch(&db).await;
    let running = ground.inspect(&db[0]).await.expect("it runs");
    ground.end(&running, 137);
    ground.until(&db[0], |instance| instance.status == Status::Exited).await;
    let plan = ground.plan(&db).await;
    assert!(plan.to_string().contains("because it is not running: exited (exit code 137)"), "{plan}");
    ground.launch(&db).await;
    let again = ground.inspect(&db[0]).await.expect("it runs");
    assert!(again.status == Status::Running && again.id != running.id);
}

async fn several_are_observed_in_the_order_in_which_they_were_asked_about(ground: &dyn Ground) {
    let all = ["c", "a", "b"].map(|stem| sidecar(ground, stem, ""));
    ground.launch(&all[..2]).await;
    let snapshot =
        ground.engine().observe(&all, &network(ground), Freshness::Cached).await.expect("an answer");
    let found: Vec<bool> = snapshot.sidecars.iter().map(|observed| observed.found.is_some()).collect();
    assert_eq!(found, [true, true, false]);
    for (sidecar, observed) in all.iter().zip(&snapshot.sidecars) {
        let name = observed.found.as_ref().map(|found| found.instance.name.as_str());
        assert!(name.is_none_or(|name| name == sidecar.container));
    }
}

async fn an_observation_changes_nothing(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    for _ in 0..2 {
        let plan = ground.plan(&db).await;
        assert_eq!((plan.network.action, plan.sidecars[0].action), (NetworkAction::Create, Action::Create));
    }
    assert!(ground.inspect(&db[0]).await.is_none());
}

async fn facets_are_there_as_the_capabilities_say(ground: &dyn Ground) {
    let (engine, capabilities) = (ground.engine(), ground.engine().capabilities());
    assert_eq!(engine.exec().is_some(), capabilities.exec != Availability::Nowhere);
    assert_eq!(engine.logs().is_some(), capabilities.logs);
    assert!(!capabilities.kind.is_empty() && !capabilities.product.is_empty());
    let (one, other) = (engine.info().await.expect("an answer"), engine.info().await.expect("an answer"));
    assert!(one.id == other.id && !one.id.is_empty() && one.moment().is_some());
}
