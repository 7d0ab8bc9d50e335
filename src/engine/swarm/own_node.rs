//! What farrier can do with a task on the manager's own node, where the manager is the engine of its container: execute
//! commands, and read what the image's health test said.

use async_trait::async_trait;

use super::Swarm;
use super::api::{Service, Task};
use super::instance::{current, node_name};
use super::look::{Seen, look_at};
use crate::engine::docker::api::Container;
use crate::engine::{EngineError, EngineErrorKind, EngineResult, Exec, ExecOutput, ExecRequest};
use crate::plan::instance::Instance;

impl Swarm {
    async fn own_node(&self) -> EngineResult<&str> {
        let node = self.own_node.get_or_try_init(async || Ok(self.api.swarm().await?.node)).await;
        node.map(String::as_str)
    }

    /// Whether the manager is the engine of a task's container.
    async fn is_engine_of(&self, task: &Task) -> EngineResult<bool> {
        Ok(!task.container.is_empty() && self.own_node().await? == task.node)
    }
}

/// The instance, with its health if its task is on the manager's own node.
///
/// # Errors
/// If the manager does not answer.
pub(super) async fn with_health(
    swarm: &Swarm,
    instance: Instance,
    service: &Service,
    seen: &Seen,
) -> EngineResult<Instance> {
    let Some(task) = current(service, &seen.tasks) else { return Ok(instance) };
    if !swarm.is_engine_of(task).await? {
        return Ok(instance);
    }
    let container = swarm.containers.container(&task.container).await?;
    let Some(container) = container.as_ref().map(Container::instance) else {
        // Nobody may take that for an image without a health test: another task follows.
        let message = format!("the container of the service {} is gone", instance.name);
        return Err(EngineError::new(EngineErrorKind::NotFound, message));
    };
    Ok(Instance { health: container.health, health_command: container.health_command, ..instance })
}

#[async_trait]
impl Exec for Swarm {
    async fn exec(&self, instance: &str, request: &ExecRequest) -> EngineResult<ExecOutput> {
        let found = look_at(self.api.as_ref(), instance).await?;
        let task = found.as_ref().and_then(|(service, seen)| current(service, &seen.tasks));
        let Some(task) = task.filter(|task| !task.container.is_empty()) else {
            let message = format!("the service {instance} runs no container");
            return Err(EngineError::new(EngineErrorKind::NotFound, message));
        };
        if !self.is_engine_of(task).await? {
            let nodes = self.api.nodes().await?;
            let (there, here) = (node_name(&task.node, &nodes), node_name(self.own_node().await?, &nodes));
            let message = format!(
                "the sidecar runs on the node {there}, and this manager executes commands only on its own, {here}"
            );
            return Err(EngineError::new(EngineErrorKind::Refused, message));
        }
        self.containers.exec(&task.container, request).await
    }
}
