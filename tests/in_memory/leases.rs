//! Launches that use what runs, beside commands that change it.

use std::sync::Arc;

use farrier::engine::docker::double::{At, Call, World};
use farrier::system::leases::Leases;

use crate::setup::{Fixture, NETWORK};

/// What another command does to the container `farrier-db`, and what the launch does about it.
type Row = (&'static str, fn(&mut World), &'static str);

const ROWS: [Row; 2] = [
    ("removed", |world| world.remove("farrier-db", false), "create db: it does not exist"),
    (
        "off the network",
        |world| world.disconnect(NETWORK, "farrier-db").expect("it leaves"),
        "reuse db: it is running and matches its definition",
    ),
];

#[tokio::test]
async fn a_container_that_changed_before_its_mark_was_seen_is_looked_at_again() {
    for (what, change, expected) in ROWS {
        let fixture = Fixture::new();
        fixture.plain("db").up().await;
        fixture.engine.calm();
        // The first look finds it as it should be; the last one does not.
        fixture.engine.before(At::Nth(Call::Listed, 1), change);
        let ended = fixture.launch().await.ready();
        assert_eq!(
            ended.planned(),
            ["reuse db: it is running and matches its definition", expected],
            "{what}"
        );
        let db = fixture.container("db").expect("it runs");
        assert!(db.networks.contains_key(NETWORK), "{what}");
        assert_eq!(ended.result.expect("ready").instances, [db], "{what}");
        assert!(ended.told.iter().all(|event| event["event"] != "not-ready"), "{what}");
    }
}

#[tokio::test]
async fn a_launch_waits_for_a_command_that_is_about_to_change_a_container() {
    for (what, change, expected) in ROWS {
        let fixture = Fixture::new();
        fixture.plain("db").up().await;
        let container = fixture.container("db").expect("it runs").id;
        let leases = Leases::open("farrier down").expect("leases");
        let claim = leases.claim(&container, |_| ()).await.expect("a claim");
        let (launch, told) = fixture.launch_of();
        let other = async {
            let waits = || {
                let told = told.lock().expect("events");
                told.iter().any(|event| event["event"] == "waiting-for-launch")
            };
            while !waits() {
                tokio::task::yield_now().await;
            }
            fixture.engine.change(change);
            drop(claim);
        };
        let (result, ()) = tokio::join!(fixture.bring_up(&launch), other);
        let told = Arc::clone(&told);
        let told = told.lock().expect("events");
        let planned: Vec<String> = told
            .iter()
            .filter(|event| event["event"] == "planned")
            .map(|event| {
                format!(
                    "{} db: {}",
                    event["action"].as_str().unwrap_or(""),
                    event["causes"][0].as_str().unwrap_or("")
                )
            })
            .collect();
        assert_eq!(planned, [expected], "{what}");
        let db = fixture.container("db").expect("it runs");
        assert!(db.networks.contains_key(NETWORK), "{what}");
        assert_eq!(result.expect("ready").instances, [db], "{what}");
    }
}

#[tokio::test]
async fn what_runs_is_used_without_the_engines_word_on_what_it_is() {
    let fixture = Fixture::new();
    fixture.plain("db").up().await;
    fixture.engine.calm();
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Info), 0);
    assert_eq!(fixture.engine.changes(), []);
}
