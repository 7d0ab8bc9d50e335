//! Sessions on the simulated engine: whatever becomes of a launch at any call, ending its session leaves nothing of it, and
//! nothing else is touched.

use std::collections::BTreeMap;
use std::time::Duration;

use farrier::engine::EngineErrorKind;
use farrier::engine::docker::api::ContainerSpec;
use farrier::engine::docker::bounded::Timeouts;
use farrier::engine::docker::double::{At, Call, DoubleImage, Fault, Logged, Run};
use farrier::manage::sessions::{end, sweep};
use farrier::plan::session::Session;
use farrier::system::leases::Leases;
use farrier::system::lock::LockFolder;
use farrier::system::session_leases::SessionLeases;
use futures_util::FutureExt;

use super::scenario::{each, thinned};
use super::setup::{Ended, Fixture, IMAGE};

/// A shared `db`, a job of the session that comes after it, and the session's `web`, which comes after the job.
fn fixture() -> Fixture {
    let fixture = Fixture::with_own_network();
    let run = |arguments: &[String]| if arguments.is_empty() { Run::forever() } else { Run::exit(0) };
    fixture.engine.change(|world| world.add_image("job:1", DoubleImage::new(run)));
    fixture.plain("db");
    let of_session = |name: &str, top: &str, readiness: &str| {
        let text = format!(
            "lifecycle = \"session\"\n{top}\nmounts = [\"volume:data:/data\"]\n[interface]\nkind = \"none\"\n{readiness}"
        );
        std::fs::write(fixture.file(name), text).expect("a definition");
    };
    of_session("migrate", "image = \"job:1\"\ncommand = [\"up\"]\njob = \"once\"\nafter = [\"db\"]", "");
    of_session(
        "web",
        &format!("image = \"{IMAGE}\"\nafter = [\"migrate\"]"),
        "[readiness]\nprobe = \"skip\"",
    );
    fixture
}

fn leases() -> Leases {
    Leases::open("a test").expect("a folder")
}

/// A session of this host that nobody holds.
fn session() -> Session {
    let leases = SessionLeases::open("a test").expect("a folder");
    let (id, _) = leases.begin().expect("a session");
    Session { id, host: leases.host().to_owned() }
}

async fn launch(fixture: &Fixture, session: &Session) -> Ended {
    let (mut launch, told) = fixture.launch_of();
    launch.join(session);
    let result = fixture.bring_up(&launch).await;
    let told = std::mem::take(&mut *told.lock().expect("events"));
    Ended { result, told }
}

/// Everything that has the session's id in its name.
fn left(fixture: &Fixture, session: &Session) -> Vec<String> {
    fixture.engine.change(|world| {
        let mut all = world.container_names();
        all.extend(world.volumes());
        all.extend(world.networks(&session.network()).into_iter().map(|network| network.name));
        all.retain(|name| name.contains(&session.id));
        all
    })
}

async fn ends(fixture: &Fixture, session: &Session, what: &str) {
    fixture.engine.calm();
    let ended = end(&fixture.docker(), session, &leases(), &|_| ()).await;
    ended.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(left(fixture, session), Vec::<String>::new(), "{what}");
    if let Some(db) = fixture.container("db").filter(farrier::plan::instance::Instance::is_up) {
        assert!(!db.is_on(&session.network()) && !db.networks.is_empty(), "{what}: the shared sidecar stays");
    }
}

#[tokio::test]
async fn a_session_has_names_of_its_own_and_ends_in_the_reverse_order() {
    let fixture = fixture();
    let (one, other) = (session(), session());
    for session in [&one, &other] {
        let running = launch(&fixture, session).await.ready().result.expect("it runs");
        drop(running);
        assert_eq!(left(&fixture, session).len(), 5, "two containers, two volumes and a network");
    }
    let id = |name: &str| {
        let container = fixture.engine.change(|world| world.container(&one.container(name)));
        container.expect("a container").id
    };
    let ids = [id("web"), id("migrate")];
    ends(&fixture, &one, "the first one").await;
    let calls = fixture.engine.calls();
    let is_end = |logged: &&Logged| matches!(logged.call, Call::Remove | Call::RemoveNetwork);
    let ended: Vec<&str> = calls.iter().filter(is_end).map(|logged| logged.subject.as_str()).collect();
    assert_eq!(ended[..2], ids, "what comes after others ends first: {calls:?}");
    assert_eq!(ended.len(), 3, "then the network: {ended:?}");
    assert_eq!(left(&fixture, &other).len(), 5, "the other one goes on");
    ends(&fixture, &other, "the second one").await;
    assert_eq!(fixture.names(), ["farrier-db"]);
}

/// Somebody else's `down` removes a network that nothing is on.
#[tokio::test]
async fn nobody_removes_the_network_of_shared_sidecars_before_the_first_is_on_it() {
    let fixture = fixture();
    let locks = LockFolder::open(fixture.engine.id()).expect("locks");
    let (asked, claimed) = std::sync::mpsc::channel();
    fixture.engine.before(At::Nth(Call::Create, 1), move |world| {
        let claimed = locks.claim_network("farrier").now_or_never();
        asked.send((world.networks("farrier").len(), claimed)).expect("the test goes on");
    });
    let session = session();
    launch(&fixture, &session).await.ready();
    let (networks, claimed) = claimed.recv().expect("it was asked");
    assert!(networks == 1 && !matches!(claimed, Some(Ok(Some(_)))), "{networks}, {claimed:?}");
    ends(&fixture, &session, "the session").await;
}

/// Every call fails, hangs or comes late, and a launch is killed at every call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_launch_its_session_leaves_nothing() {
    let length = {
        let fixture = fixture();
        launch(&fixture, &session()).await.ready();
        fixture.engine.calls().len()
    };
    let faults = [
        Fault::Fail(EngineErrorKind::Refused),
        Fault::FailAfter(EngineErrorKind::Unreachable),
        Fault::Late(Duration::from_millis(150)),
        Fault::Hang,
        Fault::HangAfter,
    ];
    let cases = (0..length).flat_map(|index| faults.map(|fault| (index, fault))).collect();
    each(thinned("calls of launches with a session", 7, cases), async |(index, fault)| {
        let mut fixture = fixture();
        let session = session();
        let is_killed = matches!(fault, Fault::Hang | Fault::HangAfter) && index % 2 == 0;
        if !is_killed {
            fixture.patience =
                Timeouts { answer: Duration::from_millis(400), silence: Duration::from_millis(400) };
        }
        fixture.engine.fault(At::Index(index), fault);
        let what = format!("{fault:?} at {index}, killed: {is_killed}");
        if is_killed {
            let (mut launch, _) = fixture.launch_of();
            launch.join(&session);
            tokio::select! {
                _ = fixture.bring_up(&launch) => {}
                () = fixture.engine.stalled() => {}
            }
        } else {
            let ended = launch(&fixture, &session).await;
            if ended.result.is_err() {
                assert!(!ended.codes().is_empty(), "{what}");
            }
        }
        fixture.patience = Timeouts::default();
        ends(&fixture, &session, &what).await;
        let again = self::session();
        launch(&fixture, &again).await.ready();
        ends(&fixture, &again, &what).await;
    })
    .await;
}

/// The end itself fails at every call: the next sweep goes on with it.
#[tokio::test]
async fn an_end_that_fails_is_taken_up_by_the_next_sweep() {
    let (length, before) = {
        let fixture = fixture();
        let session = session();
        launch(&fixture, &session).await.ready();
        let before = fixture.engine.calls().len();
        ends(&fixture, &session, "the measured one").await;
        (fixture.engine.calls().len(), before)
    };
    for index in before..length {
        for fault in [Fault::Fail(EngineErrorKind::Unreachable), Fault::FailAfter(EngineErrorKind::Refused)] {
            let fixture = fixture();
            let session = session();
            launch(&fixture, &session).await.ready();
            fixture.engine.fault(At::Index(index), fault);
            let _ = end(&fixture.docker(), &session, &leases(), &|_| ()).await;
            fixture.engine.calm();
            let session_leases = SessionLeases::open("a test").expect("a folder");
            let swept = sweep(&fixture.docker(), true, &session_leases, &leases()).await;
            swept.unwrap_or_else(|error| panic!("{fault:?} at {index}: {error}"));
            assert_eq!(left(&fixture, &session), Vec::<String>::new(), "{fault:?} at {index}");
        }
    }
}

/// A sweep judges by leases of its own host, and touches only what is farrier's.
#[tokio::test]
async fn a_sweep_leaves_what_goes_on_and_what_is_others() {
    let fixture = fixture();
    let session_leases = SessionLeases::open("a test").expect("a folder");
    let (id, held) = session_leases.begin().expect("a session");
    let alive = Session { id, host: session_leases.host().to_owned() };
    let elsewhere = Session { host: "1.2.3".to_owned(), ..session() };
    for session in [&alive, &elsewhere] {
        launch(&fixture, session).await.ready();
    }
    // Somebody's container and network with the labels of a session that nobody holds.
    let forged = session();
    let mut image = DoubleImage::default();
    image.labels = forged.labels();
    fixture.engine.change(|world| {
        world.add_image("forged:1", image);
        let spec = ContainerSpec {
            name: format!("farrier-web-{}", forged.id),
            image: "forged:1".to_owned(),
            labels: forged.labels(),
            network: "farrier".to_owned(),
            ..ContainerSpec::default()
        };
        world.create(&spec).expect("a container");
        world.create_network("theirs", &forged.labels());
        world.create_network("farrier-session-theirs", &BTreeMap::new());
    });
    let swept = sweep(&fixture.docker(), true, &session_leases, &leases()).await.expect("it answers");
    assert_eq!(swept, 0);
    assert_eq!(left(&fixture, &alive).len(), 5);
    assert_eq!(left(&fixture, &elsewhere).len(), 5);
    assert_eq!(left(&fixture, &forged).len(), 1, "what is not farrier's stays");
    drop(held);
    let swept = sweep(&fixture.docker(), true, &session_leases, &leases()).await.expect("it answers");
    assert_eq!(swept, 1);
    assert_eq!(left(&fixture, &alive), Vec::<String>::new());
    assert_eq!(left(&fixture, &elsewhere).len(), 5);
}

/// Somebody has a network of the session's name: it is not used.
#[tokio::test]
async fn a_network_of_the_sessions_name_that_is_not_its_own_is_refused() {
    let fixture = fixture();
    let session = session();
    fixture.engine.change(|world| world.create_network(&session.network(), &BTreeMap::new()));
    let ended = launch(&fixture, &session).await;
    assert_eq!(ended.codes(), ["name-taken"]);
    end(&fixture.docker(), &session, &leases(), &|_| ()).await.expect("it answers");
    assert_eq!(fixture.engine.change(|world| world.networks(&session.network()).len()), 1);
}
