//! The sidecars of a launch that live on one engine, and what has to be held there while they are changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Connection;
use super::departure::Departure;
use crate::definition::Definition;
use crate::engine::kinds::{EngineKind, Engines};
use crate::engine::{EngineError, EngineErrorKind, Freshness};
use crate::event::{Event, Reporter};
use crate::plan::instance::Instance;
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot::Snapshot;
use crate::plan::{HarnessNetwork, Plan};
use crate::preparation::ResolvedSidecar;
use crate::report::error::Problem;
use crate::system::leases::Leases;
use crate::system::lock::{Held, Holder, LockFolder};

/// The engines on which the sidecars of a launch live.
pub struct Destinations {
    pub(super) all: BTreeMap<EngineKind, Arc<Connection>>,
    pub(super) engines: Engines,
}

impl Destinations {
    /// The way to the engine on which a definition's sidecar lives; `None` if no sidecar of the launch lives there.
    #[must_use]
    pub fn of(&self, definition: &Definition) -> Option<&Arc<Connection>> {
        self.all.get(&self.engines.of(definition))
    }

    /// The kinds, in the order of the placements.
    pub fn kinds(&self) -> impl Iterator<Item = EngineKind> {
        self.all.keys().copied()
    }
}

/// Sidecars on one engine.
pub struct Placement<'a> {
    /// The way to the engine.
    pub connection: Arc<Connection>,
    /// The network there on which harness and sidecars meet.
    pub network: HarnessNetwork,
    /// The sidecars, in the order of names.
    pub sidecars: Vec<&'a ResolvedSidecar>,
}

/// What a launch holds on one engine while it changes sidecars there.
pub(super) struct Locked {
    pub folder: LockFolder,
    /// By the instance's name.
    pub names: BTreeMap<String, Held>,
    /// Until an instance is on it, nothing else tells that the network is needed.
    pub network: Held,
}

impl Placement<'_> {
    pub(super) async fn look(&self, freshness: Freshness) -> Result<Snapshot, Problem> {
        let wanted = self.wanted();
        let snapshot = self.connection.engine.observe(&wanted, &self.network, freshness).await;
        let failed = |error| self.connection.problem("inspect the sidecars", &error);
        let snapshot = snapshot.map_err(failed)?;
        if snapshot.sidecars.len() != wanted.len() {
            let (told, asked) = (snapshot.sidecars.len(), wanted.len());
            let message = format!("the engine reported {told} sidecars, but was asked about {asked}");
            return Err(failed(EngineError::new(EngineErrorKind::Refused, message)));
        }
        Ok(snapshot)
    }

    pub(super) fn wanted(&self) -> Vec<Arc<Sidecar>> {
        self.sidecars.iter().map(|prepared| Arc::new(prepared.sidecar.clone())).collect()
    }

    pub(super) fn departure(&self, leases: &Leases, plan: &Plan) -> Arc<Departure> {
        Arc::new(Departure::new(Arc::clone(&self.connection), leases.clone(), self.network.clone(), plan))
    }
}

/// Takes the lock of every name on every engine, in one order for all launches, so that none waits for another in a
/// circle; then those of the networks, in the same order. The result is in the order of the placements.
pub(super) async fn lock(
    placements: &[Placement<'_>],
    harness: &str,
    reporter: &Reporter,
) -> Result<Vec<Locked>, Problem> {
    let (mut engines, mut wanted) = (Vec::new(), Vec::new());
    for (index, placement) in placements.iter().enumerate() {
        let id = placement.connection.info().await?.id;
        let sidecars = placement.sidecars.iter().map(|prepared| &prepared.sidecar);
        wanted.extend(sidecars.map(|of| (id.clone(), of.container.as_str(), of.name(), index)));
        engines.push((id, index));
    }
    wanted.sort_unstable();
    let mut folders = Vec::new();
    for (id, _) in &engines {
        folders.push((LockFolder::open(id)?.held_by(harness), BTreeMap::new()));
    }
    for (_, name, sidecar, index) in wanted {
        let waiting = |holder: Option<&Holder>| reporter.tell(&Event::WaitingForLaunch { sidecar, holder });
        let (folder, held) = &mut folders[index];
        held.insert(name.to_owned(), folder.lock(name, waiting).await?);
    }
    let mut folders: Vec<_> = folders.into_iter().map(Some).collect();
    engines.sort_unstable();
    let mut locked = Vec::new();
    for (_, index) in engines {
        let Some((folder, names)) = folders[index].take() else { continue };
        let network = placements[index].network.name.as_str();
        let waiting = |holder: Option<&Holder>| reporter.tell(&Event::WaitingForNetwork { network, holder });
        let network = folder.keep_network(network, waiting).await?;
        locked.push((index, Locked { folder, names, network }));
    }
    locked.sort_by_key(|(index, _)| *index);
    Ok(locked.into_iter().map(|(_, locked)| locked).collect())
}

/// Keeps other launches from beginning to use the instances that were found, by the name of each sidecar's instance, and
/// says whether another command was at one of them. Whoever claims several has the locks of their names, so nobody waits in
/// a circle.
pub(super) async fn claim(
    leases: &Leases,
    placement: &Placement<'_>,
    snapshot: &Snapshot,
    reporter: &Reporter,
) -> Result<(BTreeMap<String, Held>, bool), Problem> {
    let (mut held, mut has_waited) = (BTreeMap::new(), false);
    for (prepared, observed) in placement.sidecars.iter().zip(&snapshot.sidecars) {
        let Some(found) = &observed.found else { continue };
        let sidecar = prepared.sidecar.name();
        let waiting = |holder: Option<&Holder>| {
            has_waited = true;
            reporter.tell(&Event::WaitingForLaunch { sidecar, holder });
        };
        let claim = leases.claim(&found.instance.id, waiting).await?;
        held.insert(prepared.sidecar.container.clone(), claim);
    }
    Ok((held, has_waited))
}

/// Whether what was seen to run before it was claimed is surely still on the network, and is seen there. The claim keeps others
/// from taking it off, but one that ended in between already has.
pub(super) async fn is_as_seen(placement: &Placement<'_>, snapshot: &Snapshot) -> bool {
    let network = placement.network.name.as_str();
    let found = snapshot.sidecars.iter().filter_map(|observed| observed.found.as_ref());
    let seen: Vec<&Instance> = found.map(|found| &found.instance).filter(|one| one.is_up()).collect();
    if seen.is_empty() {
        return true;
    }
    // Whoever takes one off a network may put it on this one.
    if seen.iter().any(|instance| !instance.networks.contains_key(network)) {
        return false;
    }
    // An engine that does not answer is asked again by the next look.
    let told = placement.connection.engine.still_running(&seen, network).await;
    told.is_ok_and(|told| told.into_iter().all(|goes_on| goes_on))
}
