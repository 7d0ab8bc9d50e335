//! The sidecars of a launch as its harness sees them: where they are, or at local ports that are forwarded to them.

use std::net::IpAddr;

use super::{Launch, Running};
use crate::definition::Definition;
use crate::harness::argv::Harness;
use crate::harness::forwards::{Distant, LOCAL, LocalForwards};
use crate::report::error::Problem;

/// Sidecars with their addresses. Dropping it ends the forwarding.
pub struct Forwarding {
    sidecars: Vec<(Definition, Option<IpAddr>)>,
    /// Whether a harness on this host reaches all of them.
    pub direct: bool,
    _local: Option<LocalForwards>,
}

impl Forwarding {
    /// Forwards what this harness needs: nothing for one in a container, or if this host has a route to all sidecars.
    ///
    /// # Errors
    /// If the engine does not answer, or this host has no free port.
    pub async fn of(launch: &Launch, running: &Running, harness: &Harness) -> Result<Self, Problem> {
        let definitions = || launch.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
        let is_needed = matches!(harness, Harness::Host(_)) && !running.direct;
        let local =
            if is_needed { LocalForwards::open(distant(running, definitions())).await? } else { None };
        let seen = |definition: &Definition| {
            let ports = local.as_ref().and_then(|local| local.of(&definition.name));
            match ports {
                Some(ports) => (definition.at_ports(ports), Some(LOCAL)),
                None => (definition.clone(), running.address(&definition.name)),
            }
        };
        let sidecars = definitions().map(seen).collect();
        Ok(Self { sidecars, direct: running.direct || local.is_some(), _local: local })
    }

    /// The definitions, each with the address at which the harness reaches the sidecar.
    #[must_use]
    pub fn sidecars(&self) -> Vec<(&Definition, Option<IpAddr>)> {
        self.sidecars.iter().map(|(definition, address)| (definition, *address)).collect()
    }
}

/// The sidecars among these that have ports, and that this host has no route to.
fn distant<'a>(running: &Running, definitions: impl IntoIterator<Item = &'a Definition>) -> Vec<Distant> {
    let with_ports = definitions.into_iter().filter(|definition| definition.port().is_some());
    let distant = with_ports.filter_map(|definition| {
        running.engines.iter().find_map(|on| {
            let (name, instance) = on.instances.iter().find(|(name, _)| *name == definition.name)?;
            let is_distant = instance.told_address(&on.network).is_some() && !on.route.is_direct(instance);
            let (ports, route) = (definition.ports(), std::sync::Arc::clone(&on.route));
            is_distant.then(|| Distant::new(name.clone(), instance.clone(), ports, route))
        })
    });
    distant.collect()
}
