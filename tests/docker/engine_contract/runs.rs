//! Runs: which goes on, which ended, and what is told of it.

use farrier::engine::ChangeKind;
use farrier::plan::instance::Status;
use futures_util::StreamExt;

use super::setup::{Ground, contract, network, sidecar};
use crate::support::PATIENT;

contract! {
    one_call_tells_of_each_run_whether_it_goes_on,
    an_end_is_told_to_whoever_listens,
    what_is_not_there_is_not_found,
}

async fn one_call_tells_of_each_run_whether_it_goes_on(ground: &dyn Ground) {
    let all = ["a", "b", "c"].map(|stem| sidecar(ground, stem, ""));
    ground.launch(&all).await;
    let mut seen = Vec::new();
    for sidecar in &all {
        seen.push(ground.inspect(sidecar).await.expect("it runs"));
    }
    let runs: Vec<_> = seen.iter().collect();
    let name = network(ground).name;
    assert_eq!(ground.engine().still_running(&runs, &name).await.expect("an answer"), [true; 3]);
    ground.end(&seen[1], 137);
    ground.until(&all[1], |instance| instance.status == Status::Exited).await;
    assert_eq!(ground.engine().still_running(&runs, &name).await.expect("an answer"), [true, false, true]);
    ground.launch(&all).await;
    let again = ground.engine().still_running(&runs, &name).await.expect("an answer");
    assert_eq!(again, [true, false, true], "another run of the same name is another one");
    let elsewhere = ground.engine().still_running(&runs, "another-network").await.expect("an answer");
    assert_eq!(elsewhere, [false; 3]);
}

async fn an_end_is_told_to_whoever_listens(ground: &dyn Ground) {
    let db = [sidecar(ground, "db", "")];
    let since = ground.engine().info().await.expect("an answer").time;
    ground.launch(&db).await;
    let instance = ground.inspect(&db[0]).await.expect("it runs");
    let mut changes = ground.engine().changes(&since).await.expect("a stream");
    ground.end(&instance, 137);
    let ended = async {
        loop {
            let change = changes.next().await.expect("the stream goes on").expect("a change");
            if change.instance == instance.id && change.kind == ChangeKind::Ended {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENT, ended).await.expect("the end is told");
}

async fn what_is_not_there_is_not_found(ground: &dyn Ground) {
    let db = sidecar(ground, "db", "");
    assert!(ground.inspect(&db).await.is_none());
    assert!(ground.engine().find(&db).await.expect("an answer").is_none());
    let none = ground.engine().still_running(&[], "net").await.expect("an answer");
    assert!(none.is_empty());
}
