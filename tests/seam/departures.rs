//! What a launch and `down` leave behind on an engine: no network that nothing is on, no sidecar on a network that no
//! launch uses, and containers that ended by themselves.

use std::net::Ipv4Addr;

use farrier::engine::memory::{At, Call, End, Fault, MemoryImage, Run};
use farrier::engine::{EngineError, EngineErrorKind};
use farrier::removal::Scope;

use crate::bench::{Bench, IMAGE, NETWORK, dialled, listener, plain};

#[tokio::test]
async fn the_old_container_ends_by_itself_before_it_is_removed_and_the_new_one_starts() {
    let bench = Bench::new();
    bench.plain("db").up().await;
    bench.define("db", &plain("env = { LEVEL = \"2\" }"));
    bench.engine.calm();
    let ended = bench.launch().await.ready();
    let changes: Vec<Call> = bench.engine.changes().into_iter().map(|logged| logged.call).collect();
    assert_eq!(changes, [Call::Create, Call::Stop, Call::Remove, Call::Rename, Call::Start]);
    assert_eq!(ended.events("stopping")[0]["grace_ms"], 10_000.0);
    bench.engine.calm();
    bench.down(Scope::All).await.expect("it is done");
    let changes: Vec<Call> = bench.engine.changes().into_iter().map(|logged| logged.call).collect();
    assert_eq!(changes, [Call::Stop, Call::Remove]);
}

#[tokio::test]
async fn a_container_that_cannot_be_stopped_is_removed_all_the_same_but_not_behind_a_broken_connection() {
    for (kind, goes) in [(EngineErrorKind::Refused, true), (EngineErrorKind::TimedOut, false)] {
        let bench = Bench::new();
        bench.plain("db").up().await;
        bench.engine.calm();
        bench.engine.fault(At::Every(Call::Stop), Fault::Fail(kind));
        let removed = bench.down(Scope::All).await.expect("it is done");
        assert_eq!((removed.containers.len(), removed.problems.len()), if goes { (1, 0) } else { (0, 1) });
        assert_eq!(bench.names().is_empty(), goes, "{kind:?}");
    }
}

#[tokio::test]
async fn a_launch_that_makes_no_sidecar_leaves_no_network() {
    let refused = || EngineError::new(EngineErrorKind::NotFound, "pull access denied");
    let bench = Bench::with_own_network();
    bench.define("db", &plain("").replace(IMAGE, "far:1"));
    bench.engine.change(|world| world.publish("far:1", Err(refused()), Vec::new()));
    assert_eq!(bench.launch().await.codes(), ["image-denied"]);
    assert_eq!(bench.engine.count(Call::CreateNetwork), 0, "it is needed only once the image is there");

    bench.plain("db");
    let cannot = || Run::ending(End::CannotRun("exec: \"x\": not found".to_owned()));
    bench.engine.change(|world| world.add_image(IMAGE, MemoryImage::new(move |_| cannot())));
    assert_eq!(bench.launch().await.codes(), ["start-failed"]);
    assert_eq!(bench.engine.count(Call::CreateNetwork), 1);
    assert_eq!(bench.engine.change(|world| world.networks("farrier")), []);
}

#[tokio::test]
async fn down_takes_a_network_that_nothing_is_on_also_where_no_sidecar_is_left() {
    let bench = Bench::with_own_network();
    bench.plain("db").up().await;
    bench.engine.change(|world| world.remove("farrier-db", true));
    let removed = bench.down(Scope::Declared).await.expect("it is done");
    assert_eq!(
        (removed.containers.as_slice(), removed.networks.as_slice()),
        (&[][..], &["farrier".to_owned()][..])
    );
}

#[tokio::test]
async fn a_sidecar_leaves_the_harness_s_network_when_no_launch_uses_it_there() {
    let bench = Bench::new();
    bench.engine.change(|world| world.create_network("declared", &std::collections::BTreeMap::new()));
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    bench.define("cache", &format!("networks = [\"declared\"]\n{}", dialled(port, "probe = \"tcp\"")));
    let networks = |sidecar: &str| {
        let container = bench.container(sidecar).expect("a container");
        container.networks.into_keys().collect::<Vec<_>>()
    };
    let first = bench.launch().await.ready().result.expect("ready");
    let second = bench.launch().await.ready().result.expect("ready");
    let started = bench.container("db").expect("a container").started_at;
    drop(first.in_use);
    first.departure.expect("a network of the harness's").leave().await;
    // The marks of this process count for nobody but others, so the network is left with the first launch here.
    assert_eq!(networks("db"), ["farrier"], "it is never without a network");
    assert_eq!(networks("cache"), ["declared"]);
    second.departure.expect("a network of the harness's").leave().await;
    assert_eq!(
        bench.engine.change(|world| world.members(NETWORK)).expect("the network"),
        Vec::<String>::new()
    );

    bench.engine.calm();
    assert_eq!(bench.up().await, ["reuse cache: it runs and matches", "reuse db: it runs and matches"]);
    assert_eq!(networks("db"), ["farrier", NETWORK]);
    assert_eq!(bench.container("db").expect("a container").started_at, started);
}

#[tokio::test]
async fn a_network_that_somebody_connected_by_hand_is_not_left() {
    let bench = Bench::new();
    bench.engine.change(|world| world.create_network("theirs", &std::collections::BTreeMap::new()));
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    bench.dialled("db", port, "probe = \"tcp\"");
    let running = bench.launch().await.ready().result.expect("ready");
    bench.engine.change(|world| world.connect("theirs", "farrier-db", &[]).expect("it joins"));
    running.departure.expect("a network of the harness's").leave().await;
    let networks = bench.container("db").expect("a container").networks;
    assert_eq!(networks.into_keys().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn an_engine_without_addresses_is_told_with_the_way_out() {
    for (call, words, hint) in [
        (
            Call::CreateNetwork,
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "docker network prune",
        ),
        (
            Call::CreateNetwork,
            "all predefined address pools have been fully subnetted",
            "default-address-pools",
        ),
        (
            Call::Start,
            "no available IPv4 addresses on this network's address pools: farrier (3f2b)",
            "--subnet",
        ),
    ] {
        let bench = Bench::with_own_network();
        bench.plain("db");
        bench.engine.fault(At::Every(call), Fault::Refuse(words));
        let ended = bench.launch().await;
        assert_eq!(ended.codes(), ["address-pools-exhausted"], "{words}");
        let Err(failure) = &ended.result else { panic!("it succeeded") };
        let hints = &failure.problems[0].hints;
        assert!(hints.iter().any(|found| found.contains(hint)), "{hints:?}");
    }
}

#[tokio::test]
async fn a_renamed_sidecar_is_told_as_what_holds_the_alias() {
    let bench = Bench::new();
    let definition = dialled(1, "probe = \"skip\"");
    bench.define("old", &definition.replace("port = 1", "port = 1\naliases = [\"db\"]"));
    bench.up().await;
    std::fs::rename(bench.file("old"), bench.file("new")).expect("it is renamed");
    let ended = bench.launch().await;
    assert_eq!(ended.codes(), ["alias-taken"]);
    let Err(failure) = &ended.result else { panic!("it succeeded") };
    let hints = &failure.problems[0].hints;
    assert!(hints[0].contains("`farrier down --orphans`"), "{hints:?}");
    assert!(hints[0].contains("`farrier down farrier-old`"), "{hints:?}");
}

#[tokio::test]
async fn data_that_is_older_than_a_changed_variable_is_the_cause_also_of_later_launches() {
    let bench = Bench::new();
    let image = || {
        let refuses = |arguments: &[String]| match arguments {
            [ready] if ready == "ready" => {
                Run::exit(1).says("FATAL: password authentication failed for user \"app\"")
            }
            _ => Run::forever(),
        };
        let mut image = MemoryImage::new(refuses);
        image.image.volumes = vec!["/data".to_owned()];
        image
    };
    bench.engine.change(|world| world.add_image(IMAGE, image()));
    let define = |password: &str, probe: &str| {
        let definition = plain(&format!("env = {{ PASSWORD = \"{password}\" }}"));
        bench.define("db", &definition.replace("probe = \"skip\"", probe));
    };
    let asking = "probe = \"exec\"\ncommand = [\"ready\"]\ntimeout = \"300ms\"";
    define("one", asking);
    let ended = bench.launch().await;
    assert!(
        !format!("{:?}", ended.events("not-ready")).contains("older-data"),
        "its data is as old as it is"
    );
    define("two", asking);
    for _ in 0..2 {
        let ended = bench.launch().await;
        let told = ended.events("not-ready");
        assert_eq!(told[0]["cause"]["name"], "older-data", "{told:#?}");
        let text = format!("{told:?}");
        assert!(text.contains("env.PASSWORD") && text.contains("farrier down --volumes db"), "{text}");
        assert!(text.contains("farrier logs db"), "{text}");
    }
    // It is still the old data, whatever else changes.
    bench.define(
        "db",
        &plain("env = { PASSWORD = \"two\", LEVEL = \"1\" }").replace("probe = \"skip\"", asking),
    );
    let told = format!("{:?}", bench.launch().await.events("not-ready"));
    assert!(told.contains("env.LEVEL, env.PASSWORD"), "{told}");
}
