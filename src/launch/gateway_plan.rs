//! When a launch opens the way from a harness in a container to the sidecars that this host runs itself: what can be refused is
//! refused before anything is started, and nobody is let in before all sidecars are ready.

use std::collections::BTreeMap;

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
    /// If the harness cannot reach this host, or cannot tell two sidecars apart.
    pub async fn found_early(self) -> Result<Self, Failure> {
        if let Some((first, second, port)) = with_one_port(&self.hosted) {
            let reason =
                format!("`{}` has port {port}, too, and the harness reaches both at one address", first.name);
            let refused = unreached(&second.name, &reason).hint("Give one of the two sidecars another port.");
            return Err(refused.into());
        }
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

/// The first two sidecars that have a port in common.
fn with_one_port(hosted: &[Hosted]) -> Option<(&Hosted, &Hosted, u16)> {
    let mut seen = BTreeMap::new();
    let ports = hosted.iter().flat_map(|sidecar| sidecar.ports.iter().map(move |port| (*port, sidecar)));
    ports.into_iter().find_map(|(port, sidecar)| {
        let first = *seen.entry(port).or_insert(sidecar);
        (first.name != sidecar.name).then_some((first, sidecar, port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosted(name: &str, ports: &[u16]) -> Hosted {
        Hosted { name: name.to_owned(), aliases: vec![name.to_owned()], ports: ports.to_vec() }
    }

    #[test]
    fn two_sidecars_with_one_port_are_found() {
        let found = |sidecars: &[Hosted]| {
            with_one_port(sidecars)
                .map(|(first, second, port)| (first.name.clone(), second.name.clone(), port))
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[hosted("db", &[5432]), hosted("cache", &[6379, 6380])]), None);
        assert_eq!(found(&[hosted("db", &[7, 7])]), None);
        let two = [hosted("db", &[5432]), hosted("cache", &[6379]), hosted("replica", &[80, 5432])];
        assert_eq!(found(&two), Some(("db".to_owned(), "replica".to_owned(), 5432)));
    }
}
