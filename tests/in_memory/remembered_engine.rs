//! Launches that begin with what an engine said of itself the last time.

use std::net::Ipv4Addr;
use std::time::Duration;

use farrier::engine::bounded::Patience;
use farrier::engine::memory::{At, Call, Fault};
use farrier::engine::{Engine, EngineErrorKind};
use farrier::launch::connection::Identity;
use farrier::system::digest::sha256_hex;
use farrier::system::lock::folder;

use super::setup::{Bench, Ended, NETWORK, closed_port, listener};

async fn identity(bench: &Bench) -> Identity {
    Identity::from(&bench.engine.info().await.expect("it tells"))
}

async fn another(bench: &Bench) -> Identity {
    Identity { id: "another".to_owned(), ..identity(bench).await }
}

/// The marks of one container's users, under the locks of one engine.
fn marks(engine: &str, container: &str) -> usize {
    let begin = format!("farrier-{}.{container}@use.", &sha256_hex(engine)[..12]);
    let names = std::fs::read_dir(folder()).expect("the folder of locks").flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin)).count()
}

/// That this launch's containers are marked as used, where other launches look.
fn is_marked(bench: &Bench, ended: &Ended) -> bool {
    ended.result.is_ok() && marks(bench.engine.id(), "farrier-db") == 1 && marks("another", "farrier-db") == 0
}

#[tokio::test]
async fn the_engine_is_asked_once_and_first() {
    let mut bench = Bench::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    for planned in ["create db: it does not exist", "reuse db: it runs and matches"] {
        bench.expected = Some(identity(&bench).await);
        bench.engine.calm();
        let ended = bench.launch().await.ready();
        assert_eq!(ended.planned(), [planned]);
        assert_eq!(bench.engine.count(Call::Info), 1);
        assert!(is_marked(&bench, &ended));
        let kinds: Vec<&str> = ended.told.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(kinds[..2], ["connected", "planned"]);
    }
}

#[tokio::test]
async fn another_engine_than_the_remembered_one_is_used_under_its_own_locks() {
    let mut bench = Bench::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.expected = Some(another(&bench).await);
    let ended = bench.launch().await.ready();
    assert_eq!(ended.planned(), ["create db: it does not exist"], "nothing was planned for the other one");
    assert!(is_marked(&bench, &ended));
    drop(ended);
    let ended = bench.launch().await.ready();
    assert!(is_marked(&bench, &ended));
    assert_eq!(ended.events("all-ready").len(), 1);
    assert_eq!(bench.names(), ["farrier-db"]);
}

#[tokio::test]
async fn nothing_is_changed_before_the_engine_says_what_it_is() {
    let faults =
        [(Fault::Hang, "engine-failed"), (Fault::Fail(EngineErrorKind::Unreachable), "engine-unreachable")];
    for (fault, code) in faults {
        for expected in [true, false] {
            let mut bench = Bench::new();
            bench.patience = Patience { answer: Duration::from_millis(200), ..Patience::default() };
            bench.plain("db");
            let identity = if expected { identity(&bench).await } else { another(&bench).await };
            bench.expected = Some(identity);
            bench.engine.fault(At::Every(Call::Info), fault);
            assert_eq!(bench.launch().await.codes(), [code], "{fault:?}, {expected}");
            assert!(bench.engine.changes().is_empty());
        }
    }
}

#[tokio::test]
async fn no_harness_starts_before_the_engine_says_what_it_is() {
    let mut bench = Bench::new();
    bench.patience = Patience { answer: Duration::from_millis(200), ..Patience::default() };
    bench.plain("db");
    bench.up().await;
    bench.expected = Some(identity(&bench).await);
    bench.engine.fault(At::Every(Call::Info), Fault::Hang);
    let ended = bench.launch().await;
    assert_eq!(ended.codes(), ["engine-failed"]);
    assert_eq!(ended.events("all-ready").len(), 0);
}

/// The id of the network that the launches are on.
fn network(bench: &Bench) -> Option<String> {
    bench.engine.change(|world| world.networks(NETWORK).first().map(|network| network.id.clone()))
}

#[tokio::test]
async fn an_engine_that_its_network_proves_is_not_asked_for_what_runs() {
    let mut bench = Bench::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.up().await;
    bench.expected = Some(identity(&bench).await);
    bench.proof = network(&bench);
    bench.engine.calm();
    let ended = bench.launch().await.ready();
    assert_eq!(ended.planned(), ["reuse db: it runs and matches"]);
    assert_eq!(bench.engine.count(Call::Info), 0);
    assert_eq!(ended.events("connected").len(), 1);
    assert!(is_marked(&bench, &ended));
}

#[tokio::test]
async fn what_is_started_on_it_does_not_wait_for_its_word() {
    let mut bench = Bench::new();
    bench.patience = Patience { answer: Duration::from_millis(200), ..Patience::default() };
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.expected = Some(identity(&bench).await);
    bench.proof = network(&bench);
    bench.engine.fault(At::Every(Call::Info), Fault::Hang);
    let ended = bench.launch().await.ready();
    assert_eq!(ended.planned(), ["create db: it does not exist"]);
    assert!(is_marked(&bench, &ended));
}

#[tokio::test]
async fn without_events_what_opens_later_is_found_all_the_same() {
    let mut bench = Bench::new();
    bench.patience = Patience { answer: Duration::from_millis(200), ..Patience::default() };
    let port = closed_port().await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.expected = Some(identity(&bench).await);
    bench.proof = network(&bench);
    bench.engine.fault(At::Every(Call::Info), Fault::Hang);
    let opens = async {
        // When it exists, when its first polls have failed, and a second later.
        bench.engine.called(Call::Container, 4).await;
        tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port")
    };
    let launch = bench.launch();
    tokio::pin!(launch);
    let _listener = tokio::select! {
        listener = opens => listener,
        ended = &mut launch => panic!("nothing accepted, and yet: {:?}", ended.codes()),
    };
    launch.await.ready();
}

#[tokio::test]
async fn its_word_counts_more_than_a_network_where_something_is_made() {
    let mut bench = Bench::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.expected = Some(another(&bench).await);
    bench.proof = network(&bench);
    let ended = bench.launch().await.ready();
    assert!(is_marked(&bench, &ended));
    assert_eq!(ended.events("all-ready").len(), 1);
    assert_eq!(bench.names(), ["farrier-db"]);
}

#[tokio::test]
async fn another_network_of_its_name_proves_nothing() {
    let mut bench = Bench::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.expected = Some(another(&bench).await);
    bench.proof = Some("of another engine".to_owned());
    let ended = bench.launch().await.ready();
    assert_eq!(ended.planned(), ["create db: it does not exist"], "nothing was planned for the other one");
    assert!(is_marked(&bench, &ended));
    drop(ended);
    bench.expected = Some(identity(&bench).await);
    for fault in [Fault::Hang, Fault::Fail(EngineErrorKind::Unreachable)] {
        bench.patience = Patience { answer: Duration::from_millis(200), ..Patience::default() };
        bench.engine.fault(At::Every(Call::Info), fault);
        let ended = bench.launch().await;
        assert_eq!(ended.codes().len(), 1, "{fault:?}");
        assert_eq!(ended.events("all-ready").len(), 0);
        bench.engine.calm();
    }
}
