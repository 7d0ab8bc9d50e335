//! Ports of the engine's host: who has those that sidecars are to be published at, looked at before anything is made.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use rustix::io::Errno;

use super::api::{Api, Container, ContainerPort, Status};
use crate::definition::{Protocol, PublishedPort};
use crate::engine::EngineResult;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::listeners;

/// Who has a port, in words, by the port that a sidecar is to have.
pub(super) type Taken = BTreeMap<PublishedPort, String>;

/// Looks for those that have the ports of sidecars, other than their own containers. `containers` are by name. On an engine
/// elsewhere, only containers are looked at.
pub(super) async fn taken(
    api: &dyn Api,
    sidecars: &[Arc<Sidecar>],
    containers: &BTreeMap<String, Container>,
    local: bool,
) -> EngineResult<Taken> {
    let mut taken = Taken::new();
    let is_new = |sidecar: &&Arc<Sidecar>| !has_its_ports(sidecar, containers.get(&sidecar.container));
    let wanting: Vec<&Arc<Sidecar>> = sidecars.iter().filter(is_new).collect();
    if wanting.is_empty() {
        return Ok(taken);
    }
    let published = api.published().await?;
    for sidecar in wanting {
        let own = containers.get(&sidecar.container).map(|container| container.id.as_str());
        for port in sidecar.definition.container.publish.iter().filter(|port| port.host != 0) {
            let holders: Vec<&ContainerPort> =
                published.iter().filter(|other| other.port.collides(port)).collect();
            let by = match holders.iter().find(|holder| Some(holder.container.as_str()) != own) {
                Some(holder) => Some(format!("the container `{}`", holder.name)),
                None if holders.is_empty() && local => listener(*port),
                None => None,
            };
            taken.extend(by.map(|by| (*port, by)));
        }
    }
    Ok(taken)
}

/// Whether a container that runs was published at a sidecar's ports; also if none are to be looked for.
fn has_its_ports(sidecar: &Sidecar, container: Option<&Container>) -> bool {
    let ports = &sidecar.definition.container.publish;
    if ports.iter().all(|port| port.host == 0) {
        return true;
    }
    let bindings = |container: &Container| container.settings.get("HostConfig.PortBindings").cloned();
    let bound = container.filter(|container| container.status == Status::Running).and_then(bindings);
    bound.is_some_and(|bound| {
        ports.iter().filter(|port| port.host != 0).all(|port| {
            let own = bound.get(format!("{}/{}", port.container, port.protocol));
            own.and_then(|own| own.as_array()).into_iter().flatten().any(|binding| {
                binding["HostPort"].as_str() == Some(port.host.to_string().as_str())
                    && binding["HostIp"].as_str() == Some(port.address.to_string().as_str())
            })
        })
    })
}

/// Who on this host has a port, if somebody has it: tried by taking it for a moment.
fn listener(port: PublishedPort) -> Option<String> {
    let place = SocketAddr::new(port.address, port.host);
    let tried = match port.protocol {
        Protocol::Tcp => TcpListener::bind(place).map(drop),
        Protocol::Udp => UdpSocket::bind(place).map(drop),
    };
    let taken = tried.is_err_and(|error| error.raw_os_error() == Some(Errno::ADDRINUSE.raw_os_error()));
    if !taken {
        // Other errors are the engine's to judge: it may take what this user may not.
        return None;
    }
    let owner = (port.protocol == Protocol::Tcp)
        .then(|| listeners::owner(*listeners::taken().get(&port.host)?))
        .flatten();
    Some(match owner {
        Some((process, name)) => format!("process {process} ({name})"),
        None => "another user's process".to_owned(),
    })
}

/// A problem for each port of a sidecar that somebody else has.
pub(super) fn problems<'a>(sidecar: &'a Sidecar, taken: &'a Taken) -> impl Iterator<Item = Problem> + 'a {
    sidecar.definition.container.publish.iter().filter_map(|port| {
        let by = taken.get(port)?;
        let place = SocketAddr::new(port.address, port.host);
        let message = format!("port {place} on this host is in use by {by}");
        let problem = Problem::error(Code::PortTaken, message).of(sidecar.name());
        Some(
            problem
                .at(sidecar.definition.place("interface.publish"))
                .hint("Free the port, or choose another one in `interface.publish`.")
                .hint(format!("Or write only `\"{}\"`, which publishes on a free port.", port.container)),
        )
    })
}
