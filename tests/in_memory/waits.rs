//! Waiting: what ends it, how soon, and on which evidence.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use farrier::engine::EngineErrorKind;
use farrier::engine::docker::api::{HealthStatus, HealthTest};
use farrier::engine::docker::double::{At, Call, DoubleImage, End, Fault, Nonsense, Run, World};

use super::scenario::scripted;
use super::setup::{ClosedPort, Ended, Fixture, IMAGE, listener};

#[tokio::test]
async fn a_port_that_stays_closed_ends_at_the_timeout_with_what_was_tried() {
    let fixture = Fixture::new();
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"2s\"");
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["not-ready"]);
    assert_eq!(
        ended.message(),
        "sidecar `db` is not ready: the probe `tcp` did not succeed within 2s: connection refused"
    );
    assert!(fixture.container("db").is_some(), "it is left running for whoever looks into it");
}

#[tokio::test]
async fn a_container_that_ends_or_is_unhealthy_ends_the_wait_at_once() {
    type Row = (&'static str, &'static str, &'static str, fn(&mut World));
    let rows: [Row; 5] = [
        ("exit", "sidecar-exited", "it exited with code 7", |world| world.end("farrier-db", &End::Exit(7))),
        ("memory", "sidecar-exited", "it was killed because it ran out of memory", |world| {
            world.end("farrier-db", &End::OutOfMemory);
        }),
        ("removed", "sidecar-exited", "its container was removed", |world| world.remove("farrier-db", false)),
        ("paused", "sidecar-exited", "its container was paused", |world| world.pause("farrier-db")),
        ("unhealthy", "sidecar-unhealthy", "unhealthy", |world| {
            world.health("farrier-db", HealthStatus::Unhealthy, 1, "no");
        }),
    ];
    for (name, code, words, change) in rows {
        let fixture = Fixture::new();
        let mut image = DoubleImage::new(|arguments| match arguments {
            [test, ..] if test == "test" => Run::exit(1),
            _ => Run::forever().says("last words"),
        });
        let test = vec!["CMD".to_owned(), "test".to_owned()];
        image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
        fixture.engine.change(|world| world.add_image(IMAGE, image));
        let closed = ClosedPort::new();
        let port = closed.number();
        let probe = if name == "unhealthy" { "healthcheck" } else { "tcp" };
        fixture.dialled("db", port, &format!("probe = \"{probe}\"\ntimeout = \"90s\""));
        let changed = async {
            fixture.engine.called(Call::Start, 1).await;
            fixture.engine.called(Call::Events, 1).await;
            fixture.engine.called(Call::Container, 2).await;
            fixture.engine.change(change);
        };
        // Long before its timeout, whose code would be another one.
        let ((), ended) = tokio::join!(changed, fixture.launch());
        assert_eq!(ended.codes(), [code], "{name}");
        assert!(ended.message().contains(words), "{name}: {}", ended.message());
        if name == "exit" {
            assert_eq!(ended.events("not-ready")[0]["log"][0], "last words");
        }
    }
}

#[tokio::test]
async fn one_that_exits_right_after_its_start_is_not_waited_for() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| world.add_image(IMAGE, DoubleImage::new(|_| Run::exit(5))));
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.dialled("db", port, "probe = \"tcp\"").plain("cache");
    let ended = fixture.launch().await;
    assert!(ended.codes().contains(&"sidecar-exited".to_owned()), "{:?}", ended.codes());
}

#[tokio::test]
async fn a_restart_to_another_address_is_probed_there() {
    let fixture = Fixture::new();
    let (listener, port) = listener(Ipv4Addr::new(127, 0, 0, 2)).await;
    let mut image = DoubleImage::default();
    image.addresses = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).to_vec();
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"90s\"");
    let restarted = async {
        fixture.engine.called(Call::Start, 1).await;
        fixture.engine.called(Call::Container, 2).await;
        fixture.engine.change(|world| world.restart("farrier-db"));
    };
    let (ended, ()) = tokio::join!(fixture.launch(), restarted);
    let running = ended.ready().result.expect("ready");
    let address = running.instances[0].networks["net"].address;
    assert_eq!(address, Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
    drop(listener);
}

#[tokio::test]
async fn without_events_the_look_each_second_still_ends_the_wait() {
    let breaks: [fn(&Fixture); 4] = [
        |fixture| fixture.engine.fault(At::Every(Call::Events), Fault::Fail(EngineErrorKind::Unreachable)),
        |fixture| fixture.engine.fault(At::Every(Call::Events), Fault::Hang),
        |fixture| fixture.engine.fault(At::Every(Call::Events), Fault::Garbage(Nonsense::Unreadable)),
        |fixture| fixture.engine.change(|world| world.hold_events(true)),
    ];
    for (index, broken) in breaks.into_iter().enumerate() {
        let fixture = Fixture::new();
        fixture.engine.change(|world| {
            let image = DoubleImage::new(|_| Run::exit(9).takes(Duration::from_millis(100)));
            world.add_image(IMAGE, image)
        });
        let closed = ClosedPort::new();
        let port = closed.number();
        fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"90s\"");
        broken(&fixture);
        assert_eq!(fixture.launch().await.codes(), ["sidecar-exited"], "row {index}");
    }
}

#[tokio::test]
async fn a_health_test_is_run_at_once_and_only_its_success_counts() {
    let fixture = Fixture::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut image = DoubleImage::new(move |arguments| match arguments {
        [test] if test == "test" => Run::exit(i64::from(counted.fetch_add(1, Ordering::SeqCst) < 3)),
        _ => Run::forever(),
    });
    let test = vec!["CMD".to_owned(), "test".to_owned()];
    image.image.process.health = Some(HealthTest { test, ..HealthTest::default() });
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    fixture.dialled("db", 1, "probe = \"healthcheck\"\ntimeout = \"90s\"");
    fixture.up().await;
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn the_poll_that_the_end_of_the_wait_cuts_is_no_answer() {
    for timeout in [450, 500, 550, 600, 650, 700] {
        let fixture = Fixture::new();
        let image = DoubleImage::new(|arguments| match arguments {
            [check] if check == "check" => {
                Run::exit(3).says("final: db locked").takes(Duration::from_millis(100))
            }
            _ => Run::forever(),
        });
        fixture.engine.change(|world| world.add_image(IMAGE, image));
        let readiness = format!("probe = \"exec\"\ncommand = [\"check\"]\ntimeout = \"{timeout}ms\"");
        fixture.dialled("db", 1, &readiness);
        let ended = fixture.launch().await;
        assert_eq!(ended.codes(), ["not-ready"]);
        assert!(ended.message().ends_with("`check` exited 3: final: db locked"), "{}", ended.message());
        let answers = ended.events("not-ready")[0]["probes"][0]["answers"].as_array().map(Vec::len);
        assert_eq!(answers, Some(1), "{:#}", ended.events("not-ready")[0]);
    }
}

#[tokio::test]
async fn a_wait_that_is_shorter_than_its_first_poll_says_so() {
    let fixture = Fixture::new();
    let image = DoubleImage::new(|arguments| match arguments {
        [check] if check == "check" => Run::exit(0).takes(Duration::from_secs(60)),
        _ => Run::forever(),
    });
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    fixture.dialled("db", 1, "probe = \"exec\"\ncommand = [\"check\"]\ntimeout = \"2s\"");
    let ended = fixture.launch().await;
    assert_eq!(ended.codes(), ["not-ready"]);
    assert!(ended.message().contains("did not end in time"), "{}", ended.message());
    assert_ne!(ended.events("not-ready")[0]["cause"]["name"], "probe-time");
}

/// A sidecar whose health command succeeds or fails as these letters say, poll by poll, and goes on as the last one.
async fn in_a_row(polls: &'static str, readiness: &str) -> (super::setup::Ended, usize, Vec<Instant>) {
    let fixture = Fixture::new();
    let at = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&at);
    let image = DoubleImage::new(move |arguments| match arguments {
        [check] if check == "check" => {
            let mut noted = noted.lock().expect("moments");
            let letter = polls.as_bytes()[noted.len().min(polls.len() - 1)];
            noted.push(Instant::now());
            Run::exit(i64::from(letter == b'-'))
        }
        _ => Run::forever(),
    });
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    fixture.dialled("db", 1, &format!("probe = \"exec\"\ncommand = [\"check\"]\n{readiness}"));
    let ended = fixture.launch().await;
    let at = at.lock().expect("moments").clone();
    (ended, at.len(), at)
}

#[tokio::test]
async fn successes_count_in_a_row_and_an_interval_apart() {
    for (polls, successes, expected) in
        [("+", 1, 1), ("+", 3, 3), ("-+", 2, 3), ("+-++", 2, 4), ("++-+-+++", 3, 8)]
    {
        let (ended, count, _) = in_a_row(polls, &format!("successes = {successes}")).await;
        ended.ready();
        assert_eq!(count, expected, "{polls}");
    }
    let (ended, _, at) = in_a_row("+-++", "successes = 2\ninterval = \"200ms\"").await;
    ended.ready();
    let apart = |first: usize| at[first + 1] - at[first];
    let interval = Duration::from_millis(200);
    assert!(apart(0) >= interval && apart(2) >= interval, "{:?}", [apart(0), apart(1), apart(2)]);
    let (ended, ..) = in_a_row("+-", "successes = 2\ntimeout = \"400ms\"").await;
    assert_eq!(ended.codes(), ["not-ready"]);
    let answers: Vec<&serde_json::Value> =
        ended.events("answered").iter().map(|event| &event["answer"]).collect();
    assert_eq!(answers[0], "ready, 1 of 2 times in a row");
    assert!(answers.iter().all(|answer| *answer != "ready"), "{answers:?}");
}

#[tokio::test]
async fn successes_of_different_runs_do_not_add_up() {
    let fixture = Fixture::new();
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let image = DoubleImage::new(move |arguments| match arguments {
        [check] if check == "check" => {
            counted.fetch_add(1, Ordering::SeqCst);
            Run::exit(0)
        }
        _ => Run::forever(),
    });
    fixture.engine.change(|world| world.add_image(IMAGE, image));
    let readiness = "probe = \"exec\"\ncommand = [\"check\"]\nsuccesses = 2\ninterval = \"1s\"";
    fixture.dialled("db", 1, readiness);
    let restarted = async {
        fixture.engine.called(Call::Exec, 1).await;
        fixture.engine.change(|world| world.restart("farrier-db"));
    };
    let (ended, ()) = tokio::join!(fixture.launch(), restarted);
    ended.ready();
    assert_eq!(polls.load(Ordering::SeqCst), 3);
}

/// With a sidecar that writes READY at its start.
fn writing_ready(fixture: Fixture) -> Fixture {
    fixture.engine.change(|world| {
        world.add_image(IMAGE, DoubleImage::new(|_| Run::forever().says("READY")));
    });
    fixture
}

/// It is ready when it has written READY so many times.
fn wait_for_ready(fixture: &Fixture, count: u32) {
    fixture.define(
        "db",
        &format!(
            "image = \"{IMAGE}\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"log\"\ntimeout = \"10m\"\n\
             settings = {{ text = \"READY\", count = {count} }}\n"
        ),
    );
}

/// So many lines of noise, and READY.
fn write_noise(fixture: &Fixture, lines: u32) {
    fixture.engine.change(|world| {
        for number in 0..lines {
            world.log("farrier-db", &format!("noise {number}"));
        }
        world.log("farrier-db", "READY");
    });
}

#[tokio::test]
async fn a_line_counts_however_much_was_written_since_and_each_wait_reads_the_log_once() {
    let fixture = writing_ready(Fixture::new());
    wait_for_ready(&fixture, 3);
    let noise = async {
        fixture.engine.called(Call::Output, 1).await;
        write_noise(&fixture, 100_000);
        write_noise(&fixture, 5_000);
    };
    let (ended, ()) = tokio::join!(fixture.launch(), noise);
    ended.ready();
    assert_eq!(fixture.engine.count(Call::Output), 1, "all polls read one stream");
    fixture.up().await;
    assert_eq!(
        fixture.engine.count(Call::Output),
        2,
        "nothing is remembered without a folder, and so it is read again"
    );
}

#[tokio::test]
async fn a_log_that_could_not_be_opened_is_read_from_its_beginning_when_it_can() {
    let fixture = writing_ready(Fixture::new());
    wait_for_ready(&fixture, 1);
    fixture.engine.fault(At::Nth(Call::Output, 1), Fault::Fail(EngineErrorKind::Unreachable));
    fixture.launch().await.ready();
    assert!(fixture.engine.count(Call::Output) > 1);
}

#[tokio::test]
async fn a_match_is_remembered_for_its_run_and_for_these_settings() {
    let fixture = writing_ready(Fixture::new().remembering());
    wait_for_ready(&fixture, 1);
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Output), 1);
    fixture.engine.calm();
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Output), 0, "it is known of this run");
    fixture.engine.change(|world| world.restart("farrier-db"));
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Output), 1, "another run");
    wait_for_ready(&fixture, 2);
    fixture.engine.change(|world| world.log("farrier-db", "READY"));
    fixture.up().await;
    assert_eq!(fixture.engine.count(Call::Output), 2, "another question");
}

#[tokio::test]
async fn many_are_waited_for_together_and_the_first_failure_ends_all() {
    let fixture = Fixture::new();
    let mut listeners = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
        fixture.dialled(name, port, "probe = \"tcp\"");
        listeners.push(listener);
    }
    // No start ends, and yet all of them begin.
    fixture.engine.fault(At::Every(Call::Start), Fault::Hang);
    tokio::select! {
        ended = fixture.launch() => panic!("nothing was started: {:?}", ended.codes()),
        () = fixture.engine.called(Call::Start, listeners.len()) => {}
    }
    fixture.engine.calm();
    fixture.up().await;
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.dialled("late", port, "probe = \"tcp\"\ntimeout = \"30s\"");
    fixture.dialled("never", port, "probe = \"tcp\"\ntimeout = \"200ms\"");
    assert_eq!(fixture.launch().await.codes(), ["not-ready"]);
}

#[tokio::test]
async fn where_nothing_can_be_dialled_that_it_runs_is_the_check_and_said_once() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| {
        world.local = false;
        let cannot = || End::CannotRun("no such program".to_owned());
        world.loaded = DoubleImage::new(move |_| Run::ending(cannot()));
        world.add_image(
            IMAGE,
            DoubleImage::new(
                move |arguments| {
                    if arguments.is_empty() { Run::forever() } else { Run::ending(cannot()) }
                },
            ),
        );
    });
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.dialled("a", port, "probe = \"tcp\"").dialled("b", port, "probe = \"tcp\"");
    let ended = fixture.launch().await.ready();
    let warned = ended.events("problem");
    assert_eq!(warned.len(), 1, "{warned:#?}");
    assert_eq!(warned[0]["code"], "cannot-dial");
    assert_eq!(fixture.names(), ["farrier-a", "farrier-b"], "no relay is left behind");
}

#[tokio::test]
async fn on_an_engine_of_another_architecture_a_tool_relays() {
    let fixture = Fixture::new();
    fixture.engine.change(|world| {
        world.local = false;
        world.architecture = "riscv64".to_owned();
        world.add_image(IMAGE, scripted());
    });
    let closed = ClosedPort::new();
    fixture.dialled("a", closed.number(), "probe = \"tcp\"");
    let ended = fixture.launch().await.ready();
    assert_eq!(ended.events("problem").len(), 0, "{:#?}", ended.told);
    let ready = ended.events("ready");
    assert_eq!(ready[0]["attempts"], 1, "its tool accepts: {ready:#?}");
}

#[tokio::test]
async fn a_server_that_opens_late_sees_no_connection_but_the_probes_own() {
    let fixture = Fixture::new();
    let closed = ClosedPort::new();
    let port = closed.number();
    fixture.dialled("late", port, "probe = \"tcp\"\ntimeout = \"30s\"");
    let (launch, told) = fixture.launch_of();
    let is_answered = || told.lock().expect("events").iter().any(|event| event["event"] == "answered");
    let opening = async {
        while !is_answered() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        closed.open()
    };
    let (result, listener) = tokio::join!(fixture.bring_up(&launch), opening);
    let ended = Ended { result, told: std::mem::take(&mut *told.lock().expect("events")) }.ready();
    let attempts = ended.events("ready")[0]["attempts"].as_u64();
    assert!(attempts.is_some_and(|attempts| attempts >= 2), "{attempts:?}");
    // Nobody accepted meanwhile, so that all connections are still waiting.
    listener.set_nonblocking(true).expect("a socket");
    let connections = std::iter::from_fn(|| listener.accept().ok()).count();
    assert_eq!(connections, 1, "farrier's dial that was accepted is the guest's connection");
}
