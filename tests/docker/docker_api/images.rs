//! Images: found, and what they say of themselves.

use std::time::Duration;

use farrier::engine::EngineErrorKind::NotFound;
use farrier::engine::docker::api::HealthTest;

use super::setup::{Recipe, TestEngine, contract, kind, words};

contract! {
    an_absent_image_is_none_and_nothing_can_be_made_of_it,
    an_image_is_found_by_its_tag_its_id_and_its_short_id,
    an_image_tells_what_it_runs_and_its_volumes,
}

async fn an_absent_image_is_none_and_nothing_can_be_made_of_it(test_engine: &dyn TestEngine) {
    let absent = format!("{}:absent", test_engine.name("image"));
    assert_eq!(test_engine.engine().image(&absent).await.expect("an answer"), None);
    let id = format!("sha256:{}", "0".repeat(64));
    assert_eq!(test_engine.engine().image(&id).await.expect("an answer"), None);
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = absent;
    assert_eq!(kind(test_engine.engine().create(&spec).await), NotFound);
    assert_eq!(test_engine.engine().container(&spec.name).await.expect("an answer"), None);
}

async fn an_image_is_found_by_its_tag_its_id_and_its_short_id(test_engine: &dyn TestEngine) {
    let reference = test_engine.image("plain", &Recipe::default());
    let image = test_engine.engine().image(&reference).await.expect("an answer").expect("the image");
    assert_eq!(image.id.len(), "sha256:".len() + 64);
    for other in [&image.id, &image.id[7..], &image.id[7..19]] {
        assert_eq!(
            test_engine.engine().image(other).await.expect("an answer").as_ref(),
            Some(&image),
            "{other}"
        );
    }
    let (repository, _) = reference.rsplit_once(':').expect("a tag");
    assert_eq!(
        test_engine.engine().image(repository).await.expect("an answer"),
        None,
        "it has no tag `latest`"
    );
}

async fn an_image_tells_what_it_runs_and_its_volumes(test_engine: &dyn TestEngine) {
    let recipe = Recipe {
        command: words(&["wait"]),
        env: vec![("FIRST".to_owned(), "1".to_owned()), ("SECOND".to_owned(), "2".to_owned())],
        volumes: words(&["/data", "/var/lib/other"]),
        user: "7:7".to_owned(),
        directory: "/tmp".to_owned(),
        health: words(&["/fixture", "healthy-when-file", "/tmp/healthy"]),
        ..Recipe::default()
    };
    let reference = test_engine.image("full", &recipe);
    let image = test_engine.engine().image(&reference).await.expect("an answer").expect("the image");
    assert_eq!(image.process.entrypoint, ["/fixture"]);
    assert_eq!(image.process.command, ["wait"]);
    assert_eq!(image.process.env, ["FIRST=1", "SECOND=2"]);
    assert_eq!((image.process.user.as_str(), image.process.directory.as_str()), ("7:7", "/tmp"));
    assert_eq!(image.process.shell, Vec::<String>::new());
    let health = HealthTest {
        test: words(&["CMD", "/fixture", "healthy-when-file", "/tmp/healthy"]),
        timeout: Duration::from_secs(7),
        start_period: Duration::from_secs(60),
    };
    assert_eq!(image.process.health, Some(health));
    assert_eq!(image.volumes, ["/data", "/var/lib/other"]);
}
