//! Every engine call fails, hangs, comes late, answers nonsense, or is the last one of a killed launch: the launch
//! says why it ended, and the next one works.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use farrier::engine::EngineErrorKind;
use farrier::engine::docker::bounded::Timeouts;
use farrier::engine::docker::double::{At, Call, Fault, Nonsense};

use super::scenario::{Kind, Scenario, at_each_call, each, lengths, thinned};
use super::setup::{Fixture, listener};

/// Every kind of failure that a call can end in.
const KINDS: [EngineErrorKind; 6] = [
    EngineErrorKind::Unreachable,
    EngineErrorKind::PermissionDenied,
    EngineErrorKind::NotFound,
    EngineErrorKind::Conflict,
    EngineErrorKind::Refused,
    EngineErrorKind::TimedOut,
];

fn what(scenario: &Scenario, index: usize, fault: Fault) -> String {
    let call = scenario.fixture.engine.calls().get(index).cloned();
    format!("{:?}: {fault:?} at {index}: {call:?}", scenario.kind)
}

/// Launches with one fault: it is ready, or says why not, with a next step. Then the next launch works.
async fn survives(kind: Kind, index: usize, fault: Fault, patience: Timeouts) {
    let mut scenario = Scenario::new(kind).await;
    let data = scenario.data();
    scenario.fixture.patience = patience;
    if !matches!(fault, Fault::Late(_)) {
        scenario.wait_for("2s");
    }
    scenario.fixture.engine.fault(At::Index(index), fault);
    let ended = scenario.fixture.launch().await;
    let what = what(&scenario, index, fault);
    if ended.result.is_err() {
        assert!(!ended.codes().is_empty(), "{what}");
    } else if matches!(fault, Fault::Late(_)) {
        assert_eq!(scenario.fixture.engine.change(|world| world.networks("farrier").len()), 1, "{what}");
    }
    assert!(ended.result.is_ok() || !matches!(fault, Fault::Late(_)), "{what}: {:#?}", ended.told);
    drop(ended);
    scenario.fixture.patience = Timeouts::default();
    scenario.recovers(&what).await;
    assert_eq!(scenario.data(), data.or_else(|| scenario.data()), "{what}: the volume is carried over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_fails_the_launch_says_why_and_the_next_one_works() {
    let lengths = lengths().await;
    for (kind, length) in &lengths {
        assert!(*length > 10, "{kind:?}: {length} calls");
    }
    let faults: Vec<Fault> =
        KINDS.into_iter().flat_map(|kind| [Fault::Fail(kind), Fault::FailAfter(kind)]).collect();
    let cases = thinned("failing calls", 11, at_each_call(&lengths, &faults));
    each(cases, |(kind, index, fault)| survives(kind, index, fault, Timeouts::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_comes_late_the_launch_is_ready() {
    let late = [Fault::Late(Duration::from_millis(150))];
    let cases = thinned("late calls", 5, at_each_call(&lengths().await, &late));
    each(cases, |(kind, index, fault)| survives(kind, index, fault, Timeouts::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_hangs_the_launch_ends_by_itself_and_the_next_one_works() {
    let patience = Timeouts { answer: Duration::from_millis(300), silence: Duration::from_millis(300) };
    let cases = thinned("hanging calls", 9, at_each_call(&lengths().await, &[Fault::Hang, Fault::HangAfter]));
    each(cases, |(kind, index, fault)| survives(kind, index, fault, patience)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_launch_is_killed_the_next_one_works_and_keeps_the_data() {
    let cases =
        thinned("killed launches", 5, at_each_call(&lengths().await, &[Fault::Hang, Fault::HangAfter]));
    each(cases, async |(kind, index, fault)| {
        let scenario = Scenario::new(kind).await;
        let data = scenario.data();
        let fixture = &scenario.fixture;
        fixture.engine.fault(At::Index(index), fault);
        let (launch, _) = fixture.launch_of();
        tokio::select! {
            _ = fixture.bring_up(&launch) => {}
            () = fixture.engine.stalled() => {}
        }
        drop(launch);
        let what = what(&scenario, index, fault);
        scenario.recovers(&what).await;
        if kind == Kind::Making {
            assert_eq!(scenario.data(), data, "{what}: the volume is carried over");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_answers_end_in_words_not_in_a_panic() {
    let faults = Nonsense::ALL.map(Fault::Garbage);
    let cases = thinned("nonsense answers", 9, at_each_call(&lengths().await, &faults));
    each(cases, async |(kind, index, fault)| {
        let scenario = Scenario::new(kind).await;
        let data = scenario.data();
        scenario.wait_for("2s");
        scenario.fixture.engine.fault(At::Index(index), fault);
        let ended = scenario.fixture.launch().await;
        if ended.result.is_err() {
            ended.codes();
        }
        let what = what(&scenario, index, fault);
        drop(ended);
        // An image that says that it has no volumes any more makes the new container go without them.
        scenario.forget_unused_volumes(data.as_ref(), &what);
        scenario.recovers(&what).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_told_as_one() {
    let full = Fault::Refuse("mkdir /var/lib/docker/overlay2/x: no space left on device");
    let calls = Scenario::calls(Kind::Making).await;
    let mut told = 0;
    for (index, logged) in calls.iter().enumerate() {
        if !matches!(logged.call, Call::Create | Call::Start | Call::Pull | Call::CreateNetwork) {
            continue;
        }
        let scenario = Scenario::new(Kind::Making).await;
        scenario.fixture.engine.fault(At::Nth(logged.call, 1), full);
        let ended = scenario.fixture.launch().await;
        let what = what(&scenario, index, full);
        assert_eq!(ended.codes(), ["disk-full"], "{what}");
        drop(ended);
        scenario.recovers(&what).await;
        told += 1;
    }
    assert!(told >= 4, "{told}");
}

#[tokio::test]
async fn two_launches_at_once_make_one_container() {
    let fixture = Fixture::with_own_network();
    let (_listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    fixture.dialled("db", port, "probe = \"tcp\"").plain("cache");
    fixture.engine.fault(At::Every(Call::Create), Fault::Late(std::time::Duration::from_millis(50)));
    let (one, other) = tokio::join!(fixture.launch(), fixture.launch());
    let (one, other) = (one.ready(), other.ready());
    assert_eq!(fixture.engine.count(Call::Create), 2);
    assert_eq!(fixture.engine.count(Call::CreateNetwork), 1);
    assert_eq!(fixture.names(), ["farrier-cache", "farrier-db"]);
    let mut actions: Vec<String> = one.planned();
    actions.extend(other.planned());
    assert_eq!(actions.iter().filter(|line| line.starts_with("create")).count(), 2, "{actions:?}");
    assert_eq!(actions.iter().filter(|line| line.starts_with("reuse")).count(), 2, "{actions:?}");
    let waited = [&one, &other].map(|ended| ended.events("waiting-for-launch").len());
    assert_eq!(waited.iter().filter(|count| **count > 0).count(), 1, "one waits for the other: {waited:?}");
}

#[tokio::test]
async fn a_network_that_another_tool_made_meanwhile_does_not_stay_twice() {
    for empty in [true, false] {
        let fixture = Fixture::with_own_network();
        fixture.plain("db");
        fixture.engine.before(At::Nth(Call::CreateNetwork, 1), |world| {
            world
                .create_network("farrier", &BTreeMap::from([("farrier.network".to_owned(), "1".to_owned())]));
        });
        fixture.up().await;
        let networks = fixture.engine.change(|world| world.networks("farrier"));
        assert_eq!(networks.len(), 1, "empty: {empty}");
    }
}

#[tokio::test]
async fn two_networks_of_ours_left_by_killed_launches_are_made_one() {
    let fixture = Fixture::with_own_network();
    fixture.plain("db");
    fixture.engine.change(|world| {
        for _ in 0..2 {
            world
                .create_network("farrier", &BTreeMap::from([("farrier.network".to_owned(), "1".to_owned())]));
        }
    });
    fixture.up().await;
    assert_eq!(fixture.engine.change(|world| world.networks("farrier")).len(), 1);
}
