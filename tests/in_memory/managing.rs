//! What is managed and what removing does, with the engine in memory: selections that would reach beyond one
//! test on a real engine, farrier's own network, and every fault.

use std::sync::Arc;
use std::time::Duration;

use farrier::engine::docker::double::{At, Call, End, Fault, Nonsense};
use farrier::engine::{Engine, EngineErrorKind};
use farrier::event::Reporter;
use farrier::manage::managed::{Inventory, ManagedVolume, SyncStatus, inventory};
use farrier::manage::removal::{Removed, Remover, Scope};
use farrier::plan::sidecar::Sidecar;
use farrier::report::error::{Code, Failure};
use farrier::system::leases::Leases;
use farrier::system::lock::LockFolder;

use super::setup::Fixture;

fn leases() -> Leases {
    Leases::open("a test").expect("leases")
}

impl Fixture {
    async fn inventory(&self) -> Inventory {
        self.try_inventory().await.expect("an answer")
    }

    async fn try_inventory(&self) -> farrier::engine::EngineResult<Inventory> {
        let declared = self.sidecars().into_iter().map(|prepared| prepared.sidecar).collect();
        self.try_inventory_of(declared).await
    }

    async fn inventory_of(&self, declared: Vec<Sidecar>) -> Inventory {
        self.try_inventory_of(declared).await.expect("an answer")
    }

    async fn try_inventory_of(&self, declared: Vec<Sidecar>) -> farrier::engine::EngineResult<Inventory> {
        let engine = self.docker();
        let info = engine.info().await?;
        let declared: Vec<Arc<Sidecar>> = declared.into_iter().map(Arc::new).collect();
        inventory(&engine, &info, &declared, &leases()).await
    }

    fn locks(&self) -> LockFolder {
        LockFolder::open(self.engine.id()).expect("locks")
    }

    fn remover(&self) -> Remover {
        Remover {
            engine: Arc::new(self.docker()),
            locks: self.locks(),
            leases: leases(),
            reporter: Arc::new(Reporter::new(Vec::new())),
            force: false,
            volumes: false,
            named_volumes: Vec::new(),
        }
    }

    pub async fn down(&self, scope: Scope) -> Result<Removed, Failure> {
        let chosen = scope.select(&self.inventory().await, None)?;
        self.remover().remove(&chosen).await
    }

    fn forget(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("it goes");
    }
}

/// What is listed: `name: sync_status`.
fn standings(inventory: &Inventory) -> Vec<String> {
    let sync_status = |sync_status: &SyncStatus| match sync_status {
        SyncStatus::Stale(causes) => {
            format!("stale, {}", causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
        other => other.kind().to_owned(),
    };
    inventory
        .sidecars
        .iter()
        .map(|found| format!("{}: {}", found.name, sync_status(&found.sync_status)))
        .collect()
}

/// Three sidecars on farrier's own network: `kept` is declared, `stale` otherwise, the file of `orphan` is gone.
async fn three() -> Fixture {
    let fixture = Fixture::with_own_network();
    fixture.plain("kept").plain("orphan").plain("stale");
    fixture.up().await;
    fixture.forget("orphan");
    fixture.define("stale", &super::setup::plain("env = { LEVEL = \"2\" }"));
    fixture
}

#[tokio::test]
async fn each_stands_to_its_definition_as_it_is() {
    let fixture = three().await;
    let expected = ["kept: fresh", "orphan: orphan", "stale: stale, env.LEVEL changed"];
    assert_eq!(standings(&fixture.inventory().await), expected);
    fixture.engine.change(|world| world.end("farrier-kept", &End::Exit(1)));
    assert_eq!(
        standings(&fixture.inventory().await),
        expected,
        "that it is stopped is no matter of configuration"
    );
    fixture.define("new", &super::setup::plain(""));
    assert_eq!(fixture.inventory().await.absent, ["new"]);
}

#[tokio::test]
async fn a_missing_file_in_another_folder_of_that_path_proves_nothing() {
    let fixture = three().await;
    let folder = fixture.file("orphan").parent().expect("a folder").to_owned();
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).expect("it goes");
    assert_eq!(standings(&fixture.inventory_of(Vec::new()).await)[1], "orphan: undeclared", "no folder");
    std::fs::create_dir(&folder).expect("another folder");
    assert_eq!(standings(&fixture.inventory_of(Vec::new()).await)[1], "orphan: undeclared", "another folder");
    std::fs::remove_dir(&folder).expect("it goes");
    std::fs::rename(&away, &folder).expect("it is back");
    assert_eq!(standings(&fixture.inventory().await)[1], "orphan: orphan");
}

#[tokio::test]
async fn on_an_engine_elsewhere_a_missing_file_makes_no_orphan() {
    let fixture = three().await;
    fixture.engine.change(|world| world.local = false);
    assert_eq!(standings(&fixture.inventory().await)[1], "orphan: undeclared");
}

#[tokio::test]
async fn each_scope_reaches_what_it_says() {
    for (scope, left) in [
        (Scope::Orphans, &["farrier-kept", "farrier-stale"][..]),
        (Scope::Declared, &["farrier-orphan"]),
        (Scope::All, &[]),
        (Scope::Named(vec!["kept".to_owned(), "farrier-stale".to_owned()]), &["farrier-orphan"]),
    ] {
        let fixture = three().await;
        let removed = fixture.down(scope.clone()).await.expect("it is done");
        assert_eq!(
            (fixture.names().as_slice(), removed.problems.len()),
            (&to_owned(left)[..], 0),
            "{scope:?}"
        );
        let networks = fixture.engine.change(|world| world.networks("farrier")).len();
        assert_eq!(
            networks,
            usize::from(!left.is_empty()),
            "farrier's network goes with the last: {scope:?}"
        );
        assert_eq!(removed.networks.len(), 1 - networks);
    }
}

fn to_owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn only_what_is_old_enough_is_meant() {
    let fixture = three().await;
    let inventory = fixture.inventory().await;
    let count = |age| Scope::All.select(&inventory, Some(age)).expect("a selection").len();
    assert_eq!((count(Duration::ZERO), count(Duration::from_hours(1))), (3, 0));
    // A clock that was set back makes nothing old.
    fixture.engine.change(|world| world.step_clock(-7_200_000_000_000));
    let inventory = fixture.inventory().await;
    let count = |age| Scope::All.select(&inventory, Some(age)).expect("a selection").len();
    assert_eq!(count(Duration::from_hours(1)), 0);
}

#[tokio::test]
async fn a_network_that_is_needed_stays() {
    // Another tool's network, one that a stopped sidecar is on, and one that a launch relies on.
    let fixture = Fixture::new();
    fixture.plain("db");
    fixture.up().await;
    assert_eq!(fixture.down(Scope::All).await.expect("it is done").networks, Vec::<String>::new());
    assert_eq!(fixture.engine.change(|world| world.networks(super::setup::NETWORK)).len(), 1);

    let fixture = three().await;
    fixture.engine.change(|world| world.end("farrier-orphan", &End::Exit(0)));
    assert_eq!(fixture.down(Scope::Declared).await.expect("it is done").networks, Vec::<String>::new());
    let relied_on = fixture.locks().keep_network("farrier", |_| ()).await.expect("a lock");
    assert_eq!(fixture.down(Scope::All).await.expect("it is done").networks, Vec::<String>::new());
    drop(relied_on);
    fixture.up().await;
    assert_eq!(fixture.down(Scope::All).await.expect("it is done").networks, ["farrier"]);
}

#[tokio::test]
async fn one_that_is_made_anew_meanwhile_is_left() {
    let fixture = three().await;
    let chosen =
        Scope::Named(vec!["stale".to_owned()]).select(&fixture.inventory().await, None).expect("one");
    fixture.up().await;
    let volume = ManagedVolume {
        name: "farrier-stale_data".to_owned(),
        sidecar: "stale".to_owned(),
        container: "farrier-stale".to_owned(),
        engine: "docker",
        is_declared: true,
        is_orphan: false,
        lies_on: None,
    };
    let remover = Remover { named_volumes: vec![volume], ..fixture.remover() };
    let done = remover.remove(&chosen).await.expect("it is done");
    assert_eq!((done.containers.len(), done.changed.as_slice()), (0, &["farrier-stale".to_owned()][..]));
    assert!(fixture.container("stale").is_some());
    assert_eq!(done.kept_named_volumes, ["farrier-stale_data"], "its data stay, too");
    assert!(done.named_volumes.is_empty() && done.problems.is_empty(), "{done:?}");
}

#[tokio::test]
async fn names_that_mean_none_or_several_are_refused_before_anything_goes() {
    let fixture = three().await;
    // As another workspace's sidecar of the same name.
    fixture.engine.change(|world| {
        let name = "farrier-orphan-0123abcd";
        let mut container = world.container("farrier-orphan").expect("a container");
        name.clone_into(&mut container.name);
        let spec = farrier::engine::docker::api::ContainerSpec {
            name: name.to_owned(),
            image: super::setup::IMAGE.to_owned(),
            labels: container.labels,
            network: "farrier".to_owned(),
            ..Default::default()
        };
        world.create(&spec).expect("a container");
    });
    for (name, word) in [("kepd", "Did you mean `kept`?"), ("orphan", "`farrier-orphan-0123abcd`")] {
        let failure =
            fixture.down(Scope::Named(vec!["kept".to_owned(), name.to_owned()])).await.expect_err(name);
        let problem = &failure.problems[0];
        assert_eq!((failure.exit, problem.code), (125, Code::SidecarNotFound), "{problem}");
        assert!(problem.hints.iter().any(|hint| hint.contains(word)), "{problem:?}");
        assert_eq!(fixture.names().len(), 4);
    }
}

#[tokio::test]
async fn whichever_call_fails_it_is_told_and_the_rest_is_done() {
    let length = {
        let fixture = three().await;
        fixture.engine.calm();
        fixture.down(Scope::All).await.expect("it is done");
        fixture.engine.calls().len()
    };
    assert!(length > 15, "{length} calls");
    for fault in [EngineErrorKind::Refused, EngineErrorKind::Unreachable]
        .map(Fault::Fail)
        .into_iter()
        .chain([Fault::FailAfter(EngineErrorKind::Refused), Fault::Garbage(Nonsense::Unreadable)])
    {
        for index in 0..length {
            let fixture = three().await;
            fixture.engine.calm();
            fixture.engine.fault(At::Index(index), fault);
            let Ok(inventory) = fixture.try_inventory().await else { continue };
            let chosen = Scope::All.select(&inventory, None).expect("a selection");
            let removed = fixture.remover().remove(&chosen).await.expect("nothing is in use");
            let what = format!("{fault:?} at {index}: {:?}", fixture.engine.calls().get(index));
            assert!(removed.problems.iter().all(|problem| !problem.hints.is_empty()), "{what}");
            fixture.engine.calm();
            fixture.down(Scope::All).await.expect("it is done");
            let expected: &[&str] = &[];
            assert_eq!(fixture.names(), expected, "{what}");
            fixture.up().await;
        }
    }
}

#[tokio::test]
async fn what_an_interrupted_recreation_left_goes_too() {
    let fixture = three().await;
    let (launch, _) = fixture.launch_of();
    fixture.engine.fault(At::Every(Call::Rename), Fault::Hang);
    tokio::select! {
        _ = fixture.bring_up(&launch) => {}
        () = fixture.engine.stalled() => {}
    }
    drop(launch);
    fixture.engine.calm();
    assert!(fixture.names().iter().any(|name| name.ends_with('_')), "{:?}", fixture.names());
    // Its container may be gone already: the next launch takes such a rest up.
    fixture.down(Scope::All).await.expect("it is done");
    fixture.up().await;
    fixture.down(Scope::All).await.expect("it is done");
    assert!(fixture.names().is_empty(), "{:?}", fixture.names());
}
