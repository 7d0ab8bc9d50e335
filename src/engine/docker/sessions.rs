//! Networks of sessions: which there are, and removing one when its session has ended.

use futures_util::future::try_join_all;

use super::Docker;
use super::api::{Api, Network, Status};
use super::networks::{MOST_REMOVALS, go_home};
use crate::engine::{EngineErrorKind, EngineResult};
use crate::plan::session::{LABEL_SESSION, LABEL_SESSION_HARNESS, LABEL_SESSION_HOME, Session};
use crate::plan::sidecar::LABEL_SIDECAR;
use crate::system::leases::Leases;

/// The session whose network this is: its name says so, too.
fn session_of(network: &Network) -> Option<Session> {
    Session::of(&network.labels).filter(|session| network.name == session.network())
}

/// The sessions that have a network.
pub(super) async fn of_networks(api: &dyn Api) -> EngineResult<Vec<Session>> {
    Ok(api.labelled_networks(LABEL_SESSION).await?.iter().filter_map(session_of).collect())
}

/// Takes everything off a session's network, and removes it. A shared sidecar that would be on no network goes to the one
/// that the label names.
pub(super) async fn remove_network(
    docker: &Docker,
    session: &Session,
    leases: &Leases,
) -> EngineResult<bool> {
    let (api, name) = (docker.api.as_ref(), session.network());
    let all = api.networks(&name).await?;
    let own: Vec<&Network> =
        all.iter().filter(|network| session_of(network).as_ref() == Some(session)).collect();
    remove_harness(api, session).await?;
    for network in &own {
        let home = network.labels.get(LABEL_SESSION_HOME).map(String::as_str);
        // Also those that do not run: they could not start again without the network.
        let sidecars = api.labelled(LABEL_SIDECAR).await?.into_iter();
        let joined = sidecars.filter(|listed| listed.places.contains_key(&name));
        try_join_all(
            joined.map(async |listed| leave(docker, &network.id, &name, &listed.id, home, leases).await),
        )
        .await?;
        empty_and_remove(api, &network.id).await?;
    }
    Ok(!own.is_empty())
}

/// Removes a network with whatever else is on it, such as the harness of a launch that was killed.
async fn empty_and_remove(api: &dyn Api, network: &str) -> EngineResult<()> {
    let mut refusals = 0;
    loop {
        let members = match api.members(network).await {
            Err(error) if error.kind == EngineErrorKind::NotFound => return Ok(()),
            members => members?,
        };
        for member in members {
            gone_is_done(api.disconnect(network, &member).await)?;
        }
        match gone_is_done(api.remove_network(network).await) {
            // What left it a moment ago still counts.
            Err(error) if !error.kind.is_of_the_connection() && refusals + 1 < MOST_REMOVALS => refusals += 1,
            done => return done,
        }
    }
}

/// Removes the harness's container if its launch was killed before it started it.
async fn remove_harness(api: &dyn Api, session: &Session) -> EngineResult<()> {
    for listed in api.labelled(LABEL_SESSION_HARNESS).await? {
        let Some(found) = api.container(&listed.id).await? else { continue };
        let is_its = found.labels.get(LABEL_SESSION_HARNESS) == Some(&session.id);
        if is_its && found.status == Status::Created {
            gone_is_done(api.remove(&found.id, true).await)?;
        }
    }
    Ok(())
}

async fn leave(
    docker: &Docker,
    network: &str,
    name: &str,
    container: &str,
    home: Option<&str>,
    leases: &Leases,
) -> EngineResult<()> {
    let api = docker.api.as_ref();
    // Nobody else connects it to a network meanwhile.
    let _claim = leases.claim(container, |_| ()).await;
    let Some(found) = api.container(container).await? else { return Ok(()) };
    if !found.networks.contains_key(name) {
        return Ok(());
    }
    if let Some(home) = home.filter(|_| found.networks.len() == 1 && Session::of(&found.labels).is_none()) {
        go_home(docker, &found, home).await?;
    }
    gone_is_done(api.disconnect(network, container).await)
}

fn gone_is_done(done: EngineResult<()>) -> EngineResult<()> {
    match done {
        Err(error) if error.kind == EngineErrorKind::NotFound => Ok(()),
        done => done,
    }
}
