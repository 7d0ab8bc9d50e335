//! Networks: making the launch's, leaving those of harnesses, and removing farrier's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures_util::future::join_all;

use super::Docker;
use super::api::{Api, Container, Network};
use crate::engine::problem::engine_problem;
use crate::engine::{Carrier, EngineError, EngineErrorKind, EngineResult, Progress};
use crate::plan::session::LABEL_SESSION_HOME;
use crate::plan::sidecar::{LABEL_NETWORK, LABEL_SIDECAR, Sidecar};
use crate::plan::{NetworkAction, NetworkPlan};
use crate::report::error::Problem;
use crate::system::leases::Leases;
use crate::system::lock::{Held, LockFolder};

/// So often at most is a network's removal asked for, which the engine refuses although nothing is seen on it.
pub(super) const MOST_REMOVALS: usize = 2;

/// Leaves one network of the name, and tells which: Docker accepts two, and is then ambiguous. The lowest id stays, on which
/// all launches agree.
pub(super) async fn make(
    api: &dyn Api,
    plan: &NetworkPlan,
    carrier: &dyn Carrier,
) -> Result<Option<Network>, Problem> {
    let name = plan.name.as_str();
    // Another launch may have made it while this one waited for the lock.
    let found = api.networks(name).await;
    let found = found.map_err(|error| engine_problem("look for the network", &error))?;
    if found.len() == 1 {
        return Ok(found.into_iter().next());
    }
    let doing = format!("prepare the network `{name}`");
    let failed = |error: EngineError| engine_problem(&doing, &error);
    let (kept, surplus) = match &plan.action {
        NetworkAction::Use { surplus, .. } => (None, surplus.clone()),
        NetworkAction::Create => {
            match create(api, name, &labels(plan)).await {
                Ok(()) => carrier.tell(Progress::NetworkCreated(name)),
                // Another tool was faster; its network serves as well.
                Err(error) if error.kind == EngineErrorKind::Conflict => {}
                Err(error) => return Err(failed(error)),
            }
            let mut found = api.networks(name).await.map_err(failed)?.into_iter();
            (found.next(), found.map(|network| network.id).collect())
        }
    };
    for id in surplus {
        match api.remove_network(&id).await {
            Ok(()) => {}
            // Its maker removes it as well.
            Err(error) if error.kind == EngineErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(kept)
}

type Labels = BTreeMap<String, String>;

/// By what a network of farrier's is known again. A session's is no network that sidecars stay on.
fn labels(plan: &NetworkPlan) -> Labels {
    let Some((session, home)) = &plan.session else { return own_labels() };
    let mut labels = session.labels();
    labels.insert(LABEL_SESSION_HOME.to_owned(), home.clone());
    labels
}

fn own_labels() -> Labels {
    Labels::from([(LABEL_NETWORK.to_owned(), "1".to_owned())])
}

async fn create(api: &dyn Api, name: &str, labels: &Labels) -> EngineResult<()> {
    api.create_network(name, labels).await.map(|_| ())
}

/// Takes containers off the networks that only launches needed and that none uses them on any more. One that is on no other
/// network goes to farrier's own, `home`: it may have work to do that needs one. Most are on `home` alone, which one listing
/// tells.
pub(super) async fn leave(
    docker: &Docker,
    used: &[(Sidecar, String)],
    home: &str,
    leases: &Leases,
) -> EngineResult<()> {
    let api = docker.api.as_ref();
    let ids: Vec<&str> = used.iter().map(|(_, container)| container.as_str()).collect();
    let listed = api.listed(&ids).await?;
    let mut places = Vec::new();
    for (sidecar, container) in used {
        let Some(found) = listed.iter().find(|listed| listed.id == *container) else { continue };
        let declared = &sidecar.definition.container.networks;
        let others = found.places.keys().filter(|name| **name != home && !declared.contains(name));
        places.extend(others.map(|network| (container.as_str(), network.as_str())));
    }
    let unused = without_own(api, leases.unused_on(places)).await?;
    let leaving = used.iter().filter(|(_, container)| unused.iter().any(|(id, _)| id == container));
    let all = leaving.map(async |(sidecar, container)| {
        if let Err(error) = leave_one(docker, sidecar, container, home, leases).await {
            tracing::debug!("{} cannot leave the harness's network: {error}", sidecar.container);
        }
    });
    join_all(all).await;
    Ok(())
}

/// Without the places on farrier's own networks. Each network is asked about once.
async fn without_own<'a>(
    api: &dyn Api,
    places: Vec<(&'a str, &'a str)>,
) -> EngineResult<Vec<(&'a str, &'a str)>> {
    let mut others = BTreeSet::new();
    for network in places.iter().map(|(_, network)| *network).collect::<BTreeSet<&str>>() {
        if !is_own(api, network).await? {
            others.insert(network);
        }
    }
    Ok(places.into_iter().filter(|(_, network)| others.contains(network)).collect())
}

async fn leave_one(
    docker: &Docker,
    sidecar: &Sidecar,
    container: &str,
    home: &str,
    leases: &Leases,
) -> EngineResult<()> {
    let api = docker.api.as_ref();
    // For a moment only, and the harness's output is not ours to write into.
    let Ok(_claim) = leases.claim(container, |_| ()).await else { return Ok(()) };
    let Some(found) = api.container(container).await? else { return Ok(()) };
    let joined = joined(sidecar, &found).into_iter().filter(|network| **network != home);
    let places = joined.map(|network| (container, network.as_str())).collect();
    let unused = without_own(api, leases.unused_on(places)).await?;
    if !unused.is_empty() && unused.len() == found.networks.len() {
        go_home(docker, &found, home).await?;
    }
    for (_, network) in unused {
        api.disconnect(network, container).await?;
    }
    Ok(())
}

/// The networks that a launch put it on: one that somebody connected by hand lacks its names there.
fn joined<'a>(sidecar: &Sidecar, container: &'a Container) -> Vec<&'a String> {
    let (declared, aliases) = (&sidecar.definition.container.networks, sidecar.definition.aliases());
    let is_named =
        |found: &[String]| !aliases.is_empty() && aliases.iter().all(|alias| found.contains(alias));
    let networks = container.networks.iter().filter(|(name, endpoint)| {
        !declared.contains(name) && (container.network_mode == **name || is_named(&endpoint.aliases))
    });
    networks.map(|(name, _)| name).collect()
}

/// The network that shared sidecars are on beside this one of a session, kept; `None` if it names none.
pub(super) async fn home_of_session(docker: &Docker, network: &str) -> EngineResult<Option<(String, Held)>> {
    let found = docker.api.networks(network).await?;
    let home = found.into_iter().find_map(|mut network| network.labels.remove(LABEL_SESSION_HOME));
    let Some(home) = home else { return Ok(None) };
    let kept = keep_home(docker, &home).await?;
    Ok(Some((home, kept)))
}

/// Makes farrier's own network if it is missing. Nobody removes it before the result is dropped, although nothing may be on it.
async fn keep_home(docker: &Docker, home: &str) -> EngineResult<Held> {
    let unlocked = |problem: Problem| EngineError::new(EngineErrorKind::Refused, problem.to_string());
    let locks = LockFolder::open(docker.id().await?).map_err(unlocked)?;
    let kept = locks.keep_network(home, |_| ()).await.map_err(unlocked)?;
    let _made_once = locks.lock_network(home, |_| ()).await.map_err(unlocked)?;
    if docker.api.networks(home).await?.is_empty() {
        match create(docker.api.as_ref(), home, &own_labels()).await {
            // Another tool was faster; its network serves as well.
            Err(error) if error.kind == EngineErrorKind::Conflict => {}
            created => created?,
        }
    }
    Ok(kept)
}

/// Puts a container on farrier's own network, without names: nobody asks for it there before the next launch.
pub(super) async fn go_home(docker: &Docker, container: &Container, home: &str) -> EngineResult<()> {
    let _kept = keep_home(docker, home).await?;
    docker.api.connect(home, &container.id, &[]).await
}

async fn is_own(api: &dyn Api, network: &str) -> EngineResult<bool> {
    let found = api.networks(network).await?;
    Ok(found.iter().any(|network| network.labels.contains_key(LABEL_NETWORK)))
}

/// The names of all networks that farrier made.
pub(super) async fn own(api: &dyn Api) -> EngineResult<Vec<String>> {
    Ok(api.labelled_networks(LABEL_NETWORK).await?.into_iter().map(|network| network.name).collect())
}

/// Removes a network that farrier made, if nothing is on it any more. Whether it is gone.
pub(super) async fn remove_unused(api: &dyn Api, name: &str) -> EngineResult<bool> {
    let found = api.networks(name).await?;
    let [network] = found.as_slice() else { return Ok(false) };
    if !network.labels.contains_key(LABEL_NETWORK) {
        return Ok(false);
    }
    for _ in 0..MOST_REMOVALS {
        match is_used(api, &network.id, name).await {
            Ok(false) => {}
            // Somebody removed it meanwhile.
            Err(error) if error.kind == EngineErrorKind::NotFound => return Ok(false),
            used => return used.map(|_| false),
        }
        match api.remove_network(&network.id).await {
            Err(error) if error.kind == EngineErrorKind::NotFound => return Ok(false),
            // Somebody joined it meanwhile, or what left it a moment ago still counts.
            Err(error) if !error.kind.is_of_the_connection() => {
                tracing::debug!("the engine keeps the network {name}: {error}");
            }
            removed => return removed.map(|()| true),
        }
    }
    Ok(false)
}

/// Whether something runs on it, or a sidecar that does not run would miss it at its next start.
async fn is_used(api: &dyn Api, id: &str, name: &str) -> EngineResult<bool> {
    if !api.members(id).await?.is_empty() {
        return Ok(true);
    }
    for sidecar in api.labelled(LABEL_SIDECAR).await? {
        let found = api.container(&sidecar.name).await?;
        if found.is_some_and(|found| found.networks.contains_key(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether this host has an interface of this name.
pub(super) fn is_interface(name: &str) -> bool {
    nix::ifaddrs::getifaddrs()
        .is_ok_and(|mut interfaces| interfaces.any(|found| found.interface_name == name))
}

/// Whether an interface of this name and address is this host's.
pub(super) fn is_of_this_host(name: &str, address: IpAddr) -> bool {
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
