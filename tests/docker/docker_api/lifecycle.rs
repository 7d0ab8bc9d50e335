//! Containers: started, ended, started again, paused, resumed, healthy.

use farrier::engine::EngineErrorKind::{Conflict, Refused};
use farrier::engine::ExecRequest;
use farrier::engine::docker::api::{HealthStatus, Status};

use super::setup::{Recipe, TestEngine, contract, given_names, kind, words};

contract! {
    a_started_container_runs_and_starting_it_again_does_nothing,
    a_container_that_ended_tells_its_exit_code_and_has_no_address,
    another_start_has_another_moment_and_forgets_the_exit_code,
    a_program_that_is_not_there_fails_the_start,
    a_paused_container_takes_no_command_until_it_is_resumed,
    what_is_not_paused_cannot_be_resumed,
    a_paused_container_can_be_removed,
    a_health_test_is_starting_until_a_run_passes,
}

async fn a_started_container_runs_and_starting_it_again_does_nothing(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let first = test_engine.inspect(&id).await;
    assert_eq!((first.status, first.exit_code, first.restarts), (Status::Running, 0, 0));
    assert!(first.started_at.parse::<jiff::Timestamp>().is_ok(), "{}", first.started_at);
    let endpoint = &first.networks[&test_engine.name("net")];
    assert_eq!(
        endpoint.network_id,
        test_engine.engine().networks(&test_engine.name("net")).await.expect("one")[0].id
    );
    assert!(endpoint.address.is_some() && endpoint.gateway.is_some(), "{endpoint:?}");
    assert_eq!(given_names(endpoint, &first.name), [&id[..12]]);
    test_engine.engine().start(&id).await.expect("nothing is to be done");
    assert_eq!(test_engine.inspect(&id).await, first);
}

async fn a_container_that_ended_tells_its_exit_code_and_has_no_address(test_engine: &dyn TestEngine) {
    for code in [0, 3, 137] {
        let id = test_engine.started(&format!("db{code}"), &["exit", &code.to_string()]).await;
        let ended = test_engine.exited(&id).await;
        assert_eq!((ended.exit_code, ended.oom_killed, ended.error.as_str()), (code, false, ""));
        let endpoint = &ended.networks[&test_engine.name("net")];
        assert_eq!((endpoint.address, endpoint.gateway), (None, None));
    }
}

async fn another_start_has_another_moment_and_forgets_the_exit_code(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["exit", "3"]).await;
    let first = test_engine.exited(&id).await;
    test_engine.engine().start(&id).await.expect("it starts again");
    let second = test_engine.until(&id, |found| found.started_at != first.started_at).await;
    let moment = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
    assert!(moment(&second.started_at) > moment(&first.started_at));
    assert_eq!(second.restarts, 0, "nobody but the engine's own policy counts");
    assert_eq!(test_engine.exited(&id).await.exit_code, 3);
}

async fn a_program_that_is_not_there_fails_the_start(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let mut spec = test_engine.spec("db", &[]);
    spec.entrypoint = words(&["/absent"]);
    let id = test_engine.engine().create(&spec).await.expect("a container");
    let error = test_engine.engine().start(&id).await.expect_err("no such program");
    assert_eq!(error.kind, Refused, "{error}");
    assert!(error.message.contains("/absent"), "{error}");
    let failed = test_engine.inspect(&id).await;
    assert_eq!((failed.status, failed.exit_code), (Status::Created, 127));
    assert!(failed.error.contains("/absent"), "{failed:?}");
    assert_eq!(failed.started_at, "0001-01-01T00:00:00Z");
}

async fn a_paused_container_takes_no_command_until_it_is_resumed(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let before = test_engine.inspect(&id).await;
    test_engine.pause(&id);
    let paused = test_engine.inspect(&id).await;
    assert_eq!(paused.status, Status::Paused);
    assert_eq!(paused.started_at, before.started_at);
    assert_eq!(paused.networks, before.networks);
    let request = ExecRequest { arguments: words(&["/fixture", "exit", "0"]), output_limit: 10 };
    assert_eq!(kind(test_engine.engine().exec(&id, &request).await), Conflict);
    assert_eq!(kind(test_engine.engine().start(&id).await), Conflict);
    test_engine.engine().resume(&id).await.expect("it goes on");
    assert_eq!(test_engine.inspect(&id).await, before);
    assert_eq!(test_engine.engine().exec(&id, &request).await.expect("it takes commands").exit_code, 0);
}

async fn what_is_not_paused_cannot_be_resumed(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    let running = kind(test_engine.engine().resume(&id).await);
    let created =
        test_engine.engine().create(&test_engine.spec("created", &["wait"])).await.expect("a container");
    let created = kind(test_engine.engine().resume(&created).await);
    assert_eq!((running, created), (Refused, Refused));
    assert_eq!(test_engine.inspect(&id).await.status, Status::Running);
}

async fn a_paused_container_can_be_removed(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["wait"]).await;
    test_engine.pause(&id);
    test_engine.engine().remove(&id, false).await.expect("it goes");
    assert_eq!(test_engine.engine().container(&id).await.expect("an answer"), None);
}

async fn a_health_test_is_starting_until_a_run_passes(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let health = words(&["/fixture", "healthy-when-file", "/tmp/healthy"]);
    let mut spec = test_engine.spec("db", &["wait"]);
    spec.image = test_engine.image("tested", &Recipe { health, ..Recipe::default() });
    let id = test_engine.engine().create(&spec).await.expect("a container");
    assert_eq!(test_engine.inspect(&id).await.health, None);
    test_engine.engine().start(&id).await.expect("it starts");
    let health = test_engine.inspect(&id).await.health.expect("a test");
    assert_eq!(health.status, HealthStatus::Starting);
    test_engine.heal(&id).await;
    let healthy = |status: Option<HealthStatus>| status == Some(HealthStatus::Healthy);
    let found =
        test_engine.until(&id, |found| healthy(found.health.as_ref().map(|health| health.status))).await;
    let runs = found.health.expect("a test").runs;
    assert_eq!(runs.last(), Some(&(0, String::new())), "the latest is the last: {runs:?}");
}
