//! Anonymous volumes.

use farrier::engine::EngineErrorKind::Conflict;
use farrier::engine::docker::api::Mounted;

use super::setup::{Recipe, TestEngine, contract, kind, words};

contract! {
    an_images_volume_is_anonymous_and_goes_with_its_container_when_told,
    a_volume_can_be_removed_once_no_container_has_it,
    an_anonymous_volume_that_is_kept_can_be_carried_into_another_container,
}

fn recipe() -> Recipe {
    Recipe { volumes: words(&["/data"]), ..Recipe::default() }
}

async fn an_images_volume_is_anonymous_and_goes_with_its_container_when_told(test_engine: &dyn TestEngine) {
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("data", &recipe());
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let mounts = test_engine.inspect(&id).await.mounts;
    let [volume] = mounts.as_slice() else { panic!("{mounts:?}") };
    assert!(volume.is_anonymous_volume() && volume.writable && volume.target == "/data", "{volume:?}");
    assert!(test_engine.has_volume(&volume.source));
    test_engine.engine().remove(&id, true).await.expect("it goes");
    assert!(!test_engine.has_volume(&volume.source));
}

async fn an_anonymous_volume_that_is_kept_can_be_carried_into_another_container(
    test_engine: &dyn TestEngine,
) {
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("data", &recipe());
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let mounts: Vec<Mounted> = test_engine.inspect(&id).await.mounts;
    test_engine.engine().remove(&id, false).await.expect("it goes");
    assert!(test_engine.has_volume(&mounts[0].source));
    spec.mounts.clone_from(&mounts);
    let id = test_engine.engine().create(&spec).await.expect("another container");
    assert_eq!(test_engine.inspect(&id).await.mounts, mounts, "in place of a new one");
    test_engine.engine().remove(&id, true).await.expect("it goes");
    assert!(test_engine.has_volume(&mounts[0].source), "given by name, it is nobody's own");
}

async fn a_volume_can_be_removed_once_no_container_has_it(test_engine: &dyn TestEngine) {
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("data", &recipe());
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let volume = test_engine.inspect(&id).await.mounts[0].source.clone();
    assert_eq!(kind(test_engine.engine().remove_volume(&volume).await), Conflict);
    test_engine.engine().remove(&id, false).await.expect("it goes");
    test_engine.engine().remove_volume(&volume).await.expect("it goes");
    assert!(!test_engine.has_volume(&volume));
    test_engine.engine().remove_volume(&volume).await.expect("nothing is to be done");
}
