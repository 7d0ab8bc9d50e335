//! A service and its tasks as an instance and its run. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::api::{Node, Overlay, Service, Task, TaskState};
use crate::plan::instance::{Endpoint, Instance, Status};

/// How long a task may take to end after its stop signal, where nothing else was declared: the Swarm's default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// What engines write for a moment that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Stands between a service's id and what tells its makings apart; neither contains it, nor does a name.
const SEPARATOR: char = '.';

/// The id of a making of a service, which no other instance ever gets: an update keeps the service's own.
#[must_use]
pub fn instance_id(service: &Service) -> String {
    format!("{}{SEPARATOR}{}", service.id, service.making())
}

/// The id of the service that an instance's id is of, or the name that it is.
#[must_use]
pub fn service_of(instance: &str) -> &str {
    instance.split(SEPARATOR).next().unwrap_or(instance)
}

/// Whether an instance's name or id means this making of the service.
#[must_use]
pub fn is_meant(service: &Service, instance: &str) -> bool {
    service.name == instance || instance_id(service) == instance
}

/// The tasks of a service's making, the newest last.
fn runs<'a>(service: &Service, tasks: &'a [Task]) -> Vec<&'a Task> {
    let is_its = |task: &&Task| task.service == service.id && task.making == service.making();
    let mut runs: Vec<&Task> = tasks.iter().filter(is_its).collect();
    runs.sort_by_key(|task| task.created_at);
    runs
}

/// The newest task of a service's making, with which an instance's run goes on or ended.
#[must_use]
pub fn current<'a>(service: &Service, tasks: &'a [Task]) -> Option<&'a Task> {
    runs(service, tasks).pop()
}

/// The instance that a service is.
#[must_use]
pub fn instance(service: &Service, tasks: &[Task], overlays: &[Overlay], nodes: &[Node]) -> Instance {
    let mut runs = runs(service, tasks);
    let current = runs.pop();
    let ended_by_itself =
        |task: &&&Task| matches!(task.state, TaskState::Failed | TaskState::Complete | TaskState::Rejected);
    let restarts = runs.iter().filter(ended_by_itself).count();
    let container = &service.spec["TaskTemplate"]["ContainerSpec"];
    let limits = &service.spec["TaskTemplate"]["Resources"]["Limits"];
    let earlier = tasks.iter().filter(|task| {
        task.service == service.id && task.state.has_ended() && current.is_none_or(|now| now.id != task.id)
    });
    let before = earlier.map(|task| task.since).max();
    let has_ended = current.is_some_and(|task| task.state.has_ended());
    let finished = if has_ended { current.map(|task| task.since) } else { before };
    Instance {
        id: instance_id(service),
        name: service.name.clone(),
        labels: service.labels.clone(),
        image_id: service.image().to_owned(),
        status: current.map_or_else(|| without_task(service), |task| status(task, restarts, nodes)),
        exit_code: current.map(|task| task.exit_code).unwrap_or_default(),
        is_lost: current.is_some_and(|task| !task.is_wanted() && is_lost(task, nodes)),
        error: current.map(|task| trouble(task, nodes)).unwrap_or_default(),
        started_at: current.map(|task| task.created_at.to_string()).unwrap_or_default(),
        finished_at: finished.map_or_else(|| NEVER.to_owned(), |moment| moment.to_string()),
        restarts: i64::try_from(restarts).unwrap_or(i64::MAX),
        grace: container["StopGracePeriod"].as_u64().map_or(DEFAULT_GRACE, Duration::from_nanos),
        memory: limits["MemoryBytes"].as_u64().unwrap_or_default(),
        networks: networks(service, current, overlays),
        ..Instance::default()
    }
}

/// The tasks whose output since a moment is an instance's, the newest last: not those that had ended by then, nor those that
/// another one has followed while their nodes are lost.
#[must_use]
pub fn writing<'a>(instance: &str, tasks: &'a [Task], since: &str) -> Vec<&'a Task> {
    let since: jiff::Timestamp = since.parse().unwrap_or_default();
    let making = instance.split_once(SEPARATOR).map(|(_, making)| making);
    let is_its = |task: &&Task| {
        task.service == service_of(instance) && making.is_none_or(|making| task.making == making)
    };
    let has_begun = |task: &&Task| !task.node.is_empty() && task.state >= TaskState::Starting;
    let mut found: Vec<&Task> = tasks.iter().filter(is_its).filter(has_begun).collect();
    found.sort_by_key(|task| task.created_at);
    let newest = found.pop();
    found.retain(|task| task.state.has_ended() && task.since > since);
    found.extend(newest);
    found
}

/// Whether a run still goes on at its address on the network.
#[must_use]
pub fn goes_on(run: &Instance, tasks: &[Task], network: &str) -> bool {
    let is_its = |task: &&Task| run.id == format!("{}{SEPARATOR}{}", task.service, task.making);
    let newest = tasks.iter().filter(is_its).max_by_key(|task| task.created_at);
    newest.is_some_and(|task| {
        let address = task.addresses.get(network).and_then(|(_, address)| *address);
        task.state == TaskState::Running
            && task.is_wanted()
            && task.created_at.to_string() == run.started_at
            && address.is_some()
            && address == run.address(network)
    })
}

/// The status of a service that has no task: the Swarm makes one soon, unless somebody has said that none is to run.
fn without_task(service: &Service) -> Status {
    if service.spec["Mode"]["Replicated"]["Replicas"] == 0 { Status::Exited } else { Status::Starting }
}

/// A task whose image's own health test has not passed yet is not running: the Swarm gives it no name before.
fn status(task: &Task, restarts: usize, nodes: &[Node]) -> Status {
    match task.state {
        // The Swarm has not decided yet whether another one follows it.
        state if state.has_ended() && task.is_wanted() => Status::Restarting,
        TaskState::Rejected | TaskState::Orphaned => Status::Dead,
        state if state.has_ended() => Status::Exited,
        _ if !task.is_wanted() && is_lost(task, nodes) => Status::Dead,
        _ if !task.is_wanted() => Status::Removing,
        TaskState::Running => Status::Running,
        _ if restarts > 0 => Status::Restarting,
        _ => Status::Starting,
    }
}

/// Whether a task has not told its end, and its node does not answer any more.
fn is_lost(task: &Task, nodes: &[Node]) -> bool {
    !task.state.has_ended() && nodes.iter().any(|node| node.id == task.node && !node.is_ready)
}

/// Why a task is not as it should be, in one sentence; empty if it is.
#[must_use]
pub fn trouble(task: &Task, nodes: &[Node]) -> String {
    if is_lost(task, nodes) {
        return format!("its node {} does not answer any more", node_name(&task.node, nodes));
    }
    task.error.clone()
}

/// How people call a node.
#[must_use]
pub fn node_name(id: &str, nodes: &[Node]) -> String {
    let found = nodes.iter().find(|node| node.id == id);
    let is_alone = |name: &String| nodes.iter().filter(|node| node.hostname == *name).count() == 1;
    match found.map(|node| &node.hostname).filter(|name| !name.is_empty()) {
        Some(name) if is_alone(name) => format!("`{name}`"),
        Some(name) => format!("`{name}` ({id})"),
        None => format!("`{id}`"),
    }
}

/// Its networks by name: those that it was made for, with the addresses that its task has there.
fn networks(service: &Service, task: Option<&Task>, overlays: &[Overlay]) -> BTreeMap<String, Endpoint> {
    let mut found = BTreeMap::new();
    for (id, aliases) in service.networks() {
        let Some(overlay) = overlays.iter().find(|overlay| overlay.id == id) else { continue };
        let addresses = task.and_then(|task| task.addresses.get(&overlay.name));
        let endpoint = Endpoint {
            id: task.map(|task| task.id.clone()).unwrap_or_default(),
            network_id: overlay.id.clone(),
            address: addresses.and_then(|(_, address)| *address),
            aliases: aliases.into_iter().map(str::to_owned).collect(),
            ..Endpoint::default()
        };
        found.insert(overlay.name.clone(), endpoint);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::swarm::api::LABEL_MAKING;

    fn service() -> Service {
        Service {
            id: "s".to_owned(),
            name: "farrier-db".to_owned(),
            labels: BTreeMap::from([(LABEL_MAKING.to_owned(), "m".to_owned())]),
            spec: json!({}),
            version: 1,
        }
    }

    fn task(second: i64, state: TaskState, wanted: TaskState) -> Task {
        let moment = jiff::Timestamp::from_second(second).expect("a moment");
        Task {
            id: format!("t{second}"),
            service: "s".to_owned(),
            making: "m".to_owned(),
            node: "n".to_owned(),
            created_at: moment,
            since: moment,
            state,
            wanted,
            ..Task::default()
        }
    }

    #[test]
    fn the_newest_task_of_the_making_is_the_run() {
        use TaskState::{Failed, Preparing, Running, Shutdown};
        let lost = [Node { id: "n".to_owned(), hostname: "one".to_owned(), is_ready: false }];
        let ready = [Node { is_ready: true, ..lost[0].clone() }];
        let of_before = Task { making: "l".to_owned(), ..task(9, Failed, Shutdown) };
        for (tasks, nodes, status, restarts) in [
            (vec![], &ready, Status::Starting, 0),
            (vec![task(1, TaskState::Pending, Running)], &ready, Status::Starting, 0),
            (vec![task(1, Preparing, Running)], &ready, Status::Starting, 0),
            (vec![task(1, TaskState::Starting, Running)], &ready, Status::Starting, 0),
            (vec![task(1, Running, Running)], &ready, Status::Running, 0),
            (vec![task(1, Failed, Running)], &ready, Status::Restarting, 0),
            (vec![task(1, Failed, Shutdown)], &ready, Status::Exited, 0),
            (vec![task(1, TaskState::Rejected, Shutdown)], &ready, Status::Dead, 0),
            (vec![task(2, Preparing, Running), task(1, Failed, Shutdown)], &ready, Status::Restarting, 1),
            (vec![task(1, Failed, Shutdown), task(2, Running, Running)], &ready, Status::Running, 1),
            // It was moved, and ended by nothing of its own.
            (
                vec![task(1, Running, Shutdown), task(2, Preparing, TaskState::Ready)],
                &lost,
                Status::Starting,
                0,
            ),
            (vec![task(1, Running, Shutdown)], &lost, Status::Dead, 0),
            (vec![task(1, Running, Shutdown)], &ready, Status::Removing, 0),
            (vec![task(1, Running, Running), of_before], &ready, Status::Running, 0),
        ] {
            let found = instance(&service(), &tasks, &[], nodes);
            assert_eq!((found.status, found.restarts), (status, restarts), "{tasks:?}");
        }
        let found = instance(&service(), &[task(1, Running, Shutdown)], &[], &lost);
        assert!(found.is_lost);
        assert_eq!(found.error, "its node `one` does not answer any more");
    }

    #[test]
    fn a_service_that_is_to_have_no_task_does_not_run() {
        let scaled = Service { spec: json!({ "Mode": { "Replicated": { "Replicas": 0 } } }), ..service() };
        assert_eq!(instance(&scaled, &[], &[], &[]).status, Status::Exited);
        let running = Service { spec: json!({ "Mode": { "Replicated": { "Replicas": 1 } } }), ..service() };
        assert_eq!(instance(&running, &[], &[], &[]).status, Status::Starting);
    }

    #[test]
    fn only_a_task_whose_health_test_has_passed_goes_on() {
        use TaskState::{Running, Shutdown, Starting};
        let address = Some(std::net::IpAddr::from([10, 0, 1, 2]));
        let on = |task: Task| Task {
            addresses: BTreeMap::from([("net".to_owned(), ("o".to_owned(), address))]),
            ..task
        };
        let overlays = [Overlay { id: "o".to_owned(), name: "net".to_owned(), ..Overlay::default() }];
        let mut service = service();
        service.spec = json!({ "TaskTemplate": { "Networks": [{ "Target": "o" }] } });
        let run = instance(&service, &[on(task(1, Running, Running))], &overlays, &[]);
        assert_eq!(run.address("net"), address);
        for (state, wanted, expected) in
            [(Running, Running, true), (Starting, Running, false), (Running, Shutdown, false)]
        {
            assert_eq!(goes_on(&run, &[on(task(1, state, wanted))], "net"), expected, "{state:?} {wanted:?}");
        }
    }

    #[test]
    fn what_had_ended_before_a_moment_wrote_nothing_since() {
        use TaskState::{Failed, Preparing, Running, Shutdown};
        let of_before = Task { making: "l".to_owned(), ..task(9, Running, Running) };
        let ids = |tasks: &[Task], instance: &str, since: &str| -> Vec<String> {
            writing(instance, tasks, since).into_iter().map(|task| task.id.clone()).collect()
        };
        let tasks = [task(1, Failed, Shutdown), of_before, task(2, Running, Running)];
        assert_eq!(ids(&tasks, "s.m", ""), ["t1", "t2"]);
        assert_eq!(ids(&tasks, "s.m", "1970-01-01T00:00:01Z"), ["t2"], "the first had ended by then");
        assert_eq!(ids(&tasks, "s.n", ""), [""; 0]);
        let tasks = [task(1, Failed, Shutdown), task(2, Preparing, Running)];
        assert_eq!(ids(&tasks, "s.m", ""), ["t1"]);
        let tasks = [task(1, Running, Shutdown), task(2, Running, Running)];
        assert_eq!(ids(&tasks, "s.m", ""), ["t2"], "the node of the first is lost");
    }

    #[test]
    fn an_update_makes_another_instance() {
        let (one, mut other) = (service(), service());
        other.labels.insert(LABEL_MAKING.to_owned(), "n".to_owned());
        let (id, other_id) = (instance_id(&one), instance_id(&other));
        assert_ne!(id, other_id);
        assert_eq!((service_of(&id), service_of("farrier-db")), ("s", "farrier-db"));
        assert!(is_meant(&one, &id) && is_meant(&one, "farrier-db") && !is_meant(&other, &id));
    }
}
