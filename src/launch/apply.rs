//! Carries a plan out. It decides nothing: each step is in the plan, the engine takes it, and each failure is told as it
//! is.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::connection::Connection;
use super::departure::Departure;
use crate::engine::{Carrier, Progress};
use crate::event::{Event, Reporter};
use crate::plan::instance::Instance;
use crate::plan::sidecar::Sidecar;
use crate::plan::{NetworkPlan, SidecarPlan};
use crate::readiness::route::Route;
use crate::report::error::Problem;
use crate::system::lock::{Holder, LockFolder};

/// A launch that carries out its plan on one engine.
pub(super) struct Applier {
    pub connection: Arc<Connection>,
    pub reporter: Arc<Reporter>,
    pub network: NetworkPlan,
    /// Locks between launches: two must not make the network at once.
    pub locks: LockFolder,
    /// The way to the instances, which may be begun once the network is there.
    pub route: Option<Arc<Route>>,
    /// Set once the network is as planned.
    pub network_made: OnceCell<()>,
    /// Where the instances are marked as used.
    pub departure: Arc<Departure>,
}

impl Applier {
    /// Fetches what one sidecar's part of the plan needs; nothing is made.
    pub(super) async fn fetch(&self, part: &SidecarPlan) -> Result<(), Problem> {
        self.connection.engine.fetch(part, self).await
    }

    /// Carries out one sidecar's part of the plan.
    pub(super) async fn sidecar(&self, part: &SidecarPlan) -> Result<(), Problem> {
        self.connection.engine.carry_out(part, &self.network.name, self).await
    }
}

#[async_trait]
impl Carrier for Applier {
    fn tell(&self, progress: Progress<'_>) {
        self.reporter.tell(&Event::from(progress));
    }

    async fn network(&self) -> Result<(), Problem> {
        if self.network.is_untouched() {
            return Ok(());
        }
        let make = async {
            let network = self.network.name.as_str();
            let waiting =
                |holder: Option<&Holder>| self.reporter.tell(&Event::WaitingForNetwork { network, holder });
            let _held = self.locks.lock_network(network, waiting).await?;
            self.connection.engine.make_network(&self.network, self).await?;
            if let Some(route) = &self.route {
                route.begin();
            }
            Ok(())
        };
        self.network_made.get_or_try_init(|| make).await.map(|&()| ())
    }

    fn mark(&self, sidecar: &Sidecar, instance: &str) -> Result<(), Problem> {
        self.departure.mark(sidecar, instance)
    }

    fn used_by_others(&self, instance: &Instance) -> Vec<String> {
        self.departure.used_by_others(instance)
    }
}
