//! Networks: made, found and removed.

use std::collections::BTreeMap;

use farrier::engine::EngineErrorKind::{Conflict, NotFound, Refused};

use super::setup::{TestEngine, contract, kind};

contract! {
    a_network_is_found_by_exactly_its_name,
    a_network_is_found_by_its_id_and_its_short_id,
    two_networks_of_one_name_are_both_found_and_the_name_alone_is_refused,
    a_removed_network_is_gone_and_cannot_be_removed_again,
    a_network_that_something_runs_on_is_not_removed,
    what_was_made_on_a_network_that_is_gone_cannot_start,
}

async fn a_network_is_found_by_exactly_its_name(test_engine: &dyn TestEngine) {
    let (name, longer) = (test_engine.network("net").await, format!("{}-more", test_engine.name("net")));
    test_engine.engine().create_network(&longer, &BTreeMap::new()).await.expect("a network");
    let found = test_engine.engine().networks(&name).await.expect("networks");
    let [network] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&network.name, network.driver.as_str()), (&name, "bridge"));
    assert_eq!(network.labels, BTreeMap::from([test_engine.label()]));
    assert_eq!(network.id.len(), 64);
    assert_eq!(test_engine.engine().networks(&test_engine.name("ne")).await.expect("an answer"), vec![]);
    for other in [&name[..name.len() - 1], "", "no name/of one", &found[0].id[..4]] {
        assert_eq!(test_engine.engine().networks(other).await.expect("an answer"), vec![], "{other}");
        assert_eq!(
            test_engine.engine().inhabited(other).await.expect("an answer"),
            (vec![], vec![]),
            "{other}"
        );
    }
    let [more] = test_engine.engine().networks(&longer).await.expect("networks").try_into().expect("one");
    assert_eq!(more.labels, BTreeMap::new());
}

async fn a_network_is_found_by_its_id_and_its_short_id(test_engine: &dyn TestEngine) {
    let name = test_engine.name("net");
    let id = test_engine.engine().create_network(&name, &BTreeMap::new()).await.expect("a network");
    let by_name = test_engine.engine().networks(&name).await.expect("networks");
    assert_eq!(by_name[0].id, id);
    assert_eq!(test_engine.engine().networks(&id).await.expect("an answer"), by_name.clone());
    assert_eq!(test_engine.engine().networks(&id[..12]).await.expect("an answer"), by_name);
    for id in [&id, &id[..12]] {
        assert_eq!(test_engine.engine().inhabited(id).await.expect("an answer"), (by_name.clone(), vec![]));
    }
    assert_eq!(test_engine.engine().members(&id[..12]).await.expect("an answer"), Vec::<String>::new());
}

async fn two_networks_of_one_name_are_both_found_and_the_name_alone_is_refused(test_engine: &dyn TestEngine) {
    let name = test_engine.name("net");
    let mut ids = Vec::new();
    for _ in 0..2 {
        match test_engine.engine().create_network(&name, &BTreeMap::new()).await {
            // From Docker 25 on, an engine has no two.
            Err(error) if error.kind == Conflict && ids.len() == 1 => return,
            created => ids.push(created.expect("a network")),
        }
    }
    ids.sort();
    let found = test_engine.engine().networks(&name).await.expect("networks");
    assert_eq!(found.iter().map(|network| network.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(kind(test_engine.engine().members(&name).await), Refused);
    assert_eq!(test_engine.engine().inhabited(&name).await.expect("an answer"), (found, vec![]));
    assert_eq!(kind(test_engine.engine().remove_network(&name).await), Refused);
    let id = test_engine.engine().create(&test_engine.spec("db", &["wait"])).await.expect("a container");
    assert_eq!(kind(test_engine.engine().start(&id).await), Refused);
    test_engine.engine().remove_network(&ids[1]).await.expect("one can be removed by its id");
    assert_eq!(test_engine.engine().networks(&name).await.expect("networks").len(), 1);
    test_engine.engine().start(&id).await.expect("the name is plain again");
}

async fn a_removed_network_is_gone_and_cannot_be_removed_again(test_engine: &dyn TestEngine) {
    let name = test_engine.network("net").await;
    test_engine.engine().remove_network(&name).await.expect("it goes");
    assert_eq!(test_engine.engine().networks(&name).await.expect("an answer"), vec![]);
    assert_eq!(kind(test_engine.engine().remove_network(&name).await), NotFound);
    assert_eq!(kind(test_engine.engine().members(&name).await), NotFound);
}

async fn a_network_that_something_runs_on_is_not_removed(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    assert_eq!(kind(test_engine.engine().remove_network(&test_engine.name("net")).await), Refused);
    test_engine.engine().remove(&id, true).await.expect("the container goes");
    test_engine.engine().create(&test_engine.spec("db", &["wait"])).await.expect("a container");
    let removed = test_engine.engine().remove_network(&test_engine.name("net")).await;
    removed.expect("one that was only made does not keep it");
}

async fn what_was_made_on_a_network_that_is_gone_cannot_start(test_engine: &dyn TestEngine) {
    let spec = test_engine.spec("db", &["wait"]);
    let id =
        test_engine.engine().create(&spec).await.expect("a container on a network that is not there yet");
    assert_eq!(kind(test_engine.engine().start(&id).await), NotFound);
    let failed = test_engine.inspect(&id).await;
    assert!(failed.error.contains(&spec.network), "{failed:?}");
    assert_eq!(failed.status, farrier::engine::docker::api::Status::Created);
    test_engine.network("net").await;
    test_engine.engine().start(&id).await.expect("the network is there now");
}
