//! Containers on networks.

use std::collections::BTreeSet;

use farrier::engine::EngineErrorKind::{NotFound, Refused};
use farrier::engine::docker::api::{Endpoint, Member};

use super::setup::{TestEngine, contract, given_names, kind, words};

contract! {
    only_what_runs_is_a_member,
    a_connection_is_another_one_after_each_start_and_each_joining,
    a_container_can_join_and_leave_a_second_network_while_it_runs,
    a_container_can_join_a_second_network_before_it_starts,
    nobody_joins_a_network_twice,
    nobody_leaves_a_network_that_it_is_not_on,
    a_network_that_is_not_there_cannot_be_joined,
}

async fn only_what_runs_is_a_member(test_engine: &dyn TestEngine) {
    let (engine, net) = (test_engine.engine(), test_engine.network("net").await);
    let id = engine.create(&test_engine.spec("db", &["wait"])).await.expect("a container");
    assert_eq!(engine.members(&net).await.expect("members"), Vec::<String>::new());
    engine.start(&id).await.expect("it starts");
    assert_eq!(engine.members(&net).await.expect("members"), [id.as_str()]);
    test_engine.pause(&id);
    assert_eq!(engine.members(&net).await.expect("members"), [id.as_str()]);
    let ended = test_engine.started("ended", &["exit", "0"]).await;
    test_engine.exited(&ended).await;
    assert_eq!(engine.members(&net).await.expect("members"), [id]);
}

async fn a_connection_is_another_one_after_each_start_and_each_joining(test_engine: &dyn TestEngine) {
    let (engine, net) = (test_engine.engine(), test_engine.network("net").await);
    let id = engine.create(&test_engine.spec("db", &["wait"])).await.expect("a container");
    assert_eq!(test_engine.inspect(&id).await.networks[&net].id, "");
    let mut seen = BTreeSet::new();
    for round in 0..4 {
        match round {
            0 => engine.start(&id).await.expect("it starts"),
            1 => test_engine.restart(&id).await,
            2 => engine.disconnect(&net, &id).await.expect("it leaves"),
            _ => {}
        }
        if round == 2 {
            assert_eq!(engine.inhabited(&net).await.expect("an answer").1, []);
            engine.connect(&net, &id, &[]).await.expect("it joins");
        }
        let found = test_engine.inspect(&id).await;
        let endpoint = found.networks[&net].clone();
        let member = Member {
            container: id.clone(),
            name: found.name,
            endpoint: endpoint.id.clone(),
            address: endpoint.address,
        };
        let (networks, members) = engine.inhabited(&net).await.expect("an answer");
        assert_eq!((networks, members), (engine.networks(&net).await.expect("networks"), vec![member]));
        assert!(!endpoint.id.is_empty() && endpoint.address.is_some(), "{endpoint:?}");
        assert_eq!(seen.insert(endpoint.id), round < 3, "round {round}");
    }
}

async fn a_container_can_join_and_leave_a_second_network_while_it_runs(test_engine: &dyn TestEngine) {
    let (engine, id) = (test_engine.engine(), test_engine.started("db", &["wait"]).await);
    let second = test_engine.network("second").await;
    engine.connect(&second, &id, &words(&["database", "store"])).await.expect("it joins");
    let found = test_engine.inspect(&id).await;
    assert_eq!(found.network_mode, test_engine.name("net"));
    assert_eq!(found.networks.len(), 2);
    let endpoint = &found.networks[&second];
    assert_eq!(given_names(endpoint, &found.name), ["database", "store", &id[..12]]);
    assert_eq!(endpoint.network_id, engine.networks(&second).await.expect("networks")[0].id);
    assert!(endpoint.address.is_some() && endpoint.gateway.is_some(), "{endpoint:?}");
    assert_eq!(engine.members(&second).await.expect("members"), [id.as_str()]);
    engine.disconnect(&second, &id).await.expect("it leaves");
    assert_eq!(engine.members(&second).await.expect("members"), Vec::<String>::new());
    assert_eq!(test_engine.inspect(&id).await.networks.len(), 1);
}

async fn a_container_can_join_a_second_network_before_it_starts(test_engine: &dyn TestEngine) {
    let (engine, _) = (test_engine.engine(), test_engine.network("net").await);
    let second = test_engine.network("second").await;
    let id = engine.create(&test_engine.spec("db", &["wait"])).await.expect("a container");
    engine.connect(&second, &id, &words(&["database"])).await.expect("it joins");
    let endpoint = test_engine.inspect(&id).await.networks[&second].clone();
    let Endpoint { address, gateway, aliases, .. } = endpoint;
    assert_eq!((address, gateway), (None, None));
    assert_eq!(aliases[..1], ["database"]);
    engine.start(&id).await.expect("it starts");
    assert_eq!(engine.members(&second).await.expect("members"), [id.as_str()]);
    let found = test_engine.inspect(&id).await;
    let endpoint = &found.networks[&second];
    assert_eq!(given_names(endpoint, &found.name), ["database", &id[..12]]);
    assert!(endpoint.address.is_some(), "{endpoint:?}");
}

async fn nobody_joins_a_network_twice(test_engine: &dyn TestEngine) {
    let (engine, id) = (test_engine.engine(), test_engine.started("db", &["wait"]).await);
    assert_eq!(kind(engine.connect(&test_engine.name("net"), &id, &[]).await), Refused);
    assert_eq!(engine.members(&test_engine.name("net")).await.expect("members"), [id]);
}

async fn nobody_leaves_a_network_that_it_is_not_on(test_engine: &dyn TestEngine) {
    let (engine, id) = (test_engine.engine(), test_engine.started("db", &["wait"]).await);
    let second = test_engine.network("second").await;
    assert_eq!(kind(engine.disconnect(&second, &id).await), Refused);
    assert_eq!(kind(engine.disconnect(&test_engine.name("absent"), &id).await), Refused);
}

async fn a_network_that_is_not_there_cannot_be_joined(test_engine: &dyn TestEngine) {
    let (engine, id) = (test_engine.engine(), test_engine.started("db", &["wait"]).await);
    assert_eq!(kind(engine.connect(&test_engine.name("absent"), &id, &[]).await), NotFound);
    assert_eq!(test_engine.inspect(&id).await.networks.len(), 1);
}
