//! Waiting: what ends it, how soon, and on which evidence.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use farrier::engine::memory::{At, Call, End, Fault, MemoryImage, Nonsense, Run, World};
use farrier::engine::{EngineErrorKind, HealthStatus, HealthTest};

use crate::bench::{Bench, IMAGE, closed_port, listener};

/// The safety look comes after a second: what ended sooner was told by an event.
const AT_ONCE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn a_port_that_stays_closed_ends_at_the_timeout_with_what_was_tried() {
    let bench = Bench::new();
    let port = closed_port().await;
    bench.dialled("db", port, "probe = \"tcp\"\ntimeout = \"300ms\"");
    let ended = bench.launch().await;
    assert_eq!(ended.codes(), ["not-ready"]);
    assert_eq!(
        ended.message(),
        "sidecar `db` is not ready: the probe `tcp` did not say ready within 300ms: connection refused"
    );
    assert!(bench.container("db").is_some(), "it is left running for whoever looks into it");
}

#[tokio::test]
async fn a_container_that_ends_or_is_unhealthy_ends_the_wait_at_once() {
    type Row = (&'static str, &'static str, &'static str, fn(&mut World));
    let rows: [Row; 5] = [
        ("exit", "sidecar-exited", "it exited with code 7", |world| world.end("farrier-db", &End::Exit(7))),
        ("memory", "sidecar-exited", "it was killed for memory", |world| {
            world.end("farrier-db", &End::OutOfMemory);
        }),
        ("removed", "sidecar-exited", "its container was removed", |world| world.remove("farrier-db", false)),
        ("paused", "sidecar-exited", "its container was paused", |world| world.pause("farrier-db")),
        ("unhealthy", "sidecar-unhealthy", "unhealthy", |world| {
            world.health("farrier-db", HealthStatus::Unhealthy, 1, "no");
        }),
    ];
    for (name, code, words, change) in rows {
        let bench = Bench::new();
        let mut image = MemoryImage::new(|arguments| match arguments {
            [test, ..] if test == "test" => Run::exit(1),
            _ => Run::forever().says("last words"),
        });
        let test = vec!["CMD".to_owned(), "test".to_owned()];
        image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
        bench.engine.change(|world| world.add_image(IMAGE, image));
        let port = closed_port().await;
        let probe = if name == "unhealthy" { "healthcheck" } else { "tcp" };
        bench.dialled("db", port, &format!("probe = \"{probe}\"\ntimeout = \"15s\""));
        let changed = async {
            bench.engine.called(Call::Start, 1).await;
            bench.engine.called(Call::Events, 1).await;
            bench.engine.called(Call::Container, 2).await;
            bench.engine.change(change);
            Instant::now()
        };
        let launched = async { (bench.launch().await, Instant::now()) };
        let (changed, (ended, at)) = tokio::join!(changed, launched);
        assert_eq!(ended.codes(), [code], "{name}");
        assert!(ended.message().contains(words), "{name}: {}", ended.message());
        assert!(at - changed < AT_ONCE, "{name}: after {:?}", at - changed);
        if name == "exit" {
            assert_eq!(ended.events("not-ready")[0]["log"][0], "last words");
        }
    }
}

#[tokio::test]
async fn one_that_exits_right_after_its_start_is_not_waited_for() {
    let bench = Bench::new();
    bench.engine.change(|world| world.add_image(IMAGE, MemoryImage::new(|_| Run::exit(5))));
    let port = closed_port().await;
    bench.dialled("db", port, "probe = \"tcp\"").plain("cache");
    let ended = bench.launch().await;
    assert!(ended.codes().contains(&"sidecar-exited".to_owned()), "{:?}", ended.codes());
}

#[tokio::test]
async fn a_restart_to_another_address_is_probed_there() {
    let bench = Bench::new();
    let (listener, port) = listener(Ipv4Addr::new(127, 0, 0, 2)).await;
    let mut image = MemoryImage::default();
    image.addresses = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).to_vec();
    bench.engine.change(|world| world.add_image(IMAGE, image));
    bench.dialled("db", port, "probe = \"tcp\"\ntimeout = \"15s\"");
    let restarted = async {
        bench.engine.called(Call::Start, 1).await;
        bench.engine.called(Call::Container, 2).await;
        bench.engine.change(|world| world.restart("farrier-db"));
    };
    let (ended, ()) = tokio::join!(bench.launch(), restarted);
    let running = ended.ready().result.expect("ready");
    let address = running.containers[0].networks["net"].address;
    assert_eq!(address, Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
    drop(listener);
}

#[tokio::test]
async fn without_events_the_look_each_second_still_ends_the_wait() {
    let breaks: [fn(&Bench); 4] = [
        |bench| bench.engine.fault(At::Every(Call::Events), Fault::Fail(EngineErrorKind::Unreachable)),
        |bench| bench.engine.fault(At::Every(Call::Events), Fault::Hang),
        |bench| bench.engine.fault(At::Every(Call::Events), Fault::Garbage(Nonsense::Unreadable)),
        |bench| bench.engine.change(|world| world.hold_events(true)),
    ];
    for (index, broken) in breaks.into_iter().enumerate() {
        let bench = Bench::new();
        bench.engine.change(|world| {
            let image = MemoryImage::new(|_| Run::exit(9).takes(Duration::from_millis(100)));
            world.add_image(IMAGE, image)
        });
        let port = closed_port().await;
        bench.dialled("db", port, "probe = \"tcp\"\ntimeout = \"15s\"");
        broken(&bench);
        assert_eq!(bench.launch().await.codes(), ["sidecar-exited"], "row {index}");
    }
}

#[tokio::test]
async fn a_health_test_is_run_at_once_and_only_its_success_counts() {
    let bench = Bench::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut image = MemoryImage::new(move |arguments| match arguments {
        [test] if test == "test" => Run::exit(i64::from(counted.fetch_add(1, Ordering::SeqCst) < 3)),
        _ => Run::forever(),
    });
    let test = vec!["CMD".to_owned(), "test".to_owned()];
    image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
    bench.engine.change(|world| world.add_image(IMAGE, image));
    bench.dialled("db", 1, "probe = \"healthcheck\"\ntimeout = \"15s\"");
    bench.up().await;
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn many_are_waited_for_together_and_the_first_failure_ends_all() {
    let bench = Bench::new();
    let mut listeners = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
        bench.dialled(name, port, "probe = \"tcp\"");
        listeners.push(listener);
    }
    // No start ends, and yet all of them begin.
    bench.engine.fault(At::Every(Call::Start), Fault::Hang);
    tokio::select! {
        ended = bench.launch() => panic!("nothing was started: {:?}", ended.codes()),
        () = bench.engine.called(Call::Start, listeners.len()) => {}
    }
    bench.engine.calm();
    bench.up().await;
    let port = closed_port().await;
    bench.dialled("late", port, "probe = \"tcp\"\ntimeout = \"30s\"");
    bench.dialled("never", port, "probe = \"tcp\"\ntimeout = \"200ms\"");
    assert_eq!(bench.launch().await.codes(), ["not-ready"]);
}

#[tokio::test]
async fn where_nothing_can_be_dialled_that_it_runs_is_the_check_and_said_once() {
    let bench = Bench::new();
    bench.engine.change(|world| {
        world.local = false;
        let cannot = || End::CannotRun("no such program".to_owned());
        world.add_image(
            IMAGE,
            MemoryImage::new(
                move |arguments| {
                    if arguments.is_empty() { Run::forever() } else { Run::ending(cannot()) }
                },
            ),
        );
    });
    let port = closed_port().await;
    bench.dialled("a", port, "probe = \"tcp\"").dialled("b", port, "probe = \"tcp\"");
    let ended = bench.launch().await.ready();
    let warned = ended.events("problem");
    assert_eq!(warned.len(), 1, "{warned:#?}");
    assert_eq!(warned[0]["code"], "cannot-dial");
    assert_eq!(bench.names(), ["farrier-a", "farrier-b"], "no relay is left behind");
}
