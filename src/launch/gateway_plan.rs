//! When a launch opens the way from a harness in a container to the sidecars that this host runs itself: what can be refused is
//! refused before anything is started, and nobody is let in before all sidecars are ready.

use super::Running;
use crate::harness::argv::{DockerRun, Harness};
use crate::harness::gateway::{DEFAULT_NETWORK, Forwards, Gateway, Hosted, unreached};
use crate::harness::network_mode::NetworkMode;
use crate::report::error::Failure;

/// How a harness in a container is to reach the sidecars that this host runs itself.
pub struct GatewayPlan {
    run: Box<DockerRun>,
    hosted: Vec<Hosted>,
    /// Whether its engine runs no sidecar.
    is_alone: bool,
    /// Once it is found.
    gateway: Option<Gateway>,
}

impl GatewayPlan {
    /// `None` if the harness needs no such way.
    #[must_use]
    pub fn of(harness: &Harness, hosted: Vec<Hosted>, has_others: bool) -> Option<Self> {
        let Harness::Docker(run) = harness else { return None };
        let is_needed = !hosted.is_empty() && !matches!(run.network(), NetworkMode::Host);
        is_needed.then(|| Self { run: run.clone(), hosted, is_alone: !has_others, gateway: None })
    }

    /// The network that the harness will be on, and is there already; `None` if the launch makes it.
    fn network(&self) -> Option<&str> {
        match self.run.network() {
            NetworkMode::Named(names) => names.first().map(String::as_str),
            _ if self.is_alone => Some(DEFAULT_NETWORK),
            _ => None,
        }
    }

    /// Finds it before anything is started, if that is possible.
    ///
    /// # Errors
    /// If the harness cannot reach this host.
    pub async fn found_early(self) -> Result<Self, Failure> {
        let Some(network) = self.network() else { return Ok(self) };
        let gateway = self.find(network).await?;
        Ok(Self { gateway: Some(gateway), ..self })
    }

    async fn find(&self, network: &str) -> Result<Gateway, Failure> {
        let sidecar = self.hosted.first().map(|hosted| hosted.name.as_str()).unwrap_or_default();
        Gateway::find(&self.run, network).await.map_err(|reason| unreached(sidecar, &reason).into())
    }

    /// Listens for the harness.
    ///
    /// # Errors
    /// If the harness cannot reach this host, or a port is taken.
    pub async fn open(self, own_network: &str, running: &Running) -> Result<Forwards, Failure> {
        let gateway = match &self.gateway {
            Some(gateway) => gateway.clone(),
            None => self.find(own_network).await?,
        };
        let address = |hosted: Hosted| Some((running.address(&hosted.name)?, hosted));
        let sidecars = self.hosted.into_iter().filter_map(address);
        let sidecars: Vec<_> = sidecars.map(|(address, hosted)| (hosted, address)).collect();
        Ok(gateway.open(&sidecars, self.is_alone).await?)
    }
}
