//! What a launch and `down` leave behind on an engine: no network that nothing is on, no sidecar on a network that no
//! launch uses, and containers that ended by themselves.

use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use farrier::engine::docker::double::{At, Call, DoubleImage, End, Fault, Run};
use farrier::engine::{EngineError, EngineErrorKind};
use farrier::manage::removal::Scope;
use farrier::system::leases::Leases;
use farrier::system::lock::{self, LockFolder};
use futures_util::FutureExt;
use futures_util::future::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::setup::{Fixture, IMAGE, NETWORK, dialled, listener, plain};

#[tokio::test]
async fn the_old_container_ends_by_itself_before_it_is_removed_and_the_new_one_starts() {
    let fixture = Fixture::new();
    fixture.plain("db").up().await;
    fixture.define("db", &plain("env = { LEVEL = \"2\" }"));
    fixture.engine.calm();
    let ended = fixture.launch().await.ready();
    let changes: Vec<Call> = fixture.engine.changes().into_iter().map(|logged| logged.call).collect();
    assert_eq!(changes, [Call::Create, Call::Stop, Call::Remove, Call::Rename, Call::Start]);
    assert_eq!(ended.events("stopping")[0]["grace_ms"], 10_000.0);
    fixture.engine.calm();
    fixture.down(Scope::All).await.expect("it is done");
    let changes: Vec<Call> = fixture.engine.changes().into_iter().map(|logged| logged.call).collect();
    assert_eq!(changes, [Call::Stop, Call::Remove]);
}

#[tokio::test]
async fn a_container_that_cannot_be_stopped_is_removed_all_the_same_but_not_behind_a_broken_connection() {
    for (kind, goes) in [(EngineErrorKind::Refused, true), (EngineErrorKind::TimedOut, false)] {
        let fixture = Fixture::new();
        fixture.plain("db").up().await;
        fixture.engine.calm();
        fixture.engine.fault(At::Every(Call::Stop), Fault::Fail(kind));
        let removed = fixture.down(Scope::All).await.expect("it is done");
        assert_eq!((removed.containers.len(), removed.problems.len()), if goes { (1, 0) } else { (0, 1) });
        assert_eq!(fixture.names().is_empty(), goes, "{kind:?}");
    }
}

#[tokio::test]
async fn a_launch_that_makes_no_sidecar_leaves_no_network() {
    let refused = || EngineError::new(EngineErrorKind::NotFound, "pull access denied");
    let fixture = Fixture::with_own_network();
    fixture.define("db", &plain("").replace(IMAGE, "far:1"));
    fixture.engine.change(|world| world.publish("far:1", Err(refused()), Vec::new()));
    assert_eq!(fixture.launch().await.codes(), ["image-denied"]);
    assert_eq!(fixture.engine.count(Call::CreateNetwork), 0, "it is needed only once the image is there");

    fixture.plain("db");
    let cannot = || Run::ending(End::CannotRun("exec: \"x\": not found".to_owned()));
    fixture.engine.change(|world| world.add_image(IMAGE, DoubleImage::new(move |_| cannot())));
    assert_eq!(fixture.launch().await.codes(), ["start-failed"]);
    assert_eq!(fixture.engine.count(Call::CreateNetwork), 1);
    assert_eq!(fixture.engine.change(|world| world.networks("farrier")), []);
}

#[tokio::test]
async fn down_takes_a_network_that_nothing_is_on_also_where_no_sidecar_is_left() {
    let fixture = Fixture::with_own_network();
    fixture.plain("db").up().await;
    fixture.engine.change(|world| world.remove("farrier-db", true));
    let removed = fixture.down(Scope::Declared).await.expect("it is done");
    assert_eq!(
        (removed.containers.as_slice(), removed.networks.as_slice()),
        (&[][..], &["farrier".to_owned()][..])
    );
}

#[tokio::test]
async fn a_network_that_another_command_removes_at_the_same_moment_is_no_failure() {
    for call in [Call::Members, Call::RemoveNetwork] {
        let fixture = Fixture::with_own_network();
        fixture.plain("db").up().await;
        fixture.engine.before(At::Nth(call, 1), |world| {
            world.remove_network("farrier").expect("nothing is on it");
        });
        let removed = fixture.down(Scope::Declared).await.expect("it is done");
        assert_eq!((removed.containers.len(), removed.problems.len()), (1, 0), "{call:?}");
    }
}

/// The engine may take long to remove it: whoever looks for it after either of the two would still find it.
#[tokio::test]
async fn none_of_two_commands_that_remove_a_network_ends_before_it_is_gone() {
    let fixture = Fixture::with_own_network();
    fixture.plain("db").up().await;
    fixture.engine.change(|world| world.remove("farrier-db", true));
    fixture.engine.fault(At::Every(Call::Members), Fault::Late(Duration::from_millis(50)));
    let (one, other) = (pin!(fixture.down(Scope::Declared)), pin!(fixture.down(Scope::Declared)));
    let (first, second) = select(one, other).await.factor_first();
    assert_eq!(fixture.engine.change(|world| world.networks("farrier")), []);
    let removed = [first, second.await].map(|removed| removed.expect("it is done"));
    assert_eq!(
        removed.iter().map(|removed| removed.networks.len()).sum::<usize>(),
        1,
        "one of them tells it"
    );
    assert!(removed.iter().all(|removed| removed.problems.is_empty()), "{removed:#?}");
}

#[tokio::test]
async fn a_network_that_the_engine_does_not_remove_is_tried_again_or_told() {
    let first = At::Nth(Call::RemoveNetwork, 1);
    for (at, kind, removals, problems) in [
        (first, EngineErrorKind::TimedOut, 0, 1),
        (first, EngineErrorKind::Unreachable, 0, 1),
        // What left it a moment ago still counted.
        (first, EngineErrorKind::Refused, 1, 0),
        // Something joined it meanwhile.
        (At::Every(Call::RemoveNetwork), EngineErrorKind::Refused, 0, 0),
        (At::Nth(Call::Members, 1), EngineErrorKind::Refused, 0, 1),
    ] {
        let fixture = Fixture::with_own_network();
        fixture.plain("db").up().await;
        fixture.engine.fault(at, Fault::Fail(kind));
        let removed = fixture.down(Scope::Declared).await.expect("it is done");
        assert_eq!(
            (removed.networks.len(), removed.problems.len()),
            (removals, problems),
            "{at:?}, {kind:?}"
        );
    }
}

/// A launch that ends takes its sidecar off the network, or puts it there on its way home, at any moment at which it may, while
/// another one that needs the sidecar there begins.
#[tokio::test]
async fn a_sidecar_that_a_launch_moved_before_it_was_claimed_is_found_where_it_is() {
    for leaves in [true, false] {
        let first = async || {
            let fixture = Fixture::new();
            fixture.plain("db").up().await;
            let id = fixture.container("db").expect("a container").id;
            fixture.engine.change(|world| {
                world.create_network("other", &std::collections::BTreeMap::new());
                if !leaves {
                    world.connect("other", &id, &[]).expect("it joins");
                    world.disconnect(NETWORK, &id).expect("it is on it");
                }
            });
            fixture.plain("web").engine.calm();
            (fixture, id)
        };
        let calls = {
            let (fixture, _) = first().await;
            fixture.up().await;
            fixture.engine.calls()
        };
        let changes = [Call::Create, Call::Connect];
        let before_changes =
            calls.iter().position(|logged| changes.contains(&logged.call)).expect("a change");
        let mut count = 0;
        for (index, call) in calls.iter().enumerate().take(before_changes) {
            let (fixture, id) = first().await;
            let (told, moves) = std::sync::mpsc::channel();
            fixture.engine.before(At::Index(index), move |world| {
                // Marks of this process count for nobody here.
                let mut marks = std::fs::read_dir(lock::folder()).expect("a folder").flatten();
                let is_marked = marks.any(|mark| {
                    let name = mark.file_name().to_string_lossy().into_owned();
                    name.contains(&id) && name.contains("@use.")
                });
                let claim = Leases::open("a test").expect("a folder").claim(&id, |_| ()).now_or_never();
                if claim.is_some() && !is_marked {
                    if !leaves {
                        world.connect(NETWORK, &id, &[]).expect("it joins");
                    }
                    world.disconnect(if leaves { NETWORK } else { "other" }, &id).expect("it is on it");
                    told.send(()).expect("the test goes on");
                }
            });
            fixture.launch().await.ready();
            count += moves.iter().count();
            assert!(
                fixture.container("db").is_some_and(|db| db.is_on(NETWORK)),
                "leaves: {leaves}, {index}: {call:?}"
            );
        }
        assert!(count > 1 && count <= before_changes, "leaves: {leaves}, {count} of {before_changes}");
    }
}

#[tokio::test]
async fn a_sidecar_leaves_the_harness_s_network_when_no_launch_uses_it_there() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.create_network("declared", &std::collections::BTreeMap::new()));
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"");
    fixture.define("cache", &format!("networks = [\"declared\"]\n{}", dialled(port, "probe = \"tcp\"")));
    let networks = |sidecar: &str| {
        let container = fixture.container(sidecar).expect("a container");
        container.networks.into_keys().collect::<Vec<_>>()
    };
    let first = fixture.launch().await.ready().result.expect("ready");
    let second = fixture.launch().await.ready().result.expect("ready");
    let started = fixture.container("db").expect("a container").started_at;
    // Somebody else's `down` removes a network that nothing is on.
    let locks = LockFolder::open(fixture.engine.id()).expect("locks");
    let (asked, claimed) = std::sync::mpsc::channel();
    fixture.engine.calm();
    fixture.engine.before(At::Nth(Call::Connect, 1), move |_| {
        asked.send(locks.claim_network("farrier").now_or_never()).expect("the test goes on");
    });
    first.leave().await;
    let claimed = claimed.recv().expect("it was asked");
    assert!(!matches!(claimed, Some(Ok(Some(_)))), "{claimed:?}");
    // The marks of this process count for nobody but others, so the network is left with the first launch here.
    assert_eq!(networks("db"), ["farrier"], "it is never without a network");
    assert_eq!(networks("cache"), ["declared"]);
    second.leave().await;
    assert_eq!(
        fixture.engine.change(|world| world.members(NETWORK)).expect("the network"),
        Vec::<String>::new()
    );

    fixture.engine.calm();
    assert_eq!(
        fixture.up().await,
        [
            "reuse cache: it is running and matches its definition",
            "reuse db: it is running and matches its definition"
        ]
    );
    assert_eq!(networks("db"), ["farrier", NETWORK]);
    assert_eq!(fixture.container("db").expect("a container").started_at, started);
}

#[tokio::test]
async fn a_network_that_somebody_connected_by_hand_is_not_left() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.create_network("theirs", &std::collections::BTreeMap::new()));
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"");
    let running = fixture.launch().await.ready().result.expect("ready");
    fixture.engine.change(|world| world.connect("theirs", "farrier-db", &[]).expect("it joins"));
    running.leave().await;
    let networks = fixture.container("db").expect("a container").networks;
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
        let fixture = Fixture::with_own_network();
        fixture.plain("db");
        fixture.engine.fault(At::Every(call), Fault::Refuse(words));
        let ended = fixture.launch().await;
        assert_eq!(ended.codes(), ["address-pools-exhausted"], "{words}");
        let Err(failure) = &ended.result else { panic!("it succeeded") };
        let hints = &failure.problems[0].hints;
        assert!(hints.iter().any(|found| found.contains(hint)), "{hints:?}");
    }
}

#[tokio::test]
async fn a_renamed_sidecar_is_told_as_what_holds_the_alias() {
    let fixture = Fixture::new();
    let definition = dialled(1, "probe = \"skip\"");
    fixture.define("old", &definition.replace("port = 1", "port = 1\naliases = [\"db\"]"));
    fixture.up().await;
    std::fs::rename(fixture.file("old"), fixture.file("new")).expect("it is renamed");
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["alias-taken"]);
    let Err(failure) = &ended.result else { panic!("it succeeded") };
    let hints = &failure.problems[0].hints;
    assert!(hints[0].contains("`farrier down --orphans`"), "{hints:?}");
    assert!(hints[0].contains("`farrier down farrier-old`"), "{hints:?}");
}

#[tokio::test]
async fn a_launch_on_farriers_own_network_takes_a_sidecar_off_the_one_of_a_killed_launch() {
    let mut fixture = Fixture::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"");
    drop(fixture.launch().await.ready());
    "farrier".clone_into(&mut fixture.target.network.name);
    fixture.target.network.is_own = true;
    let running = fixture.launch().await.ready().result.expect("ready");
    running.leave().await;
    let networks = fixture.container("db").expect("a container").networks;
    assert_eq!(networks.into_keys().collect::<Vec<_>>(), ["farrier"]);
}

/// An image with an anonymous volume, whose `ready` fails.
fn keeping_data() -> DoubleImage {
    let mut image = DoubleImage::new(|arguments| match arguments {
        [ready] if ready == "ready" => Run::exit(1).says("not migrated"),
        _ => Run::forever().says("ERROR: relation \"foo\" does not exist"),
    });
    image.image.volumes = vec!["/data".to_owned()];
    image
}

/// Answers as a Redis that refuses every password.
async fn refusing() -> u16 {
    let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 512];
                while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {
                    if stream.write_all(b"-WRONGPASS invalid username-password pair\r\n").await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn data_that_is_older_than_a_refused_login_is_the_cause_also_of_later_launches() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.add_image(IMAGE, keeping_data()));
    let port = refusing().await;
    // (LEVEL, PASSWORD, the probe's password, the fields that are blamed)
    for (level, password, asked, blamed) in [
        ("1", "one", "one", None),
        ("1", "two", "two", Some("env.PASSWORD")),
        ("1", "two", "two", Some("env.PASSWORD")),
        ("2", "two", "two", Some("env.PASSWORD")),
        ("2", "two", "other", None),
        ("2", "one", "one", None),
        ("1", "three", "three", Some("env.PASSWORD")),
    ] {
        let readiness =
            format!("probe = \"redis\"\nsettings = {{ password = \"{asked}\" }}\ntimeout = \"1500ms\"");
        let env = format!("env = {{ LEVEL = \"{level}\", PASSWORD = \"{password}\" }}");
        fixture.define("db", &format!("{env}\n{}", dialled(port, &readiness)));
        let ended = fixture.launch().await;
        let told = ended.events("not-ready");
        let name = if blamed.is_some() { "older-data" } else { "login-refused" };
        assert_eq!(told[0]["cause"]["name"], name, "{level} {password} {asked}: {told:#?}");
        let text = format!("{told:?}");
        assert_eq!(text.contains("farrier down --volumes db"), blamed.is_some(), "{text}");
        assert!(text.contains("farrier logs db") && !text.contains("LEVEL"), "{text}");
        assert!(blamed.is_none_or(|field| text.contains(field)), "{text}");
        let labels = format!("{:?}", fixture.container("db").expect("a container").labels);
        assert!(!labels.contains("\"one\"") && !labels.contains("\"two\""), "{labels}");
    }
}

#[tokio::test]
async fn older_data_is_not_blamed_for_what_is_about_no_login() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.add_image(IMAGE, keeping_data()));
    for level in ["info", "debug"] {
        let asking = "probe = \"exec\"\ncommand = [\"ready\"]\ntimeout = \"2s\"";
        let definition = plain(&format!("env = {{ LEVEL = \"{level}\" }}"));
        fixture.define("db", &definition.replace("probe = \"skip\"", asking));
        let told = format!("{:?}", fixture.launch().await.events("not-ready"));
        assert!(told.contains("does not exist") && told.contains("not migrated"), "{told}");
        assert!(!told.contains("older-data") && !told.contains("--volumes"), "{told}");
    }
}
