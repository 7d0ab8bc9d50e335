//! What runs once all sidecars of a launch are ready: their instances, how they are reached, and how the launch leaves them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Launch;
use super::departure::Departure;
use super::placement::Placement;
use super::restarting::Restarter;
use super::uses::Uses;
use crate::definition::order::OnExit;
use crate::engine::Engine;
use crate::harness::on_exit::ExitAction;
use crate::plan::instance::Instance;
use crate::plan::sidecar::Sidecar;
use crate::preparation::ResolvedSidecar;
use crate::readiness::route::Route;
use crate::readiness::wait::Waits;
use crate::system::leases::Leases;

/// All sidecars ready.
pub struct Running {
    /// Their instances, in the order of the launch's sidecars.
    pub instances: Vec<Instance>,
    /// Whether this host reaches the addresses of all that have a port.
    pub direct: bool,
    /// What runs where.
    pub engines: Vec<RunningOn>,
    /// Which commands use or change instances.
    pub leases: Leases,
    /// What other machines are told.
    pub uses: Arc<Uses>,
}

/// The sidecars that run on one engine.
pub struct RunningOn {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The network on which harness and sidecars meet there.
    pub network: String,
    /// The way to the sidecars there.
    pub route: Arc<Route>,
    /// Each sidecar's name, with its instance.
    pub instances: Vec<(String, Instance)>,
    /// What is done about the end of each sidecar that keeps running.
    pub on_exit: BTreeMap<String, ExitAction>,
    /// Starts them again.
    pub restarter: Arc<Restarter>,
    /// Marks them as used, and says how they leave networks that no launch uses them on.
    pub departure: Arc<Departure>,
}

impl RunningOn {
    /// The sidecars that keep running, with their instances.
    pub fn services(&self) -> impl Iterator<Item = (String, Instance)> {
        self.instances.iter().filter(|(name, _)| self.on_exit.contains_key(name)).cloned()
    }
}

impl Launch {
    /// What runs, once all are ready: the instances of all placements, one after the other.
    pub(super) fn running(
        &self,
        placements: &[Placement<'_>],
        leases: &Leases,
        departures: Vec<Arc<Departure>>,
        waits: &[Waits],
        instances: Vec<Instance>,
    ) -> Running {
        let (mut rest, mut engines, mut direct) = (instances.into_iter(), Vec::new(), true);
        for ((placement, departure), waits) in placements.iter().zip(departures).zip(waits) {
            let reached = placement.sidecars.iter().zip(rest.by_ref()).map(|(prepared, instance)| {
                let instance = waits.route.as_reached(instance, prepared.sidecar.definition.port());
                (prepared.sidecar.name().to_owned(), instance)
            });
            let instances: Vec<(String, Instance)> = reached.collect();
            let ports =
                placement.sidecars.iter().map(|prepared| prepared.sidecar.definition.port().is_some());
            direct &= instances
                .iter()
                .zip(ports)
                .all(|((_, instance), has_port)| !has_port || waits.route.is_direct(instance));
            let (engine, network) =
                (Arc::clone(&placement.connection.engine), placement.network.name.clone());
            let services = || {
                let sidecars = placement.sidecars.iter().map(|prepared| &prepared.sidecar);
                sidecars.filter(|sidecar| sidecar.definition.job().is_none())
            };
            let is_restarted = |sidecar: &&Sidecar| sidecar.definition.on_exit == OnExit::Restart;
            let by_name = |sidecar: &Sidecar| (sidecar.name().to_owned(), sidecar.clone());
            let restarter = Arc::new(Restarter {
                connection: Arc::clone(&placement.connection),
                network: placement.network.clone(),
                harness: self.harness.clone(),
                leases: leases.clone(),
                departure: Arc::clone(&departure),
                sidecars: services().filter(is_restarted).map(by_name).collect(),
            });
            let action = |sidecar: &Sidecar| ExitAction {
                on_exit: sidecar.definition.on_exit,
                whole_log: sidecar.whole_log(),
            };
            let on_exit = services().map(|sidecar| (sidecar.name().to_owned(), action(sidecar))).collect();
            let route = Arc::clone(&waits.route);
            engines.push(RunningOn { engine, network, route, instances, on_exit, restarter, departure });
        }
        let all = || engines.iter().flat_map(|on| &on.instances);
        let of = |prepared: &ResolvedSidecar| all().find(|(name, _)| name == prepared.sidecar.name());
        let instances = self.sidecars.iter().filter_map(of).map(|(_, instance)| instance.clone()).collect();
        Running { instances, direct, engines, leases: leases.clone(), uses: Arc::clone(&self.uses) }
    }
}

impl Running {
    /// A sidecar's address on the network where the harness meets it.
    #[must_use]
    pub fn address(&self, sidecar: &str) -> Option<IpAddr> {
        self.engines.iter().find_map(|on| {
            let (_, instance) = on.instances.iter().find(|(name, _)| name == sidecar)?;
            instance.address(&on.network)
        })
    }

    /// Leaves what is others', when the harness has ended.
    pub async fn leave(self) {
        self.uses.end().await;
        leave(self.engines.into_iter().map(|on| on.departure).collect()).await;
    }
}

pub(super) async fn leave(departures: Vec<Arc<Departure>>) {
    futures_util::future::join_all(departures.iter().map(|departure| departure.leave())).await;
}
