//! Anonymous volumes.

use farrier::engine::EngineErrorKind::Conflict;
use farrier::engine::docker::api::Mounted;

use super::setup::{Recipe, Stage, contract, kind, words};

contract! {
    an_images_volume_is_anonymous_and_goes_with_its_container_when_told,
    a_volume_can_be_removed_once_no_container_has_it,
    an_anonymous_volume_that_is_kept_can_be_carried_into_another_container,
}

fn recipe() -> Recipe {
    Recipe { volumes: words(&["/data"]), ..Recipe::default() }
}

async fn an_images_volume_is_anonymous_and_goes_with_its_container_when_told(stage: &dyn Stage) {
    let mut spec = stage.spec("db", &["wait"]);
    spec.image = stage.image("data", &recipe());
    let id = stage.engine().create(&spec).await.expect("a container");
    let mounts = stage.inspect(&id).await.mounts;
    let [volume] = mounts.as_slice() else { panic!("{mounts:?}") };
    assert!(volume.is_anonymous_volume() && volume.writable && volume.target == "/data", "{volume:?}");
    assert!(stage.has_volume(&volume.source));
    stage.engine().remove(&id, true).await.expect("it goes");
    assert!(!stage.has_volume(&volume.source));
}

async fn an_anonymous_volume_that_is_kept_can_be_carried_into_another_container(stage: &dyn Stage) {
    let mut spec = stage.spec("db", &["wait"]);
    spec.image = stage.image("data", &recipe());
    let id = stage.engine().create(&spec).await.expect("a container");
    let mounts: Vec<Mounted> = stage.inspect(&id).await.mounts;
    stage.engine().remove(&id, false).await.expect("it goes");
    assert!(stage.has_volume(&mounts[0].source));
    spec.mounts.clone_from(&mounts);
    let id = stage.engine().create(&spec).await.expect("another container");
    assert_eq!(stage.inspect(&id).await.mounts, mounts, "in place of a new one");
    stage.engine().remove(&id, true).await.expect("it goes");
    assert!(stage.has_volume(&mounts[0].source), "given by name, it is nobody's own");
}

async fn a_volume_can_be_removed_once_no_container_has_it(stage: &dyn Stage) {
    let mut spec = stage.spec("db", &["wait"]);
    spec.image = stage.image("data", &recipe());
    let id = stage.engine().create(&spec).await.expect("a container");
    let volume = stage.inspect(&id).await.mounts[0].source.clone();
    assert_eq!(kind(stage.engine().remove_volume(&volume).await), Conflict);
    stage.engine().remove(&id, false).await.expect("it goes");
    stage.engine().remove_volume(&volume).await.expect("it goes");
    assert!(!stage.has_volume(&volume));
    stage.engine().remove_volume(&volume).await.expect("nothing is to be done");
}
