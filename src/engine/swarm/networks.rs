//! The networks of a Swarm on which harness and sidecars meet: planning, making and removing farrier's own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join;

use super::api::{Overlay, Service, SwarmApi, Task};
use crate::engine::docker::api::Api;
use crate::engine::problem::engine_problem;
use crate::engine::{Carrier, EngineErrorKind, EngineResult, Progress};
use crate::plan::sidecar::LABEL_SIDECAR;
use crate::plan::{HarnessNetwork, NetworkAction, NetworkPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// The label on networks of a Swarm that farrier made. It is none of those by which the engine `docker` knows its own, which
/// the manager also lists to it.
pub const LABEL_SWARM_NETWORK: &str = "farrier.swarm-network";
/// How long the node of the manager may take to end the containers on a network that was removed: three times what Docker gives
/// them unless they are made otherwise.
pub(super) const TAKING_DOWN: Duration = Duration::from_secs(30);

/// What has to be done with the harness's network, or why it cannot be used. Pure.
///
/// # Errors
/// If tasks of all nodes and the harness cannot meet on it.
pub(super) fn network_plan(overlays: &[Overlay], network: &HarnessNetwork) -> Result<NetworkPlan, Problem> {
    let name = &network.name;
    let found: Vec<&Overlay> = overlays.iter().filter(|overlay| overlay.name == *name).collect();
    let is_ours = found.iter().all(|overlay| overlay.labels.contains_key(LABEL_SWARM_NETWORK));
    let plan = |action| NetworkPlan { name: name.clone(), is_own: is_ours, session: None, action };
    let docker = |words: &[&str]| command_line(&[&["docker", "network"], words].concat(), &[name], &[]);
    match found.as_slice() {
        [] if network.is_own => Ok(plan(NetworkAction::Create)),
        [] => Err(Problem::error(Code::NetworkUnusable, format!("there is no network `{name}`"))
            .hint(format!("Create it with `{}`.", docker(&["create", "--driver", "overlay", "--attachable"])))
            .hint("Or remove `--network` from the harness's command: farrier then creates a network.")),
        [only] if !only.is_overlay => {
            let message =
                format!("the network `{name}` is one node's own, and tasks of other nodes cannot join it");
            Err(Problem::error(Code::NetworkUnusable, message)
                .hint(format!("Remove it with `{}` if it is not needed.", docker(&["rm"])))
                .hint("Or name an attachable overlay network with `--network` in the harness's command."))
        }
        [only] if !only.is_attachable => {
            let message = format!("the network `{name}` is not attachable, so that no harness can join it");
            Err(Problem::error(Code::NetworkUnusable, message)
                .hint("Create it again with `--attachable`, or name another network."))
        }
        [only] if network.is_own && !is_ours => {
            let message = format!("farrier did not create the network `{}`", only.name);
            Err(Problem::error(Code::NameTaken, message)
                .hint(format!("Remove it with `{}`.", docker(&["rm"])))
                .hint("Or choose the network with `--network` in the harness's command."))
        }
        [only] => Ok(plan(NetworkAction::Use { id: only.id.clone(), surplus: Vec::new() })),
        // One of them is being taken down: which one, the Swarm says when a service is made.
        [first, ..] if is_ours && found.iter().all(|overlay| overlay.is_overlay) => {
            Ok(plan(NetworkAction::Use { id: first.id.clone(), surplus: Vec::new() }))
        }
        _ => {
            let message = format!("{} networks are named `{name}`", found.len());
            let list =
                command_line(&["docker", "network", "ls", "--filter"], &[&format!("name={name}")], &[]);
            Err(Problem::error(Code::NetworkUnusable, message)
                .hint(format!("List them with `{list}`, and remove all but one.")))
        }
    }
}

/// Makes it, if nobody has meanwhile.
pub(super) async fn make(
    api: &dyn SwarmApi,
    plan: &NetworkPlan,
    carrier: &dyn Carrier,
) -> Result<(), Problem> {
    if create(api, &plan.name).await? {
        carrier.tell(Progress::NetworkCreated(&plan.name));
    }
    Ok(())
}

/// Whether this made the network of that name: the Swarm has one of a name.
pub(super) async fn create(api: &dyn SwarmApi, name: &str) -> Result<bool, Problem> {
    let failed = |error| engine_problem(&format!("prepare the network `{name}`"), &error);
    let is_there =
        async || Ok(api.overlays().await?.iter().any(|found| found.is_overlay && found.name == name));
    if is_there().await.map_err(failed)? {
        return Ok(false);
    }
    let labels = BTreeMap::from([(LABEL_SWARM_NETWORK.to_owned(), "1".to_owned())]);
    match api.create_overlay(name, &labels).await {
        Ok(()) => Ok(true),
        // Another launch, maybe on another machine, was faster.
        Err(error) if error.kind == EngineErrorKind::Conflict || is_there().await.map_err(failed)? => {
            tracing::debug!("the network {name} was created meanwhile: {error}");
            Ok(false)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether an engine says that a network is not there. Its answer has no status of its own for that.
pub(super) fn says_gone(words: &str) -> bool {
    words.split_once("network ").is_some_and(|(_, network)| network.contains(" not found"))
}

/// What a launch waits for whose network is being taken down.
pub(super) fn taking_down(name: &str) -> String {
    format!("the network `{name}` was removed, and containers on it have to end before it can be made again")
}

/// That they did not.
pub(super) fn not_taken_down(name: &str) -> Problem {
    let list = command_line(&["docker", "ps", "--filter"], &[&format!("network={name}")], &[]);
    let message = format!("the network `{name}` was removed, and containers on it do not end");
    Problem::error(Code::NetworkUnusable, message)
        .hint(format!("See them with `{list}`, and run the command again when they have ended."))
}

/// The names of those that farrier made.
pub(super) async fn own(api: &dyn SwarmApi) -> EngineResult<Vec<String>> {
    let overlays = api.overlays().await?.into_iter();
    let own = overlays.filter(|overlay| overlay.labels.contains_key(LABEL_SWARM_NETWORK));
    Ok(own.map(|overlay| overlay.name).collect())
}

/// Removes one that farrier made, if no service is for it and nothing is on it. Whether it is gone.
pub(super) async fn remove_unused(swarm: &dyn SwarmApi, api: &dyn Api, name: &str) -> EngineResult<bool> {
    let overlays = swarm.overlays().await?;
    let is_it = |overlay: &&Overlay| overlay.name == name && overlay.labels.contains_key(LABEL_SWARM_NETWORK);
    let Some(network) = overlays.iter().find(is_it) else { return Ok(false) };
    let (services, tasks) = try_join(swarm.services(), swarm.tasks(LABEL_SIDECAR)).await?;
    let is_for_it = |service: &Service| service.networks().any(|(id, _)| id == network.id);
    // The Swarm would remove it also from below a task that is still ending, and the manager could not make it again until then.
    let is_on_it =
        |task: &Task| !task.state.has_ended() && task.addresses.values().any(|(id, _)| *id == network.id);
    if services.iter().any(is_for_it) || tasks.iter().any(is_on_it) {
        return Ok(false);
    }
    match api.remove_network(&network.id).await {
        Ok(()) => Ok(true),
        // Something on another node is on it, or somebody removed it meanwhile.
        Err(error) if !error.kind.is_of_the_connection() => {
            tracing::debug!("the engine keeps the network {name}: {error}");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(is_overlay: bool, is_attachable: bool, is_own: bool) -> Overlay {
        let label = is_own.then(|| (LABEL_SWARM_NETWORK.to_owned(), "1".to_owned()));
        Overlay {
            id: "o".to_owned(),
            name: "net".to_owned(),
            labels: label.into_iter().collect(),
            is_attachable,
            is_overlay,
        }
    }

    #[test]
    fn only_an_attachable_network_of_all_nodes_is_used() {
        let network = |is_own| HarnessNetwork { name: "net".to_owned(), is_own, ..HarnessNetwork::default() };
        let used = NetworkAction::Use { id: "o".to_owned(), surplus: Vec::new() };
        for (overlays, is_own, expected) in [
            (vec![], true, Ok(NetworkAction::Create)),
            (vec![], false, Err(Code::NetworkUnusable)),
            (vec![overlay(true, true, true)], true, Ok(used.clone())),
            (vec![overlay(true, true, false)], true, Err(Code::NameTaken)),
            (vec![overlay(true, true, false)], false, Ok(used.clone())),
            (vec![overlay(true, true, false), overlay(true, true, false)], false, Err(Code::NetworkUnusable)),
            (vec![overlay(true, false, false)], false, Err(Code::NetworkUnusable)),
            (vec![overlay(false, true, true)], true, Err(Code::NetworkUnusable)),
            (vec![overlay(true, true, true), overlay(true, true, true)], true, Ok(used.clone())),
            (vec![overlay(true, true, true), overlay(false, false, false)], true, Err(Code::NetworkUnusable)),
        ] {
            let plan = network_plan(&overlays, &network(is_own));
            let found = plan.map(|plan| plan.action).map_err(|problem| problem.code);
            assert_eq!(found, expected, "{overlays:?} {is_own}");
        }
    }
}
