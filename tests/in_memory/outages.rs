//! The engine stops and runs again, its stream of events misbehaves, its clock is set: launches that wait go on.

use farrier::engine::docker::api::{EngineEvent, Status};
use farrier::engine::docker::double::{At, Call, DoubleImage, End, Run, World};

use super::scenario::{Scenario, at_each_call, each, lengths, thinned};
use super::setup::{ClosedPort, Fixture, IMAGE, opened};

/// What becomes of containers while the engine is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    GoOn,
    End,
    Restart,
}

impl Fate {
    fn befalls(self, world: &mut World) {
        for name in world.container_names() {
            if !name.starts_with("farrier-") {
                continue;
            }
            match self {
                Self::End => world.end(&name, &End::Exit(0)),
                Self::Restart
                    if world.container(&name).is_some_and(|found| found.status == Status::Running) =>
                {
                    world.restart(&name);
                }
                Self::Restart | Self::GoOn => {}
            }
        }
    }
}

/// Lets a launch run, stops the engine when it made so many calls, and lets it run again after some more in vain.
async fn outage(fixture: &Fixture, index: usize, fate: Fate) -> super::setup::Ended {
    let engine = &fixture.engine;
    let restart = async {
        engine.until(|engine| engine.calls().len() >= index).await;
        engine.stop(true);
        engine.change(|world| fate.befalls(world));
        let seen = engine.calls().len();
        engine.until(|engine| engine.calls().len() >= seen + 2).await;
        engine.stop(false);
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = fixture.launch() => ended,
        () = restart => unreachable!("it waits for ever"),
    };
    engine.stop(false);
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_engine_restarts_the_launch_is_ready_or_says_why_and_the_next_one_works() {
    let cases = at_each_call(&lengths().await, &[Fate::GoOn, Fate::End, Fate::Restart]);
    each(thinned("restarts of the engine", 7, cases), async |(kind, index, fate)| {
        let scenario = Scenario::new(kind).await;
        scenario.wait_for("2s");
        let ended = outage(&scenario.fixture, index, fate).await;
        if ended.result.is_err() {
            ended.codes();
        }
        drop(ended);
        scenario.recovers(&format!("{kind:?}: restart ({fate:?}) after {index} calls")).await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_outlasts_a_restart_of_the_engine() {
    for fate in [Fate::GoOn, Fate::Restart] {
        let fixture = Fixture::new();
        let closed = ClosedPort::new();
        let port = closed.number();
        fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"90s\"");
        let opened = async {
            fixture.engine.called(Call::Start, 1).await;
            fixture.engine.called(Call::Container, 2).await;
            fixture.engine.stop(true);
            fixture.engine.change(|world| fate.befalls(world));
            let seen = fixture.engine.count(Call::Container);
            fixture.engine.called(Call::Container, seen + 2).await;
            fixture.engine.stop(false);
            opened(closed)
        };
        let (ended, _listener) = tokio::join!(fixture.launch(), opened);
        ended.ready();
    }
}

/// Events as no engine should send them, of this container.
fn odd_events(container: &str) -> Vec<EngineEvent> {
    let event = |container: &str, action: &str, time| EngineEvent {
        container: container.to_owned(),
        action: action.to_owned(),
        time,
    };
    let mut odd = vec![
        event("", "", 0),
        event(container, "die", i64::MIN),
        event(container, "start", i64::MAX),
        event(container, "health_status: \u{1b}[2J", -1),
        event(&"f".repeat(64), "die", 1),
        event(&"x".repeat(1 << 20), &"y".repeat(1 << 20), 1),
    ];
    for time in (1..2_000).rev() {
        odd.push(event(
            container,
            ["die", "start", "oom", "destroy"][usize::try_from(time % 4).expect("small")],
            time,
        ));
    }
    odd
}

#[tokio::test]
async fn events_that_flood_repeat_lie_or_come_in_disorder_end_no_wait_and_hide_no_end() {
    for ends in [false, true] {
        let fixture = Fixture::new();
        // Nothing listens before the events are read: what is ready at once needs none.
        let closed = ClosedPort::new();
        let port = closed.number();
        fixture.engine.change(|world| {
            world.add_image(IMAGE, DoubleImage::new(|_| Run::forever().says("words")));
        });
        fixture.dialled("db", port, "probe = \"tcp\"\ntimeout = \"90s\"");
        let flooded = async {
            fixture.engine.called(Call::Start, 1).await;
            fixture.engine.called(Call::Events, 1).await;
            let id = fixture.container("db").map(|found| found.id).unwrap_or_default();
            for _ in 0..3 {
                fixture.engine.change(|world| odd_events(&id).iter().for_each(|event| world.tell(event)));
                fixture.engine.change(|world| world.break_events(true));
                let opened = fixture.engine.count(Call::Events);
                if !ends {
                    break;
                }
                fixture.engine.called(Call::Events, opened + 1).await;
            }
            if ends {
                fixture.engine.change(|world| world.end("farrier-db", &End::Exit(4)));
                return None;
            }
            Some(opened(closed))
        };
        let (ended, listener) = tokio::join!(fixture.launch(), flooded);
        if ends {
            assert_eq!(ended.codes(), ["sidecar-exited"]);
            // One look a message would be thousands of calls on an engine that is busy already.
            let looks = fixture.engine.count(Call::Container);
            assert!(looks < 2_000, "{looks} looks for {} events", 3 * odd_events("").len());
        } else {
            ended.ready();
        }
        drop(listener);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_engine_s_clock_is_set_the_launch_is_ready_and_the_next_one_changes_nothing() {
    const HOUR: i64 = 3_600_000_000_000;
    let cases = at_each_call(&lengths().await, &[-HOUR, HOUR, -24 * 365 * HOUR]);
    each(thinned("steps of the clock", 7, cases), async |(kind, index, step)| {
        let scenario = Scenario::new(kind).await;
        scenario.fixture.engine.before(At::Index(index), move |world| world.step_clock(step));
        let what = format!("{kind:?}: clock set by {step} before {index}");
        let ended = scenario.fixture.launch().await;
        assert!(ended.result.is_ok(), "{what}: {:#?}", ended.told);
        drop(ended);
        scenario.recovers(&what).await;
    })
    .await;
}
