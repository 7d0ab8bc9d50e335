//! Starting a sidecar again that ended while the harness runs: a plan for it alone, made and carried out as a launch does.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::apply::Applier;
use super::connection::Connection;
use super::departure::Departure;
use crate::engine::Freshness;
use crate::event::Reporter;
use crate::harness::on_exit::Restarts;
use crate::plan::HarnessNetwork;
use crate::plan::instance::Instance;
use crate::plan::reconcile::reconcile;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::leases::Leases;
use crate::system::lock::LockFolder;

/// Starts the sidecars on one engine again.
pub struct Restarter {
    pub(super) connection: Arc<Connection>,
    pub(super) network: HarnessNetwork,
    /// What the harness is, for whoever waits for a lock.
    pub(super) harness: String,
    pub(super) leases: Leases,
    pub(super) departure: Arc<Departure>,
    /// By their names.
    pub(super) sidecars: BTreeMap<String, Sidecar>,
}

#[async_trait]
impl Restarts for Restarter {
    async fn restart(&self, sidecar: &str) -> Result<Instance, Problem> {
        let gone = || {
            Problem::error(Code::SidecarNotFound, format!("there is no sidecar `{sidecar}`"))
                .hint("List the sidecars with `farrier ps`.")
        };
        let sidecar = Arc::new(self.sidecars.get(sidecar).ok_or_else(gone)?.clone());
        let locks = LockFolder::open(&self.connection.info().await?.id)?.held_by(&self.harness);
        let _held = locks.lock(&sidecar.container, |_| ()).await?;
        let engine = self.connection.engine.as_ref();
        let wanted = [Arc::clone(&sidecar)];
        let snapshot = engine.observe(&wanted, &self.network, Freshness::Current).await;
        let snapshot = snapshot.map_err(|error| self.connection.problem("inspect the sidecar", &error))?;
        let found = snapshot.sidecars.first().and_then(|observed| observed.found.as_ref());
        let _claim = match found {
            Some(found) => Some(self.leases.claim(&found.instance.id, |_| ()).await?),
            None => None,
        };
        let first = |problems: Vec<Problem>| problems.into_iter().next().unwrap_or_else(gone);
        let plan = reconcile(&wanted, snapshot, false).map_err(first)?;
        let applier = Applier {
            connection: Arc::clone(&self.connection),
            // The terminal is the harness's; the end, and that it runs again, are told by whoever watches.
            reporter: Arc::new(Reporter::new(Vec::new())),
            network: plan.network.clone(),
            locks,
            route: None,
            network_made: OnceCell::new(),
            departure: Arc::clone(&self.departure),
        };
        for part in &plan.sidecars {
            applier.sidecar(part).await?;
        }
        let found = engine.inspect(&sidecar.container).await;
        let found = found.map_err(|error| self.connection.problem("inspect the sidecar", &error))?;
        found.filter(Instance::is_up).ok_or_else(gone)
    }
}
