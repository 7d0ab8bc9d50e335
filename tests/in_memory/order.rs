//! What starts after what, jobs, and what a failure of one means for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use farrier::engine::docker::api::Status;
use farrier::engine::docker::double::{Call, DoubleImage, End, Run};
use proptest::prelude::*;
use serde_json::Value;

use super::setup::{Ended, Fixture, IMAGE, plain};

/// A look at what was told so far.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A job of the image `job:1`.
fn job(more: &str) -> String {
    format!("image = \"job:1\"\njob = \"once\"\n{more}\n[interface]\nkind = \"none\"\n")
}

/// A web application that needs a migration that needs a database, and a cache that needs nothing.
fn application(fixture: &Fixture, run: Run) {
    fixture.engine.change(|world| world.add_image("job:1", DoubleImage::new(move |_| run.clone())));
    fixture.plain("cache").plain("db");
    fixture.define("migrate", &job("after = [\"db\"]"));
    let after = "after = [{ sidecar = \"migrate\", until = \"succeeded\" }, \"db\"]";
    fixture.define("web", &plain(after));
}

/// What happened, as `event sidecar`, without what happens to the sidecar `cache`, which comes after nothing.
fn course(ended: &Ended) -> Vec<String> {
    let told = ["released", "created", "started", "ready", "succeeded"];
    let events = ended.told.iter().filter_map(|event| {
        let (kind, sidecar) = (event["event"].as_str()?, event["sidecar"].as_str()?);
        (told.contains(&kind) && sidecar != "cache").then(|| format!("{kind} {sidecar}"))
    });
    events.collect()
}

#[tokio::test]
async fn everything_starts_once_what_it_comes_after_is_as_far_as_it_has_to_be() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::exit(0).takes(Duration::from_millis(20)));
    let ended = fixture.launch().await.ready();
    let mut held: Vec<&str> =
        ended.events("held").iter().filter_map(|event| event["sidecar"].as_str()).collect();
    held.sort_unstable();
    assert_eq!(held, ["migrate", "web"]);
    let expected = [
        "created db",
        "started db",
        "ready db",
        "released migrate",
        "created migrate",
        "started migrate",
        "succeeded migrate",
        "released web",
        "created web",
        "started web",
        "ready web",
    ];
    assert_eq!(course(&ended), expected);
    let migrate = fixture.container("migrate").expect("it stays");
    assert_eq!((migrate.status, migrate.exit_code), (Status::Exited, 0));
    let ran_after: BTreeMap<String, String> =
        serde_json::from_str(&migrate.labels["farrier.after"]).expect("a map");
    assert_eq!(ran_after, [("db".to_owned(), fixture.container("db").expect("it runs").id)].into());
}

#[tokio::test]
async fn a_job_that_succeeded_runs_again_only_if_what_it_comes_after_is_another_instance() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::exit(0));
    fixture.up().await;
    fixture.engine.calm();
    let untouched = [
        "reuse cache: it is running and matches its definition",
        "reuse db: it is running and matches its definition",
        "reuse migrate: it succeeded and matches its definition",
        "reuse web: it is running and matches its definition",
    ];
    assert_eq!(fixture.up().await, untouched);
    assert_eq!(fixture.engine.changes(), [], "nothing is done");

    fixture.define("db", &plain("env = { LEVEL = \"2\" }"));
    let planned = fixture.up().await;
    assert_eq!(
        planned[1..3],
        [
            "recreate db: env.LEVEL changed".to_owned(),
            "recreate migrate: db was recreated since it ran".to_owned(),
        ]
    );
    assert_eq!(planned[3], untouched[3], "what comes after a job is not recreated");
    assert_eq!(fixture.up().await, untouched);

    // Another launch, without the job, recreated it meanwhile.
    let others = ["migrate", "web"].map(|name| fixture.file(name));
    let kept = others.clone().map(|file| std::fs::read_to_string(file).expect("a definition"));
    for file in &others {
        std::fs::remove_file(file).expect("removed");
    }
    fixture.define("db", &plain("env = { LEVEL = \"3\" }")).up().await;
    others.iter().zip(kept).for_each(|(file, text)| std::fs::write(file, text).expect("a definition"));
    let planned = fixture.up().await;
    assert_eq!(
        planned[1..3],
        [untouched[1].to_owned(), "recreate migrate: db was recreated since it ran".to_owned(),]
    );

    fixture.define("migrate", &job("after = [\"db\"]\nenv = { A = \"1\" }"));
    assert_eq!(fixture.up().await[2], "recreate migrate: env.A changed");
    fixture.define("migrate", &job("after = [\"db\"]\nenv = { A = \"1\" }").replace("once", "every-launch"));
    assert_eq!(fixture.up().await[2], "recreate migrate: job changed");
    assert_eq!(fixture.up().await[2], "recreate migrate: it runs in every launch");
}

#[tokio::test]
async fn a_job_that_fails_ends_the_launch_and_names_what_was_never_started() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::exit(3).says("no such table: users"));
    fixture.define("worker", &plain("after = [\"web\"]"));
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["job-failed"]);
    assert_eq!(ended.message(), "the job `migrate` failed: it exited with code 3");
    let report = ended.events("not-ready")[0];
    assert_eq!(report["log"], serde_json::json!(["no such table: users"]));
    assert_eq!(report["held_back"], serde_json::json!(["web", "worker"]));
    let state = |name: &str| {
        let others = report["others"].as_array().expect("others");
        others.iter().find(|other| other["sidecar"] == name).map(|other| other["state"].clone())
    };
    assert_eq!(state("web"), Some("not started".into()));
    assert_eq!(state("db"), Some("ready".into()));
    assert!(fixture.container("web").is_none() && fixture.container("worker").is_none());
    drop(ended);

    fixture.engine.change(|world| world.add_image("job:1", DoubleImage::new(|_| Run::exit(0))));
    let planned = fixture.up().await;
    assert!(planned[2].starts_with("recreate migrate: it failed (exit code 3)"), "{planned:?}");
    assert_eq!(planned[3], "create web: it does not exist");
}

#[tokio::test]
async fn a_start_that_fails_names_what_was_never_started() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::exit(0));
    fixture.define("db", &plain("").replace(IMAGE, "absent:1"));
    let ended = fixture.launch().await;
    let Err(failure) = &ended.result else { panic!("it succeeded") };
    let hints = failure.problems[0].hints.join(" ");
    assert!(hints.contains("Never started, because they come after `db`: `migrate`, `web`."), "{hints}");
    assert!(fixture.container("migrate").is_none());
}

#[tokio::test]
async fn nothing_waits_longer_than_it_must() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::forever());
    fixture.engine.change(|world| world.publish("web:1", Ok(DoubleImage::default()), Vec::new()));
    fixture.define("web", &plain("after = [\"migrate\"]").replace(IMAGE, "web:1"));
    fixture.define("early", &plain("after = [{ sidecar = \"migrate\", until = \"started\" }]"));
    let (launch, told) = fixture.launch_of();
    let seen = |kind: &str, sidecar: &str| {
        let told = told.lock().expect("events");
        told.iter().any(|event| event["event"] == kind && event["sidecar"] == sidecar)
    };
    let others_are_ready = async {
        while !(seen("ready", "cache") && seen("ready", "early") && seen("pulled", "web")) {
            tokio::time::sleep(LOOK).await;
        }
        // Its image is there, and it still waits.
        assert!(!seen("created", "web"));
        fixture.engine.change(|world| world.end("farrier-migrate", &End::Exit(0)));
    };
    let both = async { tokio::join!(fixture.bring_up(&launch), others_are_ready) };
    let (result, ()) = tokio::time::timeout(PATIENCE, both).await.expect("it ends");
    result.expect("ready");
    assert!(seen("ready", "web"));
    assert_eq!(fixture.engine.count(Call::Pull), 1);
}

#[tokio::test]
async fn a_job_that_does_not_end_in_time_is_told_and_waited_for_by_the_next_launch() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::forever());
    let text = job("after = [\"db\"]");
    fixture.define("migrate", &format!("{text}[readiness]\ntimeout = \"200ms\"\n"));
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["not-ready"]);
    assert_eq!(ended.message(), "sidecar `migrate` is not ready: it did not end within 200ms");
    drop(ended);
    fixture.define("migrate", &text);
    let over = async {
        fixture.engine.called(Call::Events, 1).await;
        fixture.engine.change(|world| world.end("farrier-migrate", &End::Exit(0)));
    };
    fixture.engine.calm();
    let (ended, ()) = tokio::join!(fixture.launch(), over);
    assert_eq!(ended.ready().planned()[2], "reuse migrate: it is running and matches its definition");
}

#[tokio::test]
async fn two_launches_at_once_run_a_job_once() {
    let fixture = Fixture::with_own_network();
    application(&fixture, Run::exit(0).takes(Duration::from_millis(50)));
    let (one, other) = tokio::join!(fixture.launch(), fixture.launch());
    drop((one.ready(), other.ready()));
    assert_eq!(fixture.engine.count(Call::Create), 4);
}

/// For each sidecar, those that it comes after: only ones before it, so that there is no circle.
fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (2_usize..9).prop_flat_map(|count| {
        let each = (0..count).map(|place| proptest::collection::vec(0..place.max(1), 0..3));
        each.collect::<Vec<_>>().prop_map(|mut all| {
            for (place, before) in all.iter_mut().enumerate() {
                before.retain(|other| *other < place);
                before.sort_unstable();
                before.dedup();
            }
            all
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_graph_each_starts_after_all_that_it_comes_after(before in graphs(), jobs in any::<u16>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let fixture = Fixture::with_own_network();
            fixture.engine.change(|world| world.add_image("job:1", DoubleImage::new(|_| Run::exit(0))));
            // Names that sort in the other order than the sidecars start.
            let name = |place: usize| format!("s{}", 99 - place);
            let is_job = |place: usize| jobs & (1 << place) != 0;
            for (place, before) in before.iter().enumerate() {
                let names: Vec<String> = before.iter().map(|other| format!("\"{}\"", name(*other))).collect();
                let after = format!("after = [{}]", names.join(", "));
                fixture.define(&name(place), &if is_job(place) { job(&after) } else { plain(&after) });
            }
            let ended = fixture.launch().await.ready();
            let at = |kind: &str, place: usize| {
                let is_it = |event: &Value| event["event"] == kind && event["sidecar"] == name(place);
                ended.told.iter().position(is_it).unwrap_or_else(|| panic!("{kind} {place}: {:#?}", ended.told))
            };
            for (place, before) in before.iter().enumerate() {
                for other in before {
                    let reached = at(if is_job(*other) { "succeeded" } else { "ready" }, *other);
                    assert!(reached < at("created", place), "{before:?}");
                }
            }
            drop(ended);
            fixture.engine.calm();
            fixture.up().await;
            assert_eq!(fixture.engine.changes(), [], "the next launch has nothing to do");
        });
    }
}
