//! Whole plans, as people read them, for everything that an engine can have observed. No engine takes part.

use super::*;
use crate::definition::fuzzing::definition;
use crate::plan::instance::{Instance, Mounted};
use crate::plan::sidecar::{FirstValues, Scopes};
use crate::plan::{HarnessNetwork, NetworkAction, NetworkPlan, Step};
use crate::system::lock::Holder;

const TEXT: &str = "image = 'x:1'\nenv = { A = '1' }\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";

fn sidecar(name: &str, text: &str) -> Arc<Sidecar> {
    let definition = definition(name, text).expect("a definition");
    Arc::new(Sidecar::new(definition, &Scopes::default()))
}

fn volume(name: &str) -> Mounted {
    let (kind, target) = ("volume".to_owned(), format!("/{name}"));
    Mounted { kind, source: name.repeat(64), target, writable: true }
}

/// An instance that runs as this sidecar is declared, made from the image `old`.
fn running(sidecar: &Sidecar) -> Found {
    let instance = Instance {
        id: "1".repeat(64),
        name: sidecar.container.clone(),
        labels: sidecar.labels(&FirstValues::new(), "salt"),
        image_id: "sha256:old".to_owned(),
        status: Status::Running,
        ..Instance::default()
    };
    Found {
        instance,
        image: Some("sha256:old".to_owned()),
        replace: vec![
            Step::Pull,
            Step::Carry {
                volumes: vec![volume("a")],
                changed_since: FirstValues::new(),
                sidecar: "db".to_owned(),
            },
            Step::LeaveVolume { volume: volume("b"), removal: Some("engine volume rm b".to_owned()) },
        ],
        ..Found::default()
    }
}

fn own_network(action: NetworkAction) -> NetworkPlan {
    NetworkPlan { name: HarnessNetwork::default().name + "farrier", is_own: true, session: None, action }
}

fn in_use() -> NetworkAction {
    NetworkAction::Use { id: "net".to_owned(), surplus: Vec::new() }
}

/// The plan, or the problems, as text.
fn told(
    sidecars: &[Arc<Sidecar>],
    network: NetworkAction,
    observed: Vec<Observed>,
    recreate: bool,
) -> String {
    let snapshot = Snapshot { network: Ok(own_network(network)), sidecars: observed, warnings: Vec::new() };
    match reconcile(sidecars, snapshot, recreate) {
        Ok(plan) => {
            format!("{plan}changes {}\n", if plan.changes_nothing() { "nothing" } else { "something" })
        }
        Err(problems) => {
            problems.iter().map(|problem| format!("{}: {}\n", problem.code, problem.message)).collect()
        }
    }
}

fn of(found: Found) -> Observed {
    Observed { found: Some(found), ..Observed::default() }
}

#[test]
fn one_sidecar_in_every_state() {
    let db = sidecar("db", TEXT);
    let older = sidecar("db", &TEXT.replace("A = '1'", "A = '0', B = 'x'"));
    let connect = |again| Step::Connect { network: "farrier".to_owned(), again };
    let with = |change: &dyn Fn(&mut Found)| {
        let mut found = running(&db);
        change(&mut found);
        of(found)
    };
    let status = |status| move |found: &mut Found| found.instance.status = status;
    let cases: Vec<(&str, Observed, bool)> = vec![
        ("absent, image present", Observed::default(), false),
        ("absent, image absent", Observed { create: vec![Step::Pull], ..Observed::default() }, false),
        ("running as declared", with(&|_| ()), false),
        ("running, off the network", with(&|found| found.keep = vec![connect(false)]), false),
        ("running, without its aliases", with(&|found| found.keep = vec![connect(true)]), false),
        (
            "running, with a leftover",
            with(&|found| found.keep = vec![Step::RemoveLeftover { instance: "2".to_owned() }]),
            false,
        ),
        ("paused", with(&status(Status::Paused)), false),
        ("created", with(&status(Status::Created)), false),
        (
            "exited",
            with(&|found| {
                (found.instance.status, found.instance.exit_code) = (Status::Exited, 3);
            }),
            false,
        ),
        ("under its temporary name", with(&|found| found.is_misnamed = true), false),
        ("another definition", of(running(&older)), false),
        ("another image", with(&|found| found.image = Some("sha256:new".to_owned())), false),
        ("its image is gone", with(&|found| found.image = None), false),
        ("drifted", with(&|found| found.drift = vec!["env".to_owned(), "memory".to_owned()]), false),
        ("asked for", with(&|_| ()), true),
        (
            "in use, and to be recreated",
            with(&|found| {
                found.drift = vec!["env".to_owned()];
                found.holders = vec![Holder { process: 7, command: "docker run x".to_owned() }];
            }),
            false,
        ),
        (
            "in use, and as declared",
            with(&|found| found.holders = vec![Holder { process: 7, command: "docker run x".to_owned() }]),
            false,
        ),
    ];
    let mut text = String::new();
    for (name, observed, recreate) in cases {
        let told = told(&[Arc::clone(&db)], in_use(), vec![observed], recreate);
        text.push_str(&format!("-- {name}\n{told}\n"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_network_in_every_state() {
    let mut text = String::new();
    let surplus = NetworkAction::Use { id: "net".to_owned(), surplus: vec!["other".to_owned()] };
    for (name, action) in [("absent", NetworkAction::Create), ("present", in_use()), ("twice", surplus)] {
        let db = sidecar("db", TEXT);
        let found = of(running(&db));
        text.push_str(&format!("-- {name}\n{}\n", told(&[db], action, vec![found], false)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn all_problems_of_all_sidecars_are_told() {
    let problem = |name: &str| Problem::error(Code::NameTaken, format!("the name of {name} is taken"));
    let (cache, db) = (sidecar("cache", TEXT), sidecar("db", TEXT));
    let mut used = running(&db);
    used.drift = vec!["env".to_owned()];
    used.holders = vec![Holder { process: 7, command: "docker run x".to_owned() }];
    let refused = Observed { refusals: vec![problem("cache"), problem("it")], ..Observed::default() };
    let (sidecars, observed) = ([cache, db], vec![refused, of(used)]);
    let network = Err(Problem::error(Code::NetworkUnusable, "there is no network"));
    let snapshot = Snapshot { network, sidecars: observed, warnings: Vec::new() };
    let problems = reconcile(&sidecars, snapshot, false).expect_err("nothing may be done");
    let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::NetworkUnusable, Code::NameTaken, Code::NameTaken, Code::SidecarInUse]);
}

#[test]
fn what_another_machine_wants_otherwise_is_left_alone() {
    let db = sidecar("db", TEXT);
    let rival = |removes| Rival { holder: Holder { process: 7, command: "x, on there".to_owned() }, removes };
    let observed = |found: Option<Found>, removes| Observed {
        found,
        rivals: vec![rival(removes)],
        ..Observed::default()
    };
    let stopped = || {
        let mut found = running(&db);
        found.instance.status = Status::Exited;
        found
    };
    for found in [None, Some(running(&db)), Some(stopped())] {
        for (removes, expected) in [
            (false, "process 7 uses another definition of the sidecar `db`: x, on there"),
            (true, "process 7 removes the sidecar `db`: x, on there"),
        ] {
            let told = |recreate| {
                told(&[Arc::clone(&db)], in_use(), vec![observed(found.clone(), removes)], recreate)
            };
            assert_eq!(told(false).trim(), format!("sidecar-in-use: {expected}"));
            assert!(!told(true).contains("sidecar-in-use"), "somebody asked for it");
        }
    }
}

#[test]
fn a_job_that_another_launch_waits_for_does_not_run_again() {
    let text = "image = 'x:1'\ninterface.kind = 'none'\njob = 'every-launch'\nlifecycle = 'shared'";
    let job = sidecar("db", text);
    let mut found = running(&job);
    found.instance.status = Status::Exited;
    for is_awaited in [false, true] {
        let found = Found { is_awaited, ..found.clone() };
        let told = told(&[Arc::clone(&job)], in_use(), vec![of(found)], false);
        assert_eq!(told.contains("changes nothing"), is_awaited, "{told}");
    }
}
