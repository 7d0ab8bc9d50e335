//! Where sidecars are reached, in the words of `ps` and `up`.

use std::net::SocketAddr;

use crate::definition::{Protocol, PublishedPort};
use crate::plan::OWN_NETWORK;
use crate::plan::instance::Instance;

/// The network whose address of an instance is shown if no harness names one: farrier's own, or any on which the instance has
/// an address.
pub(super) fn home(instance: &Instance) -> Option<&str> {
    let has_address = |name: &&str| instance.address(name).is_some();
    let all = instance.networks.keys().map(String::as_str);
    std::iter::once(OWN_NETWORK).chain(all).find(has_address)
}

/// The instance's address on a network, with each of its ports, and its ports on the engine's host.
pub(super) fn addresses(instance: &Instance, network: Option<&str>, ports: &[u16]) -> Vec<String> {
    let address = network.and_then(|network| instance.address(network));
    let own = address.into_iter().flat_map(|address| {
        let places = ports.iter().map(move |port| SocketAddr::new(address, *port).to_string());
        let alone = ports.is_empty().then(|| address.to_string());
        places.chain(alone)
    });
    own.chain(instance.published.iter().map(published)).collect()
}

/// As `docker ps` has it, without the protocol that most ports have.
fn published(port: &PublishedPort) -> String {
    let place = SocketAddr::new(port.address, port.host);
    let protocol = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("{place}->{}{protocol}", port.container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::instance::Endpoint;

    fn instance(networks: &[(&str, Option<&str>)], published: &[(&str, &str, &str)]) -> Instance {
        let endpoint = |address: Option<&str>| Endpoint {
            address: address.and_then(|address| address.parse().ok()),
            ..Endpoint::default()
        };
        Instance {
            networks: networks.iter().map(|(name, at)| ((*name).to_owned(), endpoint(*at))).collect(),
            published: published
                .iter()
                .filter_map(|(inside, at, host)| PublishedPort::of_engine(inside, at, host))
                .collect(),
            ..Instance::default()
        }
    }

    #[test]
    fn each_port_has_its_place() {
        let both = [("a", Some("10.0.0.2")), (OWN_NETWORK, Some("172.18.0.2"))];
        for (networks, published, ports, expected) in [
            (&both[..], &[][..], &[5432, 8008][..], &["172.18.0.2:5432", "172.18.0.2:8008"][..]),
            (&both[..1], &[], &[], &["10.0.0.2"]),
            (&[("a", Some("fd00::2"))], &[], &[80], &["[fd00::2]:80"]),
            (&[(OWN_NETWORK, None)], &[], &[80], &[]),
            (
                &[],
                &[("80/tcp", "127.0.0.1", "8080"), ("53/udp", "::", "53"), ("1/sctp", "::", "1")],
                &[80],
                &["127.0.0.1:8080->80", "[::]:53->53/udp"],
            ),
        ] {
            let instance = instance(networks, published);
            assert_eq!(addresses(&instance, home(&instance), ports), expected, "{networks:?} {published:?}");
        }
    }
}
