//! Volumes of services. Each lies on the node that its definition names, and a manager knows only those of its own
//! node: of those on others, services tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{Node, Service, SwarmApi};
use super::comparison::is_managed;
use super::instance::node_name;
use super::spec::{self, LABEL_SWARM_VOLUME};
use crate::definition::named_node;
use crate::engine::docker::api::Api;
use crate::engine::{EngineErrorKind, EngineResult, OwnVolume};
use crate::plan::sidecar::{LABEL_VOLUME, Sidecar};

/// How long a node may take to remove the container of a task that has ended, and the pause before the next attempt.
const REMOVING: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Those on the manager's node, and those that services mount on other nodes.
///
/// # Errors
/// If the Swarm does not answer.
pub(super) async fn all(api: &dyn SwarmApi, manager: &dyn Api) -> EngineResult<Vec<OwnVolume>> {
    let here = manager.volumes(LABEL_SWARM_VOLUME).await?;
    let here = here.into_iter().filter_map(|volume| own(volume.name, &volume.labels, None));
    let mut all: Vec<OwnVolume> = here.collect();
    let services = api.services().await?;
    let mounting: Vec<&Service> =
        services.iter().filter(|service| is_managed(service) && !mounted(service).is_empty()).collect();
    if mounting.is_empty() {
        return Ok(all);
    }
    let (nodes, own_node) = (api.nodes().await?, api.swarm().await?.node);
    for service in mounting {
        let Some(node) = node_of(service, &nodes).filter(|node| *node != own_node) else { continue };
        let lies_on = node_name(node, &nodes);
        let of_service = mounted(service).into_iter();
        all.extend(of_service.filter_map(|(name, labels)| own(name, &labels, Some(lies_on.clone()))));
    }
    Ok(all)
}

/// The volumes of the manager's node that have the names of those that sidecars mount there, with their labels. A manager
/// does not know those of other nodes.
///
/// # Errors
/// If the manager does not answer.
pub(super) async fn here(
    manager: &dyn Api,
    sidecars: &[Arc<Sidecar>],
    nodes: &[Node],
    own_node: &str,
) -> EngineResult<BTreeMap<String, BTreeMap<String, String>>> {
    let mut found = BTreeMap::new();
    for name in names_on(sidecars, nodes, own_node) {
        found.extend(manager.volume(&name).await?.map(|volume| (volume.name, volume.labels)));
    }
    Ok(found)
}

/// The names of the volumes that sidecars mount on a node. Pure.
fn names_on(sidecars: &[Arc<Sidecar>], nodes: &[Node], node: &str) -> Vec<String> {
    let Some(node) = nodes.iter().find(|found| found.id == node) else { return Vec::new() };
    let is_there = |sidecar: &&Arc<Sidecar>| {
        let mut named = sidecar.definition.container.placement.iter().filter_map(|text| named_node(text));
        named.any(|named| named.is(&node.id, &node.hostname))
    };
    sidecars.iter().filter(is_there).flat_map(|sidecar| spec::volumes(sidecar)).collect()
}

/// A volume with our labels and a name of its service; `None` if it is another one.
fn own(name: String, labels: &BTreeMap<String, String>, lies_on: Option<String>) -> Option<OwnVolume> {
    let service = labels.get(LABEL_SWARM_VOLUME)?.clone();
    name.starts_with(&format!("{service}_swarm_")).then(|| {
        let mut labels = labels.clone();
        labels.insert(LABEL_VOLUME.to_owned(), service);
        OwnVolume { name, labels, lies_on }
    })
}

/// The volumes that a service mounts, with the labels that they were made with.
fn mounted(service: &Service) -> Vec<(String, BTreeMap<String, String>)> {
    let mounts = service.spec["TaskTemplate"]["ContainerSpec"]["Mounts"].as_array().into_iter().flatten();
    let volumes = mounts.filter(|mount| mount["Type"] == "volume");
    let of = |mount: &Value| {
        let labels = mount["VolumeOptions"]["Labels"].clone();
        Some((mount["Source"].as_str()?.to_owned(), serde_json::from_value(labels).ok()?))
    };
    volumes.filter_map(of).collect()
}

/// The id of the node that a service's constraints name; `None` if no node is it.
fn node_of<'a>(service: &Service, nodes: &'a [Node]) -> Option<&'a str> {
    let constraints = service.spec["TaskTemplate"]["Placement"]["Constraints"].as_array()?;
    let named = constraints.iter().filter_map(Value::as_str).find_map(|constraint| {
        // As farrier's definitions have it.
        let spaced = constraint.replacen("==", " == ", 1);
        let named = named_node(&spaced)?;
        nodes.iter().find(|node| named.is(&node.id, &node.hostname))
    });
    named.map(|node| node.id.as_str())
}

/// Removes one from the manager's node, once the node has removed the container that had it.
///
/// # Errors
/// If the engine does not remove it.
pub(super) async fn remove(manager: &dyn Api, name: &str) -> EngineResult<()> {
    let given_up = Instant::now() + REMOVING;
    loop {
        match manager.remove_volume(name).await {
            Err(error) if error.kind == EngineErrorKind::Conflict && Instant::now() < given_up => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_tells_its_volumes_and_their_node() {
        let nodes =
            ["a", "b"].map(|id| Node { id: id.to_owned(), hostname: format!("host-{id}"), is_ready: true });
        let service = |constraint: &str| Service {
            spec: json!({ "TaskTemplate": {
                "Placement": { "Constraints": [constraint] },
                "ContainerSpec": { "Mounts": [
                    { "Type": "tmpfs", "Target": "/run" },
                    { "Type": "volume", "Source": "farrier-db_swarm_data",
                      "VolumeOptions": { "Labels": { LABEL_SWARM_VOLUME: "farrier-db" } } },
                ] },
            } }),
            ..Service::default()
        };
        for (constraint, expected) in [
            ("node.id==b", Some("b")),
            ("node.hostname==host-a", Some("a")),
            ("node.hostname==HOST-a", Some("a")),
            ("node.id==B", Some("b")),
            ("node.id==c", None),
            ("node.role==manager", None),
        ] {
            assert_eq!(node_of(&service(constraint), &nodes), expected, "{constraint}");
        }
        let found = mounted(&service("node.id==b"));
        assert_eq!(found.len(), 1);
        let own = own(found[0].0.clone(), &found[0].1, None).expect("farrier's own");
        assert_eq!(own.labels[LABEL_VOLUME], "farrier-db");
        assert_eq!(super::own("other_swarm_data".to_owned(), &found[0].1, None), None);
    }
}
