//! Containers: started, ended, started again, paused, resumed, healthy.

use farrier::engine::EngineErrorKind::{Conflict, Refused};
use farrier::engine::ExecRequest;
use farrier::engine::docker::api::{HealthStatus, Status};

use super::setup::{Recipe, Stage, contract, kind, words};

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

async fn a_started_container_runs_and_starting_it_again_does_nothing(stage: &dyn Stage) {
    let id = stage.started("db", &["wait"]).await;
    let first = stage.inspect(&id).await;
    assert_eq!((first.status, first.exit_code, first.restarts), (Status::Running, 0, 0));
    assert!(first.started_at.parse::<jiff::Timestamp>().is_ok(), "{}", first.started_at);
    let endpoint = &first.networks[&stage.name("net")];
    assert_eq!(endpoint.network_id, stage.engine().networks(&stage.name("net")).await.expect("one")[0].id);
    assert!(endpoint.address.is_some() && endpoint.gateway.is_some(), "{endpoint:?}");
    assert_eq!(endpoint.aliases, [&id[..12]]);
    stage.engine().start(&id).await.expect("nothing is to be done");
    assert_eq!(stage.inspect(&id).await, first);
}

async fn a_container_that_ended_tells_its_exit_code_and_has_no_address(stage: &dyn Stage) {
    for code in [0, 3, 137] {
        let id = stage.started(&format!("db{code}"), &["exit", &code.to_string()]).await;
        let ended = stage.exited(&id).await;
        assert_eq!((ended.exit_code, ended.oom_killed, ended.error.as_str()), (code, false, ""));
        let endpoint = &ended.networks[&stage.name("net")];
        assert_eq!((endpoint.address, endpoint.gateway), (None, None));
    }
}

async fn another_start_has_another_moment_and_forgets_the_exit_code(stage: &dyn Stage) {
    let id = stage.started("db", &["exit", "3"]).await;
    let first = stage.exited(&id).await;
    stage.engine().start(&id).await.expect("it starts again");
    let second = stage.until(&id, |found| found.started_at != first.started_at).await;
    let moment = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
    assert!(moment(&second.started_at) > moment(&first.started_at));
    assert_eq!(second.restarts, 0, "nobody but the engine's own policy counts");
    assert_eq!(stage.exited(&id).await.exit_code, 3);
}

async fn a_program_that_is_not_there_fails_the_start(stage: &dyn Stage) {
    stage.network("net").await;
    let mut spec = stage.spec("db", &[]);
    spec.entrypoint = words(&["/absent"]);
    let id = stage.engine().create(&spec).await.expect("a container");
    let error = stage.engine().start(&id).await.expect_err("no such program");
    assert_eq!(error.kind, Refused, "{error}");
    assert!(error.message.contains("/absent"), "{error}");
    let failed = stage.inspect(&id).await;
    assert_eq!((failed.status, failed.exit_code), (Status::Created, 127));
    assert!(failed.error.contains("/absent"), "{failed:?}");
    assert_eq!(failed.started_at, "0001-01-01T00:00:00Z");
}

async fn a_paused_container_takes_no_command_until_it_is_resumed(stage: &dyn Stage) {
    let id = stage.started("db", &["wait"]).await;
    let before = stage.inspect(&id).await;
    stage.pause(&id);
    let paused = stage.inspect(&id).await;
    assert_eq!(paused.status, Status::Paused);
    assert_eq!(paused.started_at, before.started_at);
    assert_eq!(paused.networks, before.networks);
    let request = ExecRequest { arguments: words(&["/fixture", "exit", "0"]), output_limit: 10 };
    assert_eq!(kind(stage.engine().exec(&id, &request).await), Conflict);
    assert_eq!(kind(stage.engine().start(&id).await), Conflict);
    stage.engine().resume(&id).await.expect("it goes on");
    assert_eq!(stage.inspect(&id).await, before);
    assert_eq!(stage.engine().exec(&id, &request).await.expect("it takes commands").exit_code, 0);
}

async fn what_is_not_paused_cannot_be_resumed(stage: &dyn Stage) {
    let id = stage.started("db", &["wait"]).await;
    let running = kind(stage.engine().resume(&id).await);
    let created = stage.engine().create(&stage.spec("created", &["wait"])).await.expect("a container");
    let created = kind(stage.engine().resume(&created).await);
    assert_eq!((running, created), (Refused, Refused));
    assert_eq!(stage.inspect(&id).await.status, Status::Running);
}

async fn a_paused_container_can_be_removed(stage: &dyn Stage) {
    let id = stage.started("db", &["wait"]).await;
    stage.pause(&id);
    stage.engine().remove(&id, false).await.expect("it goes");
    assert_eq!(stage.engine().container(&id).await.expect("an answer"), None);
}

async fn a_health_test_is_starting_until_a_run_passes(stage: &dyn Stage) {
    stage.network("net").await;
    let health = words(&["/fixture", "healthy-when-file", "/tmp/healthy"]);
    let mut spec = stage.spec("db", &["wait"]);
    spec.image = stage.image("tested", &Recipe { health, ..Recipe::default() });
    let id = stage.engine().create(&spec).await.expect("a container");
    assert_eq!(stage.inspect(&id).await.health, None);
    stage.engine().start(&id).await.expect("it starts");
    let health = stage.inspect(&id).await.health.expect("a test");
    assert_eq!(health.status, HealthStatus::Starting);
    stage.heal(&id).await;
    let healthy = |status: Option<HealthStatus>| status == Some(HealthStatus::Healthy);
    let found = stage.until(&id, |found| healthy(found.health.as_ref().map(|health| health.status))).await;
    let runs = found.health.expect("a test").runs;
    assert_eq!(runs.last(), Some(&(0, String::new())), "the latest is the last: {runs:?}");
}
