//! Removing a service, and what is left of it then.

use std::time::{Duration, Instant};

use super::api::{Node, SwarmApi, Task};
use super::files;
use super::instance::{instance_id, node_name};
use crate::engine::{EngineResult, Progress};
use crate::plan::instance::Instance;
use crate::plan::sidecar::LABEL_SIDECAR;

/// What ending a task may take beside its grace period.
const REMOVING: Duration = Duration::from_secs(30);
/// The pause before it is looked at whether a service's tasks are gone.
const LOOK: Duration = Duration::from_millis(50);

/// Removes the service of an instance with its files; false if it is another instance now.
///
/// # Errors
/// If the Swarm does not answer.
pub(super) async fn remove(
    api: &dyn SwarmApi,
    sidecar: &str,
    instance: &Instance,
    tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
) -> EngineResult<bool> {
    let Some(service) = api.service(&instance.name).await? else {
        // Whoever removed the service left its files.
        files::sweep(api, &instance.name).await?;
        return Ok(true);
    };
    if instance_id(&service) != instance.id {
        return Ok(false);
    }
    if instance.is_up() {
        tell(Progress::Stopping { sidecar, instance: &instance.id, grace: instance.grace });
    }
    api.remove_service(&service.id).await?;
    let gone = until_gone(api, &service.id, instance.grace).await;
    // Also if nobody tells whether the tasks have ended: the service, which mounted the files, is gone.
    let swept = files::sweep(api, &instance.name).await;
    gone.and(swept).map(|()| true)
}

/// Waits until a service's tasks have ended. Those on nodes that are lost end when these come back.
async fn until_gone(api: &dyn SwarmApi, service: &str, grace: Duration) -> EngineResult<()> {
    let given_up = Instant::now() + grace + REMOVING;
    while Instant::now() < given_up {
        let left = left(api, service).await?;
        if left.is_empty() {
            return Ok(());
        }
        let nodes = api.nodes().await?;
        let is_lost = |task: &Task| nodes.iter().any(|node| node.id == task.node && !node.is_ready);
        if left.iter().all(is_lost) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn left(api: &dyn SwarmApi, service: &str) -> EngineResult<Vec<Task>> {
    let mut tasks = api.tasks(LABEL_SIDECAR).await?;
    tasks.retain(|task| task.service == service);
    Ok(tasks)
}

/// Which tasks of a removed service have not ended, in words; `None` if all have.
///
/// # Errors
/// If the Swarm does not answer.
pub(super) async fn still_ending(api: &dyn SwarmApi, service: &str) -> EngineResult<Option<String>> {
    let left = left(api, service).await?;
    if left.is_empty() {
        return Ok(None);
    }
    let nodes = api.nodes().await?;
    Ok(left.first().map(|task| in_words(task, &nodes)))
}

fn in_words(task: &Task, nodes: &[Node]) -> String {
    let node = node_name(&task.node, nodes);
    let is_lost = nodes.iter().any(|node| node.id == task.node && !node.is_ready);
    if is_lost {
        format!(
            "the node {node} does not answer; until it comes back and ends the task, the network stays, too"
        )
    } else {
        format!("the task on the node {node} has not ended yet")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::engine::swarm::api::{Config, Service};
    use crate::engine::swarm::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn no_files_stay_whether_the_service_was_there_or_its_tasks_are_told() {
        let service = Service { id: "s".to_owned(), name: "farrier-db".to_owned(), ..Service::default() };
        for (is_there, tells_tasks, expected) in
            [(true, true, Some(true)), (true, false, None), (false, true, Some(true))]
        {
            let fake = Fake {
                services: Mutex::new(if is_there { vec![service.clone()] } else { Vec::new() }),
                configs: Mutex::new(vec![Config { id: "c".to_owned(), ..Config::default() }]),
                tells_tasks,
                ..Fake::default()
            };
            let id = instance_id(&service);
            let instance = Instance { id, name: "farrier-db".to_owned(), ..Instance::default() };
            let removed = remove(&fake, "db", &instance, &|_| ()).await;
            assert_eq!(removed.ok(), expected, "{is_there} {tells_tasks}");
            assert!(fake.configs.lock().expect("no panic").is_empty(), "{is_there} {tells_tasks}");
        }
    }

    #[test]
    fn what_has_not_ended_is_told_with_its_node() {
        let task = Task { node: "n".to_owned(), ..Task::default() };
        let node = |is_ready| [Node { id: "n".to_owned(), hostname: "one".to_owned(), is_ready }];
        for (is_ready, expected) in [
            (true, "the task on the node `one` has not ended yet"),
            (
                false,
                "the node `one` does not answer; until it comes back and ends the task, the network stays, too",
            ),
        ] {
            assert_eq!(in_words(&task, &node(is_ready)), expected);
        }
    }
}
