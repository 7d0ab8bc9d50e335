//! What the engine holds at one moment: everything that the decision needs, read in parallel, changing nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{try_join, try_join_all, try_join3};

use crate::engine::caches::Caches;
use crate::engine::caches::endpoints::{Aliases, EndpointCache};
use crate::engine::caches::images::ImageCache;
use crate::engine::{Container, Engine, EngineResult, Image, Member, Network, is_whole_id};
use crate::plan::sidecar::{LABEL_REPLACED, LABEL_SIDECAR, Sidecar};
use crate::system::leases::Leases;
use crate::system::lock::Holder;

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
pub struct Snapshot {
    /// By name: the networks that sidecars join. Docker accepts two of one name.
    pub networks: BTreeMap<String, Vec<Network>>,
    /// By name: the containers that hold our names.
    pub containers: BTreeMap<String, Container>,
    /// By reference, and by id where a container's image has no tag any more.
    pub images: BTreeMap<String, Image>,
    /// The other containers on the networks that sidecars join.
    pub neighbours: Vec<Neighbour>,
    /// By container id: other launches that use it, where somebody asked for them.
    pub holders: BTreeMap<String, Vec<Holder>>,
}

impl Snapshot {
    /// Asks which other launches use the containers that hold our names.
    pub fn note_holders(&mut self, leases: &Leases) {
        let containers = self.containers.values();
        self.holders = containers.map(|found| (found.id.clone(), holders(leases, found))).collect();
    }
}

/// The other launches that use a container, or one that it was put in the place of.
#[must_use]
pub fn holders(leases: &Leases, container: &Container) -> Vec<Holder> {
    let mut all: Vec<Holder> = leases.holders_of(ids(container)).into_values().flatten().collect();
    all.sort_by_key(|holder| holder.process);
    all
}

/// The ids under which launches may have marked that they use a container.
pub fn ids(container: &Container) -> impl Iterator<Item = &str> {
    let replaced = container.labels.get(LABEL_REPLACED).map(String::as_str).unwrap_or_default();
    replaced.split(' ').filter(|id| !id.is_empty()).chain([container.id.as_str()])
}

/// Reads it. What images run, and who is found on the network by which aliases, is taken from the caches where the
/// engine says which image and whose place is meant.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub async fn take(
    engine: &dyn Engine,
    sidecars: &[Sidecar],
    network: &str,
    caches: &Caches,
) -> EngineResult<Snapshot> {
    let others = sidecars.iter().flat_map(|sidecar| &sidecar.definition.container.networks);
    let others: BTreeSet<&str> = others.map(String::as_str).filter(|name| *name != network).collect();
    let names = std::iter::once(network).chain(others);
    let networks = try_join_all(names.map(|name| async move { Ok((name, engine.inhabited(name).await?)) }));
    let containers = try_join_all(sidecars.iter().map(|sidecar| engine.container(&sidecar.container)));
    let listed = listed(engine, sidecars, &caches.images);
    let (networks, containers, (half_made, images, labelled)) =
        try_join3(networks, containers, listed).await?;

    let mut snapshot = Snapshot { images, ..Snapshot::default() };
    let containers = containers.into_iter().chain(half_made).flatten();
    snapshot.containers = containers.map(|container| (container.name.clone(), container)).collect();
    let ours: BTreeSet<&str> = snapshot.containers.values().map(|container| container.id.as_str()).collect();

    let untagged: BTreeSet<&str> = snapshot
        .containers
        .values()
        .map(|container| container.image_id.as_str())
        .filter(|id| !snapshot.images.values().any(|image| image.id == *id))
        .collect();
    let untagged = try_join_all(untagged.into_iter().map(|id| image(engine, id, Some(id), &caches.images)));
    let neighbours = try_join_all(networks.iter().map(async |(name, (found, members))| {
        // Members of two networks with one name cannot be told apart.
        let [network] = found.as_slice() else { return Ok(Vec::new()) };
        let others = members.iter().filter(|member| !ours.contains(member.container.as_str()));
        let others: Vec<&Member> = others.collect();
        let mut found = neighbours(engine, network, &others, &caches.endpoints).await?;
        // A definition may name a network by its id.
        for neighbour in &mut found {
            (*name).clone_into(&mut neighbour.network);
        }
        Ok(found)
    }));
    let (untagged, neighbours) = try_join(untagged, neighbours).await?;
    snapshot.images.extend(untagged.into_iter().flatten());
    snapshot.neighbours = neighbours.into_iter().flatten().collect();
    for neighbour in &mut snapshot.neighbours {
        neighbour.is_sidecar = labelled.contains(&neighbour.name);
    }
    snapshot.networks = networks.into_iter().map(|(name, (found, _))| (name.to_owned(), found)).collect();
    Ok(snapshot)
}

type Images = BTreeMap<String, Image>;

/// What one listing of our containers leads to: containers that a launch made beside old ones and did not come
/// to rename, the images that the definitions name, and the names of all our containers.
async fn listed(
    engine: &dyn Engine,
    sidecars: &[Sidecar],
    known: &ImageCache,
) -> EngineResult<(Vec<Option<Container>>, Images, BTreeSet<String>)> {
    let listed = engine.labelled(LABEL_SIDECAR).await?;
    let ours: BTreeSet<&str> = listed.iter().map(|container| container.name.as_str()).collect();
    let names = sidecars.iter().map(Sidecar::temporary_name).filter(|name| ours.contains(name.as_str()));
    let names: Vec<String> = names.collect();
    let half_made = try_join_all(names.iter().map(|name| engine.container(name)));
    // Containers that were made from a reference tell which image it names now.
    let ids: BTreeMap<&str, &str> =
        listed.iter().map(|container| (container.image.as_str(), container.image_id.as_str())).collect();
    let references: BTreeSet<&str> = sidecars.iter().map(|sidecar| sidecar.image.as_str()).collect();
    let images = try_join_all(references.into_iter().map(|reference| {
        let id = ids.get(reference).copied();
        image(engine, reference, id, known)
    }));
    let (half_made, images) = try_join(half_made, images).await?;
    let labelled = listed.iter().map(|container| container.name.clone()).collect();
    Ok((half_made, images.into_iter().flatten().collect(), labelled))
}

/// An image under what it was asked for by: from what is known where the engine told its id, else from the engine.
async fn image(
    engine: &dyn Engine,
    reference: &str,
    id: Option<&str>,
    known: &ImageCache,
) -> EngineResult<Option<(String, Image)>> {
    if let Some(image) = id.and_then(|id| known.recall(id)) {
        return Ok(Some((reference.to_owned(), image)));
    }
    let found = engine.image(reference).await?;
    if let Some(image) = &found {
        known.keep(image);
    }
    Ok(found.map(|image| (reference.to_owned(), image)))
}

/// The other containers on a network. The engine is asked about those that were not seen there before.
async fn neighbours(
    engine: &dyn Engine,
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
            None => new.push(engine.container(&member.container)),
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
