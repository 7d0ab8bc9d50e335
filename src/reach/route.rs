//! How probes reach containers: straight from this host where that is proven to be right, else by a relay.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;

use crate::engine::dialler::Sockets;
use crate::engine::dialler::{Dialler, Direct};
use crate::engine::{Container, Engine, EngineResult};
use crate::event::{Event, Reporter};
use crate::reach::relay;
use crate::report::error::{Code, Problem};

const NAME_AN_IMAGE: &str = "Name an image with python3, nc or bash by `--probe-image`.";
const LEAVE_RELAYS: &str =
    "Leave containers named `farrier-relay-…` alone: they go by themselves with the launch.";
/// How many relays of one launch are replaced when they ended. Somebody who tidies up removes one or two; one that
/// ends by itself would end each time.
const REPLACED: usize = 3;

/// How probes reach a sidecar's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialling {
    /// From this host where it has a route, else through a relay container.
    #[default]
    Auto,
    /// Through a relay container.
    Relay,
    /// Not at all: that the container runs is the check.
    None,
}

/// The way to the containers of one launch, decided at the first dial.
pub struct Route {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where the warning goes.
    pub reporter: Arc<Reporter>,
    /// What the user chose.
    pub choice: Dialling,
    /// Whether the engine is reached over a socket of this host.
    pub local: bool,
    /// The network that harness and sidecars meet on.
    pub network: String,
    /// Images that a relay may be made from, the preferred one first.
    pub images: Vec<String>,
    /// The decision, once there is one.
    pub decided: Mutex<Option<Decided>>,
    /// Which bridges, with which address, are this host's: asked for once, since asking reads every interface.
    pub bridges: Bridges,
}

/// What is known of bridges: by name and address, whether they are of this host.
pub type Bridges = std::sync::Mutex<HashMap<(String, IpAddr), bool>>;

/// How containers are reached.
pub struct Decided {
    dialler: Option<Arc<dyn Dialler>>,
    /// Relays that ended, and were replaced or could not be.
    ended: usize,
}

impl Route {
    /// The way to this container; none where there is none, which is said once. A relay that ended is replaced.
    ///
    /// # Errors
    /// When the engine does not answer: that decides nothing, and may be asked again.
    pub async fn dialler(&self, container: &Container) -> EngineResult<Option<Arc<dyn Dialler>>> {
        let mut decided = self.decided.lock().await;
        if let Some(found) = decided.as_mut() {
            if found.dialler.as_ref().is_some_and(|dialler| dialler.has_ended()) && found.ended < REPLACED {
                let relay = self.relay().await?;
                found.ended += 1;
                self.warn_of_end(relay.as_ref().err().map(String::as_str));
                found.dialler = relay.ok().or(found.dialler.take());
            }
            return Ok(found.dialler.clone());
        }
        let dialler = self.decide(container).await?;
        *decided = Some(Decided { dialler: dialler.clone(), ended: 0 });
        Ok(dialler)
    }

    /// Whether sockets that a guest opens itself lead to this container: only where dials go straight to it.
    #[must_use]
    pub fn sockets(&self, container: &Container) -> Sockets {
        let direct = self.choice == Dialling::Auto && self.is_direct(container);
        if direct { Sockets::Direct } else { Sockets::Relayed }
    }

    async fn decide(&self, container: &Container) -> EngineResult<Option<Arc<dyn Dialler>>> {
        match self.choice {
            Dialling::Auto if self.is_direct(container) => return Ok(Some(Arc::new(Direct))),
            Dialling::Auto | Dialling::Relay => {}
            Dialling::None => {
                self.warn("dialling is switched off", "Leave out `--dial none` to have ports dialled.");
                return Ok(None);
            }
        }
        match self.relay().await? {
            Ok(dialler) => Ok(Some(dialler)),
            Err(reason) => {
                self.warn(&reason, NAME_AN_IMAGE);
                Ok(None)
            }
        }
    }

    /// A relay, or why there can be none.
    async fn relay(&self) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        if self.local {
            relay::sweep(self.engine.as_ref()).await;
        }
        let architecture = self.engine.info().await?.architecture;
        let mut reason = "no image to relay from is present".to_owned();
        for image in &self.images {
            match relay::start(&self.engine, &self.network, image, &architecture).await {
                Ok(dialler) => return Ok(Ok(dialler)),
                Err(error) if error.kind.is_of_the_connection() => return Err(error),
                Err(error) => reason = format!("a relay cannot be made from {image}: {error}"),
            }
        }
        Ok(Err(reason))
    }

    fn warn_of_end(&self, why_none: Option<&str>) {
        let then = why_none.map_or_else(
            || "sidecars are dialled through a new one".to_owned(),
            |reason| format!("there is no new one: {reason}"),
        );
        let message = format!("the relay container was removed or ended; {then}");
        let problem = Problem::warning(Code::RelayEnded, message).hint(LEAVE_RELAYS);
        self.reporter.tell(&Event::Problem(&problem));
    }

    fn warn(&self, reason: &str, hint: &str) {
        let message = format!("sidecars are not dialled, so a port that is open is not proven: {reason}");
        let problem = Problem::warning(Code::CannotDial, message).hint(hint);
        self.reporter.tell(&Event::Problem(&problem));
    }

    /// Whether this host certainly reaches the container's own address: the engine is local, and the very
    /// bridge of the container's network is an interface of this host with the gateway's address. That a
    /// connection succeeds would prove nothing: gateways and transparent proxies accept for addresses where
    /// nothing is. Nor would the address alone: all engines hand out the same ones.
    #[must_use]
    pub fn is_direct(&self, container: &Container) -> bool {
        let Some(endpoint) = container.networks.get(&self.network) else { return false };
        let Some(gateway) = endpoint.gateway.filter(|_| self.local) else { return false };
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let bridge = (endpoint.bridge.clone(), gateway);
        *bridges.entry(bridge).or_insert_with_key(|(name, gateway)| is_of_this_host(name, *gateway))
    }
}

/// Whether the bridge of this network is an interface of this host.
#[must_use]
pub fn has_bridge(network_id: &str) -> bool {
    let Some(id) = network_id.get(..12) else { return false };
    let name = format!("br-{id}");
    nix::ifaddrs::getifaddrs()
        .is_ok_and(|mut interfaces| interfaces.any(|found| found.interface_name == name))
}

fn is_of_this_host(name: &str, address: IpAddr) -> bool {
    let Ok(mut interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces.any(|interface| {
        let Some(found) = interface.address else { return false };
        let v4 = found.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
        let v6 = found.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip()));
        interface.interface_name == name && v4.or(v6) == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_address_must_both_be_of_this_host() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert!(is_of_this_host("lo", loopback));
        assert!(!is_of_this_host("br-000000000000", loopback), "the address alone proves nothing");
        assert!(!is_of_this_host("lo", IpAddr::from([192, 0, 2, 1])));
    }
}
