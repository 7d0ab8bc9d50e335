//! Other tools between any two steps: they remove, restart, rename, replace, pause or cut off a sidecar's
//! container, or take its network away. The launch never hands over what is not its own, never touches what is
//! somebody else's, and the next launch works.

use std::collections::BTreeMap;

use farrier::engine::docker::api::{Container, ContainerSpec, Status};
use farrier::engine::docker::double::{At, Call, End, World};

use super::scenario::{Kind, Scenario, at_each_call, each, lengths, thinned};
use super::setup::{Ended, Fixture, IMAGE};

/// The name that another tool gives to a container of ours.
const RENAMED: &str = "renamed";

/// What another tool does to the container of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Remove,
    Restart,
    Stop,
    OutOfMemory,
    Pause,
    Rename,
    /// By one of its own.
    Replace,
    /// By one that runs, so that it could be taken for ready.
    ReplaceRunning,
    /// The names that a recreation needs in between.
    TakeTemporaryName,
    CutOff,
    /// The network with all that is on it.
    Network,
}

const DEEDS: [Deed; 11] = [
    Deed::Remove,
    Deed::Restart,
    Deed::Stop,
    Deed::OutOfMemory,
    Deed::Pause,
    Deed::Rename,
    Deed::Replace,
    Deed::ReplaceRunning,
    Deed::TakeTemporaryName,
    Deed::CutOff,
    Deed::Network,
];

/// A container of another tool's.
fn foreign(world: &mut World, name: &str, runs: bool) {
    let spec = ContainerSpec { name: name.to_owned(), image: IMAGE.to_owned(), ..ContainerSpec::default() };
    if world.create(&spec).is_ok() && runs {
        // Without a network it starts nowhere, which is its own business.
        world.create_network("", &BTreeMap::new());
        world.start_now(name).expect("started");
    }
}

impl Deed {
    fn is_done(self, world: &mut World, name: &str) {
        match self {
            Self::Remove => world.remove(name, false),
            Self::Restart => world.restart(name),
            Self::Stop => world.end(name, &End::Exit(1)),
            Self::OutOfMemory => world.end(name, &End::OutOfMemory),
            Self::Pause => world.pause(name),
            Self::Rename => drop(world.container(name).map(|found| world.rename(&found.id, RENAMED))),
            Self::Replace | Self::ReplaceRunning => {
                world.remove(name, false);
                foreign(world, name, self == Self::ReplaceRunning);
            }
            Self::TakeTemporaryName => foreign(world, &format!("{name}_"), false),
            Self::CutOff => drop(world.disconnect("farrier", name)),
            Self::Network => {
                for network in world.networks("farrier") {
                    for member in world.members(&network.id).unwrap_or_default() {
                        drop(world.disconnect(&network.id, &member));
                    }
                    drop(world.remove_network(&network.id));
                }
            }
        }
    }
}

/// Those that carry no label of ours, but one of our names.
fn strangers(fixture: &Fixture) -> Vec<Container> {
    fixture.engine.change(|world| {
        let names = world.container_names().into_iter().filter(|name| name.starts_with("farrier-"));
        let found = names.filter_map(|name| world.container(&name));
        found.filter(|container| container.labels.is_empty()).collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_another_tool_does_between_two_steps_nothing_wrong_is_handed_over() {
    let mut deeds = Vec::new();
    for deed in DEEDS {
        deeds.extend((0..4).map(|which| (deed, which)));
    }
    let mut cases = at_each_call(&lengths().await, &deeds);
    cases.retain(|(kind, _, (_, which))| *which < kind.containers().len());
    let cases = thinned("deeds of other tools", 37, cases);
    each(cases, |(kind, index, (deed, which))| interfere(kind, index, deed, kind.containers()[which])).await;
}

async fn interfere(kind: Kind, index: usize, deed: Deed, target: &'static str) {
    let scenario = Scenario::new(kind).await;
    let fixture = &scenario.fixture;
    let data = scenario.data();
    scenario.wait_for("2s");
    let made = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&made);
    fixture.engine.before(At::Index(index), move |world| {
        deed.is_done(world, target);
        let names = [target.to_owned(), format!("{target}_")];
        let strangers = names.iter().filter_map(|name| world.container(name));
        noted.lock().expect("a note").extend(strangers.filter(|found| found.labels.is_empty()));
    });
    let ended = fixture.launch().await;
    let call = fixture.engine.calls().get(index).cloned();
    let what = format!("{kind:?}: {deed:?} of {target} before {index}: {call:?}");
    assert_eq!(strangers(fixture), *made.lock().expect("a note"), "{what}: what is another's is left alone");
    if ended.result.is_err() {
        ended.codes();
    } else {
        handed_over(fixture, &ended, target, index, &what);
    }
    drop(ended);
    clear_up(&scenario, data.as_ref(), &what).await;
}

/// What is handed over runs, is farrier's own, and is what has the name now; except where it changed after the last
/// look at it, which nobody can see.
fn handed_over(fixture: &Fixture, ended: &Ended, target: &str, index: usize, what: &str) {
    let calls = fixture.engine.calls();
    let looked = |name: &str| {
        let later = calls.iter().enumerate().skip(index);
        later.into_iter().any(|(_, logged)| logged.call == Call::Container && logged.subject == name)
    };
    for container in ended.result.as_ref().map(|running| running.instances.as_slice()).unwrap_or_default() {
        assert!(container.labels.contains_key("farrier.sidecar"), "{what}: {}", container.name);
        if container.name == target && !looked(target) {
            continue;
        }
        let now = fixture.engine.change(|world| world.container(&container.name));
        let now = now.unwrap_or_else(|| panic!("{what}: {} is gone", container.name));
        let status = if container.name == "farrier-job" { Status::Exited } else { Status::Running };
        assert_eq!((&now.id, now.status), (&container.id, status), "{what}");
    }
}

/// As somebody who reads what the launch said would: what is in the way goes. Then the next launch works.
async fn clear_up(scenario: &Scenario, data: Option<&String>, what: &str) {
    let fixture = &scenario.fixture;
    fixture.engine.calm();
    if !strangers(fixture).is_empty() {
        let ended = fixture.launch().await;
        if ended.result.is_err() {
            let codes = ended.codes();
            assert!(codes.iter().all(|code| code == "name-taken"), "{what}: {codes:?}");
        }
    }
    fixture.engine.change(|world| {
        for name in world.container_names() {
            let stranger = name.starts_with("farrier-")
                && world.container(&name).is_some_and(|found| found.labels.is_empty());
            if stranger || name == RENAMED {
                world.remove(&name, false);
            }
        }
    });
    scenario.forget_unused_volumes(data, what);
    scenario.recovers(what).await;
}
