//! Leaving what is others'. While a launch uses instances, marks say so; when it ends, its sidecars leave the networks that
//! only launches needed: they joined the harness's network for it, and would keep that from being removed, as by
//! `docker compose down` of the project that it belongs to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use crate::plan::instance::Instance;
use crate::plan::sidecar::Sidecar;
use crate::plan::{HarnessNetwork, Plan, SidecarPlan};
use crate::report::error::Problem;
use crate::system::leases::{InUse, Leases};

/// How long leaving may take: somebody waits for the harness's exit code.
const PATIENCE: Duration = Duration::from_secs(10);

/// The instances that a launch uses on one engine, and its network there, on which it uses them. They are no longer marked
/// when this is dropped.
pub struct Departure {
    connection: Arc<Connection>,
    leases: Leases,
    network: HarnessNetwork,
    /// Whether instances that join the network stay on it.
    is_own: bool,
    /// Ids of the instances that were on a network that is not theirs before this launch did anything.
    guests: BTreeSet<String>,
    used: Mutex<Vec<Used>>,
}

struct Used {
    sidecar: Sidecar,
    /// Its instance's id.
    instance: String,
    mark: InUse,
}

/// The instances that are on a network for a launch alone: neither farrier's own one nor one that is declared.
fn guests(plan: &Plan, home: &str) -> BTreeSet<String> {
    let is_guest = |part: &SidecarPlan, instance: &Instance| {
        let declared = &part.sidecar.definition.container.networks;
        let stays = |name: &String| {
            name == home || declared.contains(name) || (plan.network.is_own && *name == plan.network.name)
        };
        !instance.networks.keys().all(stays)
    };
    let parts = plan.sidecars.iter().filter_map(|part| Some((part, part.existing.as_ref()?)));
    parts
        .filter(|(part, instance)| is_guest(part, instance))
        .map(|(_, instance)| instance.id.clone())
        .collect()
}

impl Departure {
    /// Of a launch that carries out this plan, and whose harness meets its sidecars on this network.
    #[must_use]
    pub fn new(connection: Arc<Connection>, leases: Leases, network: HarnessNetwork, plan: &Plan) -> Self {
        let guests = guests(plan, &network.home);
        Self {
            connection,
            leases,
            is_own: plan.network.is_own,
            network,
            guests,
            used: Mutex::new(Vec::new()),
        }
    }

    /// Marks the instance of a sidecar as used, on the network too. It must be this launch's own alone: just created, or
    /// claimed.
    ///
    /// # Errors
    /// If a mark cannot be written.
    pub fn mark(&self, sidecar: &Sidecar, instance: &str) -> Result<(), Problem> {
        self.keep(sidecar, instance, self.leases.mark(instance, &self.network.name)?);
        Ok(())
    }

    /// Marks the instance of a sidecar as used, on the network too; false if another command is about to change it.
    ///
    /// # Errors
    /// If a mark cannot be written.
    pub fn share(&self, sidecar: &Sidecar, instance: &str) -> Result<bool, Problem> {
        let Some(mark) = self.leases.share(instance, &self.network.name)? else { return Ok(false) };
        self.keep(sidecar, instance, mark);
        Ok(true)
    }

    /// The ids of an instance, and of those that it replaced, that other launches use.
    #[must_use]
    pub fn used_by_others(&self, instance: &Instance) -> Vec<String> {
        let used = self.leases.holders_of(instance.lease_ids()).into_iter();
        used.filter(|(_, holders)| !holders.is_empty()).map(|(id, _)| id).collect()
    }

    /// The instance of a sidecar that was marked last.
    #[must_use]
    pub fn instance_of(&self, sidecar: &Sidecar) -> Option<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let found = used.iter().rev().find(|used| used.sidecar.container == sidecar.container);
        found.map(|used| used.instance.clone())
    }

    fn keep(&self, sidecar: &Sidecar, instance: &str, mark: InUse) {
        let used = Used { sidecar: sidecar.clone(), instance: instance.to_owned(), mark };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(used);
    }

    /// Takes the sidecars off the networks that only launches like this one needed, and that no launch needs any more:
    /// also those of launches that were killed, or whose harness was detached. What goes wrong is left to the next launch.
    pub async fn leave(&self) {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        let (marks, mut sidecars): (Vec<InUse>, Vec<(Sidecar, String)>) =
            used.into_iter().map(|used| (used.mark, (used.sidecar, used.instance))).unzip();
        // Of launches that end at once, the last one must see that nobody is left.
        drop(marks);
        // Whoever takes an instance to another network meanwhile, takes it off there as well.
        sidecars.retain(|(sidecar, instance)| {
            // A session's own end with it.
            sidecar.session.is_none() && (!self.is_own || self.guests.contains(instance))
        });
        if sidecars.is_empty() {
            return;
        }
        let left = self.connection.engine.leave(&sidecars, &self.network.home, &self.leases);
        match tokio::time::timeout(PATIENCE, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("sidecars cannot leave the harness's network: {error}"),
            Err(_) => tracing::debug!("leaving the harness's network took too long"),
        }
    }
}
