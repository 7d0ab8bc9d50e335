//! What a Swarm holds at one moment. Nothing is changed.

use std::collections::BTreeMap;

use futures_util::future::{try_join, try_join3};
use jiff::Timestamp;

use super::api::{Mark, Node, Overlay, Service, SwarmApi, Task};
use super::instance::{current, instance, is_meant, service_of};
use super::others::{Others, Own};
use crate::engine::EngineResult;
use crate::engine::machine::machine;
use crate::plan::instance::Instance;
use crate::plan::sidecar::LABEL_SIDECAR;
use crate::system::lock::Holder;

/// A Swarm at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub services: Vec<Service>,
    /// Those of sidecars.
    pub tasks: Vec<Task>,
    pub overlays: Vec<Overlay>,
    /// Empty where no task needs them.
    pub nodes: Vec<Node>,
    /// The manager's own node, where a sidecar needs it.
    pub own_node: String,
    /// The volumes of the manager's own node that have the name of one that a wanted sidecar mounts there, with their labels.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Launches' marks of use, and the moment by which they have a meaning or none.
    pub marks: Vec<Mark>,
    pub now: Timestamp,
    /// This command's own mark.
    pub own: Option<Own>,
}

impl Seen {
    /// The instance that a service is.
    pub(super) fn instance(&self, service: &Service) -> Instance {
        instance(service, &self.tasks, &self.overlays, &self.nodes)
    }

    /// What other machines want.
    pub(super) fn others(&self) -> Others<'_> {
        Others::of(&self.marks, self.now, &machine(), self.own.as_ref())
    }

    /// Commands on other machines that use a service, or are about to.
    pub(super) fn elsewhere(&self, service: &Service) -> Vec<Holder> {
        self.others().users(&service.name)
    }
}

/// All of it, for a command with this mark.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub(super) async fn look(api: &dyn SwarmApi, own: Option<Own>) -> EngineResult<Seen> {
    let (services, tasks, overlays) =
        try_join3(api.services(), api.tasks(LABEL_SIDECAR), api.overlays()).await?;
    // After the rest: whoever has changed any of that had made a mark before.
    let (now, marks) = api.marks().await?;
    let seen = Seen { services, tasks, overlays, marks, now, own, ..Seen::default() };
    with_nodes(api, seen).await
}

/// An instance by its name or id, with all that was looked at for it; `None` if there is none.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub(super) async fn look_at(api: &dyn SwarmApi, meant: &str) -> EngineResult<Option<(Service, Seen)>> {
    let service = service_of(meant);
    let (service, tasks, overlays) =
        try_join3(api.service(service), api.tasks(LABEL_SIDECAR), api.overlays()).await?;
    let Some(service) = service.filter(|service| is_meant(service, meant)) else { return Ok(None) };
    let seen = Seen { services: vec![service.clone()], tasks, overlays, ..Seen::default() };
    Ok(Some((service, with_nodes(api, seen).await?)))
}

/// Whether a node is lost tells why a task is not wanted any more, and has not ended either.
async fn with_nodes(api: &dyn SwarmApi, seen: Seen) -> EngineResult<Seen> {
    let is_open = |service: &Service| {
        current(service, &seen.tasks).is_some_and(|task| !task.is_wanted() && !task.state.has_ended())
    };
    if !seen.services.iter().any(is_open) {
        return Ok(seen);
    }
    let (nodes, tasks) = try_join(api.nodes(), api.tasks(LABEL_SIDECAR)).await?;
    Ok(Seen { tasks, nodes, ..seen })
}
