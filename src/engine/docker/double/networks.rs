//! Networks: two may have one name, which is then ambiguous wherever it is used.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::world::{World, carries, not_found};
use crate::engine::docker::api::{Endpoint, Member, Network};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

fn refused(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Refused, message)
}

impl World {
    /// All networks of this name, or the one whose id begins so.
    #[must_use]
    pub fn networks(&self, name: &str) -> Vec<Network> {
        let named = |network: &&Network| network.name == name;
        let mut found: Vec<Network> = self.networks.iter().filter(named).cloned().collect();
        if found.is_empty() && name.len() >= 12 {
            found.extend(self.networks.iter().find(|network| network.id.starts_with(name)).cloned());
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        found
    }

    pub(super) fn labelled_networks(&self, label: &str) -> Vec<Network> {
        self.networks.iter().filter(|network| carries(&network.labels, label)).cloned().collect()
    }

    /// Makes a network, whether or not there is one of that name. Gives its id.
    pub fn create_network(&mut self, name: &str, labels: &BTreeMap<String, String>) -> String {
        let id = self.new_id();
        self.networks.push(Network {
            id: id.clone(),
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            labels: labels.clone(),
            bridge: "lo".to_owned(),
        });
        id
    }

    pub(super) fn one_network(&self, name: &str) -> EngineResult<Network> {
        match self.networks(name).as_slice() {
            [] => Err(not_found(format_args!("network: {name}"))),
            [one] => Ok(one.clone()),
            several => {
                let count = several.len();
                Err(refused(format!("network {name} is ambiguous ({count} matches found on name)")))
            }
        }
    }

    /// Removes a network that no running container is on.
    pub fn remove_network(&mut self, id: &str) -> EngineResult<()> {
        let network = self.one_network(id)?;
        if !self.members(&network.id)?.is_empty() {
            return Err(refused(format!("network {} has active endpoints", network.name)));
        }
        self.networks.retain(|other| other.id != network.id);
        Ok(())
    }

    /// The containers that run on a network.
    pub fn members(&self, network: &str) -> EngineResult<Vec<String>> {
        let id = self.one_network(network)?.id;
        let on_it = self.containers.values().filter(|kept| {
            kept.is_up() && kept.container.networks.values().any(|endpoint| endpoint.network_id == id)
        });
        Ok(on_it.map(|kept| kept.container.id.clone()).collect())
    }

    /// All networks of this name, and who runs on it where it is one.
    pub(super) fn inhabited(&self, name: &str) -> (Vec<Network>, Vec<Member>) {
        let found = self.networks(name);
        let [network] = found.as_slice() else { return (found, Vec::new()) };
        let endpoints = self.containers.values().filter(|kept| kept.is_up()).filter_map(|kept| {
            let mut all = kept.container.networks.values();
            all.find(|endpoint| endpoint.network_id == network.id).map(|found| (kept, found))
        });
        let members = endpoints.map(|(kept, endpoint)| Member {
            container: kept.container.id.clone(),
            name: kept.container.name.clone(),
            endpoint: endpoint.id.clone(),
            address: endpoint.address,
        });
        let members = members.collect();
        (found, members)
    }

    /// Puts a container on a network.
    pub fn connect(&mut self, network: &str, container: &str, aliases: &[String]) -> EngineResult<()> {
        let network = self.one_network(network)?;
        let id = self.new_id();
        let kept = self.find_mut(container)?;
        if kept.is_up() && kept.container.networks.contains_key(&network.name) {
            return Err(refused(format!(
                "endpoint with name {container} already exists in {}",
                network.name
            )));
        }
        let up = kept.is_up();
        let address = kept.address();
        let id = if up { id } else { String::new() };
        let endpoint = Endpoint { id, aliases: aliases.to_vec(), ..Endpoint::default() };
        let endpoint = if up { joined(endpoint, &network, address, &kept.container.id) } else { endpoint };
        kept.container.networks.insert(network.name, endpoint);
        Ok(())
    }

    /// Takes a container off a network.
    pub fn disconnect(&mut self, network: &str, container: &str) -> EngineResult<()> {
        // By force: a network that is gone is as good as one that the container is not on.
        let name = match self.one_network(network) {
            Err(error) if error.kind == EngineErrorKind::NotFound => network.to_owned(),
            found => found?.name,
        };
        match self.find_mut(container)?.container.networks.remove(&name) {
            Some(_) => Ok(()),
            None => Err(refused(format!("container {container} is not connected to network {name}"))),
        }
    }
}

/// The endpoint of a container that runs.
pub(super) fn joined(
    mut endpoint: Endpoint,
    network: &Network,
    address: Option<IpAddr>,
    container: &str,
) -> Endpoint {
    let short = container.get(..12).unwrap_or(container).to_owned();
    if !endpoint.aliases.contains(&short) {
        endpoint.aliases.push(short);
    }
    Endpoint {
        network_id: network.id.clone(),
        address,
        gateway: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        bridge: "lo".to_owned(),
        ..endpoint
    }
}
