//! The last look: nothing is handed over that is not ready when the last sidecar is.

use std::net::Ipv4Addr;
use std::time::Duration;

use farrier::engine::EngineErrorKind;
use farrier::engine::docker::api::{EngineEvent, HealthStatus, HealthTest};
use farrier::engine::docker::double::{At, Call, DoubleImage, End, Fault, Run, World};

use super::setup::{ClosedPort, Ended, Fixture, IMAGE, listener, opened};

const TRIES: usize = 10;

/// An image whose health test passes when it is run.
fn tested() -> DoubleImage {
    let mut image = DoubleImage::new(|arguments| match arguments {
        [test] if test == "test" => Run::exit(0),
        _ => Run::forever(),
    });
    let test = vec!["CMD".to_owned(), "test".to_owned()];
    image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
    image
}

/// Launches `early`, which is ready at once, and `late`, which listens only after a change; `told` is whether the engine
/// tells of the change at once.
async fn while_another_is_waited_for(told: bool, change: fn(&mut World)) -> (Fixture, Ended) {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.add_image(IMAGE, tested()));
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.define(
        "early",
        &format!("image = \"{IMAGE}\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"healthcheck\"\n"),
    );
    fixture.dialled("late", port, "probe = \"tcp\"\ntimeout = \"30s\"");
    let (launch, events) = fixture.launch_of();
    let ready = |name: &str| {
        let events = events.lock().expect("events");
        events.iter().any(|event| event["event"] == "ready" && event["sidecar"] == name)
    };
    let changed = async {
        while !ready("early") {
            tokio::task::yield_now().await;
        }
        fixture.engine.change(|world| {
            world.hold_events(!told);
            change(world);
        });
        if told {
            return None;
        }
        Some(opened(closed))
    };
    let launched = async {
        let result = fixture.bring_up(&launch).await;
        let told = std::mem::take(&mut *events.lock().expect("events"));
        Ended { result, told }
    };
    let (ended, _listener) = tokio::join!(launched, changed);
    (fixture, ended)
}

#[tokio::test]
async fn one_that_ended_while_others_were_waited_for_is_not_handed_over() {
    type Row = (&'static str, &'static str, fn(&mut World));
    let rows: [Row; 4] = [
        ("sidecar-exited", "it exited with code 7", |world| world.end("farrier-early", &End::Exit(7))),
        ("sidecar-exited", "its container was paused", |world| world.pause("farrier-early")),
        ("sidecar-exited", "its container was removed", |world| world.remove("farrier-early", false)),
        ("sidecar-unhealthy", "unhealthy", |world| {
            world.health("farrier-early", HealthStatus::Unhealthy, 1, "no");
        }),
    ];
    for told in [true, false] {
        for (code, words, change) in rows {
            // On a busy machine `late` may be polled only after farrier looked at `early` anyway; not each time.
            let mut late = told;
            for _ in 0..TRIES {
                let (_, ended) = while_another_is_waited_for(told, change).await;
                assert_eq!(ended.codes(), [code], "{words}");
                assert!(ended.message().contains("`early`"), "{}", ended.message());
                assert!(ended.message().contains(words), "{}", ended.message());
                assert!(ended.events("all-ready").is_empty());
                late = ended.events("ready").iter().any(|event| event["sidecar"] == "late");
                if late != told {
                    break;
                }
            }
            assert_eq!(late, !told, "what is told at once ends the launch at once: {words}");
        }
    }
}

#[tokio::test]
async fn one_that_restarted_while_others_were_waited_for_is_waited_for_again() {
    let (fixture, ended) = while_another_is_waited_for(false, |world| world.restart("farrier-early")).await;
    let ended = ended.ready();
    assert_eq!(ended.events("no-longer-ready").len(), 1, "{:#?}", ended.told);
    let ready = ended.events("ready").iter().filter(|event| event["sidecar"] == "early").count();
    assert_eq!(ready, 2, "{:#?}", ended.told);
    let early = fixture.container("early").expect("it runs");
    assert!(ended.result.expect("ready").instances.contains(&early), "what is handed over is what runs");
}

#[tokio::test]
async fn one_whose_own_time_is_up_is_not_waited_for_again() {
    let fixture = Fixture::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"2s\"");
    fixture.engine.fault(At::Nth(Call::Listed, 1), Fault::Late(Duration::from_millis(2_500)));
    fixture.engine.before(At::Nth(Call::Listed, 1), |world| world.restart("farrier-db"));
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["not-ready"]);
    assert!(ended.message().contains("it was ready, but its container restarted"), "{}", ended.message());
}

#[tokio::test]
async fn what_the_last_listing_says_against_one_that_runs_already_counts() {
    type Row = (&'static str, fn(&mut World));
    let rows: [Row; 3] = [
        ("sidecar-exited", |world| world.pause("farrier-db")),
        ("sidecar-exited", |world| world.end("farrier-db", &End::Exit(0))),
        ("sidecar-unhealthy", |world| world.health("farrier-db", HealthStatus::Unhealthy, 1, "no")),
    ];
    for (code, change) in rows {
        let fixture = Fixture::new();
        fixture.engine.change(|world| world.add_image(IMAGE, tested()));
        fixture.define(
            "db",
            &format!(
                "image = \"{IMAGE}\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"healthcheck\"\n"
            ),
        );
        fixture.plain("cache");
        fixture.up().await;
        fixture.engine.calm();
        fixture.engine.before(At::Nth(Call::Listed, 1), change);
        assert_eq!(fixture.launch().await.codes(), [code]);
    }
}

/// A sidecar with a memory limit that SIGKILL ends, and what the engine says about it afterwards.
async fn killed(says: fn(&mut World)) -> Ended {
    let fixture = Fixture::new();
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.define(
        "db",
        &format!(
            "image = \"{IMAGE}\"\nresources.memory = \"16m\"\n[interface]\nkind = \"port\"\nport = {port}\n\
             [readiness]\ntimeout = \"30s\"\n"
        ),
    );
    let changed = async {
        fixture.engine.called(Call::Start, 1).await;
        fixture.engine.called(Call::Container, 2).await;
        fixture.engine.change(|world| world.end("farrier-db", &End::Exit(137)));
        let looks = fixture.engine.count(Call::Container);
        fixture.engine.called(Call::Container, looks + 1).await;
        fixture.engine.change(says);
    };
    tokio::join!(fixture.launch(), changed).0
}

#[tokio::test]
async fn a_killed_container_with_a_memory_limit_is_explained_by_the_engine_s_own_word() {
    type Row = (&'static str, &'static str, fn(&mut World));
    let rows: [Row; 4] = [
        ("killed-for-memory", "killed because it ran out of memory", |world| {
            let container = world.container("farrier-db").expect("it is there").id;
            world.tell(&EngineEvent { container, action: "oom".to_owned(), time: 0 });
        }),
        ("killed-for-memory", "killed because it ran out of memory", |world| {
            world.container_mut("farrier-db").expect("it is there").oom_killed = true;
        }),
        ("exited", "exited with code 137", |_| {}),
        ("exited", "somebody stopped it; it exited with code 137", |world| {
            let container = world.container("farrier-db").expect("it is there").id;
            world.tell(&EngineEvent { container, action: "kill".to_owned(), time: 0 });
        }),
    ];
    for (cause, words, says) in rows {
        let ended = killed(says).await;
        assert_eq!(ended.codes(), ["sidecar-exited"], "{words}");
        assert!(ended.message().contains(words), "{words}: {}", ended.message());
        assert_eq!(ended.events("not-ready")[0]["cause"]["name"], cause, "{words}");
    }
}

#[tokio::test]
async fn an_engine_that_does_not_answer_the_last_look_is_asked_again() {
    let fixture = Fixture::new();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"30s\"");
    fixture.up().await;
    fixture.engine.calm();
    fixture.engine.fault(At::Nth(Call::Listed, 1), Fault::Fail(EngineErrorKind::Unreachable));
    fixture.engine.fault(At::Nth(Call::Container, 2), Fault::Fail(EngineErrorKind::Unreachable));
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Container), 3);
}
