//! What Docker holds at one moment: everything that the comparison needs, read in parallel, changing nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{try_join, try_join_all, try_join3, try_join5};

use super::api::{Api, Container, Image, Member, Network, is_whole_id};
use super::caches::Caches;
use super::caches::endpoints::{Aliases, EndpointCache};
use super::caches::images::ImageCache;
use super::ports::{self, Taken};
use super::spec::temporary_name;
use crate::definition::model::Mount;
use crate::engine::EngineResult;
use crate::plan::HarnessNetwork;
use crate::plan::sidecar::{LABEL_SIDECAR, Sidecar};

/// Another container on a network that sidecars join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The network's name.
    pub network: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Every name by which it is found there.
    pub aliases: Vec<String>,
    /// Whether it carries the label of a sidecar.
    pub is_sidecar: bool,
}

/// The engine at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By name: the networks that sidecars join, and those beside them that the harness is on. Docker accepts two of one name.
    pub networks: BTreeMap<String, Vec<Network>>,
    /// By name: the containers that hold our names.
    pub containers: BTreeMap<String, Container>,
    /// By reference, and by id if a container's image has no tag any more.
    pub images: BTreeMap<String, Image>,
    /// The other containers on these networks.
    pub neighbours: Vec<Neighbour>,
    /// Who has ports of the engine's host that sidecars are to be published at.
    pub taken_ports: Taken,
    /// By name: the labels of volumes that sidecars are about to mount for the first time.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether a sidecar wants the engine's socket and the engine listens at none.
    pub lacks_socket: bool,
}

/// Reads it. What images run, and who is found on the network by which aliases, is taken from the caches where the
/// engine says which image and whose place is meant.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub(super) async fn look(
    api: &dyn Api,
    sidecars: &[Arc<Sidecar>],
    network: &HarnessNetwork,
    caches: &Caches,
    local: bool,
) -> EngineResult<Seen> {
    let beside = network.beside.iter();
    let network = network.name.as_str();
    let others = sidecars.iter().flat_map(|sidecar| &sidecar.definition.container.networks);
    let others: BTreeSet<&str> =
        others.chain(beside).map(String::as_str).filter(|name| *name != network).collect();
    let names = std::iter::once(network).chain(others);
    let networks = try_join_all(names.map(|name| async move { Ok((name, api.inhabited(name).await?)) }));
    let containers = try_join_all(sidecars.iter().map(|sidecar| api.container(&sidecar.container)));
    let listed = listed(api, sidecars, &caches.images);
    let (networks, containers, (half_made, images, labelled)) =
        try_join3(networks, containers, listed).await?;

    let mut seen = Seen { images, ..Seen::default() };
    let containers = containers.into_iter().chain(half_made).flatten();
    seen.containers = containers.map(|container| (container.name.clone(), container)).collect();
    let ours: BTreeSet<&str> = seen.containers.values().map(|container| container.id.as_str()).collect();

    let untagged: BTreeSet<&str> = seen
        .containers
        .values()
        .map(|container| container.image_id.as_str())
        .filter(|id| !seen.images.values().any(|image| image.id == *id))
        .collect();
    let untagged = try_join_all(untagged.into_iter().map(|id| image(api, id, Some(id), &caches.images)));
    let neighbours = try_join_all(networks.iter().map(async |(name, (found, members))| {
        // Members of two networks with one name cannot be told apart.
        let [network] = found.as_slice() else { return Ok(Vec::new()) };
        let others = members.iter().filter(|member| !ours.contains(member.container.as_str()));
        let others: Vec<&Member> = others.collect();
        let mut found = neighbours(api, network, &others, &caches.endpoints).await?;
        // A definition may name a network by its id.
        for neighbour in &mut found {
            (*name).clone_into(&mut neighbour.network);
        }
        Ok(found)
    }));
    let volumes = try_join_all(
        sidecars
            .iter()
            .flat_map(|sidecar| new_volumes(sidecar, &seen))
            .map(async |name| Ok(api.volume(&name).await?.map(|volume| (volume.name, volume.labels)))),
    );
    let taken = ports::taken(api, sidecars, &seen.containers, local);
    let lacks_socket =
        async { Ok(sidecars.iter().any(|sidecar| wants_socket(sidecar)) && !api.has_socket().await?) };
    let (untagged, neighbours, volumes, taken, lacks_socket) =
        try_join5(untagged, neighbours, volumes, taken, lacks_socket).await?;
    seen.taken_ports = taken;
    seen.lacks_socket = lacks_socket;
    seen.volumes = volumes.into_iter().flatten().collect();
    seen.images.extend(untagged.into_iter().flatten());
    seen.neighbours = neighbours.into_iter().flatten().collect();
    for neighbour in &mut seen.neighbours {
        neighbour.is_sidecar = labelled.contains(&neighbour.name);
    }
    seen.networks = networks.into_iter().map(|(name, (found, _))| (name.to_owned(), found)).collect();
    Ok(seen)
}

/// Whether its definition mounts the engine's socket.
pub(super) fn wants_socket(sidecar: &Sidecar) -> bool {
    let mut mounts = sidecar.definition.container.mounts.iter();
    mounts.any(Mount::is_engine_socket)
}

/// The volumes that the sidecar's container does not have yet: others are its own, or it would not have them.
fn new_volumes(sidecar: &Sidecar, seen: &Seen) -> Vec<String> {
    let container = seen.containers.get(&sidecar.container);
    let mounted = container.map(|container| container.mounts.as_slice()).unwrap_or_default();
    sidecar.volumes().filter(|name| mounted.iter().all(|mount| mount.source != *name)).collect()
}

type Images = BTreeMap<String, Image>;

/// What one listing of our containers leads to: containers that a launch made beside old ones and did not come
/// to rename, the images that the definitions name, and the names of all our containers.
async fn listed(
    api: &dyn Api,
    sidecars: &[Arc<Sidecar>],
    known: &ImageCache,
) -> EngineResult<(Vec<Option<Container>>, Images, BTreeSet<String>)> {
    let listed = api.labelled(LABEL_SIDECAR).await?;
    let ours: BTreeSet<&str> = listed.iter().map(|container| container.name.as_str()).collect();
    let names = sidecars
        .iter()
        .map(|sidecar| temporary_name(&sidecar.container))
        .filter(|name| ours.contains(name.as_str()));
    let names: Vec<String> = names.collect();
    let half_made = try_join_all(names.iter().map(|name| api.container(name)));
    // Containers that were made from a reference tell which image it names now.
    let ids: BTreeMap<&str, &str> =
        listed.iter().map(|container| (container.image.as_str(), container.image_id.as_str())).collect();
    let references: BTreeSet<&str> = sidecars.iter().map(|sidecar| sidecar.image.as_str()).collect();
    let images = try_join_all(references.into_iter().map(|reference| {
        let id = ids.get(reference).copied();
        image(api, reference, id, known)
    }));
    let (half_made, images) = try_join(half_made, images).await?;
    let labelled = listed.iter().map(|container| container.name.clone()).collect();
    Ok((half_made, images.into_iter().flatten().collect(), labelled))
}

/// An image under what it was asked for by: from what is known where the engine told its id, else from the engine.
async fn image(
    api: &dyn Api,
    reference: &str,
    id: Option<&str>,
    known: &ImageCache,
) -> EngineResult<Option<(String, Image)>> {
    if let Some(image) = id.and_then(|id| known.recall(id)) {
        return Ok(Some((reference.to_owned(), image)));
    }
    let found = api.image(reference).await?;
    if let Some(image) = &found {
        known.keep(image);
    }
    Ok(found.map(|image| (reference.to_owned(), image)))
}

/// The other containers on a network. The engine is asked about those that were not seen there before.
async fn neighbours(
    api: &dyn Api,
    network: &Network,
    members: &[&Member],
    known: &EndpointCache,
) -> EngineResult<Vec<Neighbour>> {
    let mut recalled = known.recall(&network.id);
    let (mut kept, mut found, mut new) = (Aliases::new(), Vec::new(), Vec::new());
    for member in members {
        match recalled.remove(&member.endpoint) {
            Some(aliases) => {
                let (id, name) = (member.container.clone(), member.name.clone());
                found.push(neighbour(network, id, name, aliases.clone()));
                kept.insert(member.endpoint.clone(), aliases);
            }
            None => new.push(api.container(&member.container)),
        }
    }
    let recalled_count = kept.len();
    for mut container in try_join_all(new).await?.into_iter().flatten() {
        let endpoint = container.networks.remove(&network.name).unwrap_or_default();
        found.push(neighbour(network, container.id, container.name, endpoint.aliases.clone()));
        // Other engines than Docker may tell none, or one that is not made by chance.
        if is_whole_id(&endpoint.id) {
            kept.insert(endpoint.id, endpoint.aliases);
        }
    }
    if kept.len() > recalled_count {
        known.keep(&network.id, &kept);
    }
    Ok(found)
}

fn neighbour(network: &Network, id: String, name: String, mut aliases: Vec<String>) -> Neighbour {
    aliases.push(name.clone());
    Neighbour { network: network.name.clone(), id, name, aliases, is_sidecar: false }
}
