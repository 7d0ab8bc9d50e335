//! What the engine holds at one moment: everything that the decision needs, read in parallel, changing nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{try_join, try_join_all};

use crate::engine::{Container, Engine, EngineResult, Image, Network};
use crate::lock::Holder;
use crate::sidecar::{LABEL_SIDECAR, Sidecar};

/// Another container on the network that the sidecars join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Every name by which it is found there.
    pub aliases: Vec<String>,
}

/// The engine at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By name: the networks that sidecars join. Docker accepts two of one name.
    pub networks: BTreeMap<String, Vec<Network>>,
    /// By name: the containers that hold our names.
    pub containers: BTreeMap<String, Container>,
    /// By reference, and by id where a container's image has no tag any more.
    pub images: BTreeMap<String, Image>,
    /// Who else is on the main network.
    pub neighbours: Vec<Neighbour>,
    /// By container name: other launches that use it.
    pub holders: BTreeMap<String, Vec<Holder>>,
}

/// Reads it.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub async fn take(
    engine: &dyn Engine,
    sidecars: &[Sidecar],
    network: &str,
    holders: BTreeMap<String, Vec<Holder>>,
) -> EngineResult<Snapshot> {
    let mut network_names: BTreeSet<&str> = BTreeSet::from([network]);
    network_names
        .extend(sidecars.iter().flat_map(|sidecar| sidecar.definition.networks.iter().map(String::as_str)));
    let references: BTreeSet<&str> = sidecars.iter().map(|sidecar| sidecar.image.as_str()).collect();

    let networks = try_join_all(network_names.into_iter().map(|name| async move {
        let found = engine.networks(name).await?;
        // Members are only wanted of the main network, and only where its name means one network.
        let members = match found.as_slice() {
            [one] if name == network => engine.members(&one.id).await?,
            _ => Vec::new(),
        };
        Ok((name.to_owned(), found, members))
    }));
    let containers = try_join_all(sidecars.iter().map(|sidecar| engine.container(&sidecar.container)));
    let containers = try_join(containers, half_made(engine, sidecars));
    let images = try_join_all(references.into_iter().map(|reference| async move {
        Ok(engine.image(reference).await?.map(|image| (reference.to_owned(), image)))
    }));
    let (networks, ((containers, half_made), images)) =
        try_join(networks, try_join(containers, images)).await?;

    let mut snapshot = Snapshot { holders, ..Snapshot::default() };
    snapshot.images = images.into_iter().flatten().collect();
    let containers = containers.into_iter().chain(half_made).flatten();
    snapshot.containers = containers.map(|container| (container.name.clone(), container)).collect();
    let ours: BTreeSet<String> = snapshot.containers.values().map(|container| container.id.clone()).collect();
    let mut members = Vec::new();
    for (name, found, on_it) in networks {
        members.extend(on_it);
        snapshot.networks.insert(name, found);
    }

    let untagged: BTreeSet<String> = snapshot
        .containers
        .values()
        .map(|container| container.image_id.clone())
        .filter(|id| !snapshot.images.values().any(|image| image.id == *id))
        .collect();
    let untagged = try_join_all(
        untagged.into_iter().map(|id| async move { Ok(engine.image(&id).await?.map(|image| (id, image))) }),
    );
    let neighbours =
        try_join_all(members.iter().filter(|id| !ours.contains(*id)).map(|id| engine.container(id)));
    let (untagged, neighbours) = try_join(untagged, neighbours).await?;
    snapshot.images.extend(untagged.into_iter().flatten());
    snapshot.neighbours =
        neighbours.into_iter().flatten().map(|container| neighbour(container, network)).collect();
    Ok(snapshot)
}

/// Containers that a launch made beside old ones and did not come to rename.
async fn half_made(engine: &dyn Engine, sidecars: &[Sidecar]) -> EngineResult<Vec<Option<Container>>> {
    let ours: BTreeSet<String> = engine.labelled(LABEL_SIDECAR).await?.into_iter().collect();
    let names = sidecars.iter().map(Sidecar::temporary_name).filter(|name| ours.contains(name));
    let names: Vec<String> = names.collect();
    try_join_all(names.iter().map(|name| engine.container(name))).await
}

fn neighbour(container: Container, network: &str) -> Neighbour {
    let mut aliases =
        container.networks.get(network).map(|endpoint| endpoint.aliases.clone()).unwrap_or_default();
    aliases.push(container.name.clone());
    Neighbour { id: container.id, name: container.name, aliases }
}
