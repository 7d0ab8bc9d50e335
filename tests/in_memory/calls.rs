//! How often a launch asks the engine.

use std::net::Ipv4Addr;

use farrier::engine::EngineErrorKind;
use farrier::engine::docker::api::{ContainerSpec, Status};
use farrier::engine::docker::double::{At, Call, Fault, World};
use farrier::system::leases::Leases;

use super::setup::{Fixture, IMAGE, NETWORK, dialled, listener, plain};

/// A busy machine may take so long for a first answer that events are read after all; not each time.
// Nobody accepts the connections of the probes, and a listener has room for 128.
const TRIES: usize = 20;

/// The calls of the cheapest of some launches, by kind.
async fn cheapest(fixture: &Fixture) -> Vec<Call> {
    let mut cheapest: Option<Vec<Call>> = None;
    for _ in 0..TRIES {
        fixture.engine.calm();
        fixture.up().await;
        let mut calls: Vec<Call> = fixture.engine.calls().iter().map(|logged| logged.call).collect();
        calls.sort_unstable();
        if cheapest.as_ref().is_none_or(|before| calls.len() < before.len()) {
            cheapest = Some(calls);
        }
    }
    cheapest.expect("launches")
}

#[tokio::test]
async fn what_runs_already_costs_three_calls_and_one_for_each() {
    for count in [1, 3, 10] {
        let fixture = Fixture::new().remembering();
        let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
        for number in 0..count {
            let more = if number % 2 == 0 { dialled(port, "probe = \"tcp\"") } else { plain("") };
            fixture.define(&format!("s{number}"), &more);
        }
        fixture.up().await;
        let mut expected = vec![Call::Inhabited, Call::Labelled, Call::Listed];
        expected.extend(vec![Call::Container; count]);
        expected.sort_unstable();
        assert_eq!(cheapest(&fixture).await, expected, "{count}");
    }
}

#[tokio::test]
async fn leaving_farriers_own_network_costs_no_call() {
    let fixture = Fixture::with_own_network();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.define("db", &dialled(port, "probe = \"tcp\""));
    // The first one creates the sidecar, the second finds it.
    for _ in 0..2 {
        let running = fixture.launch().await.ready().result.expect("ready");
        fixture.engine.calm();
        running.leave().await;
        assert_eq!(fixture.engine.calls(), []);
    }
}

#[tokio::test]
async fn a_restart_between_the_answer_and_the_last_look_is_waited_for_anew() {
    // One that only left and came back, to the same address, is looked at alone and found to be the same run.
    type Change = fn(&mut World);
    let changes: [(u64, Change); 2] = [
        (3, |world| world.restart("farrier-db")),
        (2, |world| {
            world.disconnect(NETWORK, "farrier-db").expect("it leaves");
            world.connect(NETWORK, "farrier-db", &["db".to_owned()]).expect("it joins");
        }),
    ];
    for (expected, change) in changes {
        let fixture = Fixture::new().remembering();
        let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
        fixture.dialled("db", port, "probe = \"tcp\"").plain("cache");
        fixture.up().await;
        fixture.engine.calm();
        fixture.engine.before(At::Nth(Call::Listed, 1), change);
        let ended = fixture.launch().await.ready();
        let attempts = |name: &str| {
            let ready = ended.events("ready").into_iter().rfind(|event| event["sidecar"] == name);
            ready.and_then(|event| event["attempts"].as_u64()).unwrap_or_default()
        };
        let attempts = attempts("db") + attempts("cache");
        assert_eq!(attempts, expected, "{:#?}", ended.events("ready"));
        let db = fixture.container("db").expect("it runs");
        let running = ended.result.expect("ready").instances;
        assert!(running.contains(&db), "what is handed over is what runs now");
    }
}

#[tokio::test]
async fn where_the_last_listing_fails_each_is_inspected() {
    let fixture = Fixture::new().remembering();
    for name in ["a", "b", "c"] {
        fixture.plain(name);
    }
    fixture.up().await;
    fixture.engine.calm();
    fixture.engine.fault(At::Nth(Call::Listed, 1), Fault::Fail(EngineErrorKind::Unreachable));
    fixture.up().await;
    assert_eq!(fixture.container("a").map(|found| found.status), Some(Status::Running));
    fixture.engine.calm();
    fixture.engine.before(At::Nth(Call::Listed, 1), |world| world.remove("farrier-b", false));
    let planned = fixture.up().await;
    assert!(planned.contains(&"create b: it does not exist".to_owned()), "{planned:?}");
}

/// Makes what is remembered of each image wrong.
fn spoil(fixture: &Fixture) {
    for entry in std::fs::read_dir(fixture.remembered()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an entry");
        let spoilt = text.replace("\"user\":\"\"", "\"user\":\"7:7\"");
        assert_ne!(spoilt, text);
        std::fs::write(&path, spoilt).expect("a wrong entry");
    }
}

#[tokio::test]
async fn what_is_remembered_of_an_image_makes_no_container_anew() {
    let fixture = Fixture::new().remembering();
    fixture.plain("db");
    fixture.up().await;
    let before = fixture.container("db");
    spoil(&fixture);
    for expected in [1, 0] {
        fixture.engine.calm();
        fixture.up().await;
        assert_eq!(fixture.engine.changes(), []);
        assert_eq!(fixture.engine.count(Call::Image), expected, "asked once, when it looked wrong");
        assert_eq!(fixture.container("db"), before);
    }
}

#[tokio::test]
async fn what_is_remembered_of_an_image_refuses_no_launch() {
    let fixture = Fixture::new().remembering();
    fixture.plain("held-by-another");
    fixture.up().await;
    let container = fixture.container("held-by-another").expect("it runs").id;
    let leases = Leases::open("a command").expect("leases");
    let _mark = leases.mark(&container, "a network").expect("a mark");
    let entries = std::fs::read_dir(farrier::system::lock::folder()).expect("the folder").flatten();
    let mut marks = entries.filter(|entry| entry.file_name().to_string_lossy().contains(&container));
    // As if another process had made it.
    std::fs::write(marks.next().expect("the mark").path(), "1\na command").expect("it is ours");
    assert_eq!(leases.holders(&container).len(), 1);
    spoil(&fixture);
    fixture.engine.calm();
    fixture.up().await;
    assert_eq!(fixture.engine.changes(), []);
}

/// A container of somebody else's that runs on the network.
fn neighbour(world: &mut World, name: &str, aliases: &[&str]) {
    let spec = ContainerSpec {
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        network: NETWORK.to_owned(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        ..ContainerSpec::default()
    };
    world.create(&spec).expect("made");
    world.start_now(name).expect("started");
}

#[tokio::test]
async fn others_on_the_network_are_asked_about_once() {
    let fixture = Fixture::new().remembering();
    fixture.plain("db");
    fixture.up().await;
    let alone = cheapest(&fixture).await.len();
    let names = ["x", "y", "z"];
    for name in names {
        fixture.engine.change(|world| neighbour(world, name, &["cache"]));
        fixture.engine.calm();
        fixture.up().await;
    }
    let ids =
        names.map(|name| fixture.engine.look(|world| world.container(name).expect("it runs").id.clone()));
    assert_eq!(cheapest(&fixture).await.len(), alone);
    fixture.engine.change(|world| neighbour(world, "late", &[]));
    fixture.engine.calm();
    fixture.up().await;
    let asked: Vec<String> = fixture.engine.calls().iter().map(|logged| logged.subject.clone()).collect();
    assert!(ids.iter().all(|id| !asked.contains(id)), "{asked:?}");
    let late = fixture.engine.look(|world| world.container("late").expect("it runs").id.clone());
    assert!(asked.contains(&late), "{asked:?}");
}

#[tokio::test]
async fn one_that_was_seen_before_is_known_by_the_name_that_it_has_now() {
    let fixture = Fixture::new().remembering();
    fixture.plain("other");
    fixture.engine.change(|world| neighbour(world, "x", &[]));
    fixture.up().await;
    fixture.engine.change(|world| world.rename("x", "db").expect("renamed"));
    fixture.define("db", &dialled(1, "probe = \"skip\""));
    assert_eq!(fixture.launch().await.codes(), ["alias-taken"]);
}

#[tokio::test]
async fn what_is_remembered_of_others_refuses_nothing_by_itself() {
    let fixture = Fixture::new().remembering();
    fixture.engine.change(|world| neighbour(world, "x", &["cache"]));
    fixture.define("cache", &dialled(1, "probe = \"skip\""));
    for remembered in [false, true] {
        assert_eq!(fixture.launch().await.codes(), ["alias-taken"], "{remembered}");
    }
    std::fs::remove_file(fixture.file("cache")).expect("its definition");
    fixture.define("db", &dialled(1, "probe = \"skip\""));
    for entry in std::fs::read_dir(fixture.remembered().with_file_name("endpoints")).expect("the folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an entry");
        assert!(text.contains("\"cache\""), "{text}");
        std::fs::write(&path, text.replace("\"cache\"", "\"db\"")).expect("a wrong entry");
    }
    fixture.up().await;
}
