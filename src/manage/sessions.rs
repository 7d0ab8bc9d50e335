//! The end of sessions: removing everything that one has on an engine, in the reverse of the order in which it was started,
//! and finding the sessions whose launch is gone.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::engine::{Engine, EngineError, EngineErrorKind, EngineResult, Progress};
use crate::plan::instance::Instance;
use crate::plan::session::{Session, rank_of};
use crate::plan::sidecar::LABEL_SIDECAR;
use crate::system::leases::Leases;
use crate::system::session_leases::SessionLeases;

/// Removes everything that belongs to a session: its instances, those last that others come after, each with its stop signal
/// and its grace; its volumes; its network. Whether anything was there.
///
/// # Errors
/// The first failure; everything else was tried.
pub async fn end(
    engine: &dyn Engine,
    session: &Session,
    leases: &Leases,
    tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
) -> EngineResult<bool> {
    let is_its = |labels: &BTreeMap<String, String>| Session::of(labels).as_ref() == Some(session);
    let mut by_rank: BTreeMap<usize, Vec<Instance>> = BTreeMap::new();
    for (found, _) in engine.inventory(&[]).await? {
        if is_its(&found.instance.labels) {
            by_rank.entry(rank_of(&found.instance.labels)).or_default().push(found.instance);
        }
    }
    let (mut found, mut failed) = (!by_rank.is_empty(), Ok(()));
    let mut anonymous = Vec::new();
    for instances in by_rank.into_values().rev() {
        let name = |instance: &Instance| instance.labels.get(LABEL_SIDECAR).cloned().unwrap_or_default();
        let ended = instances.iter().map(async |instance| {
            let removed = engine.remove(&name(instance), instance, tell).await;
            unless_gone(removed.map(drop))
        });
        for ended in join_all(ended).await {
            failed = failed.and(ended);
        }
        anonymous.extend(instances.into_iter().flat_map(|instance| instance.volumes));
    }
    let named = engine.volumes().await?.into_iter().filter(|volume| is_its(&volume.labels));
    let named: Vec<String> = named.map(|volume| volume.name).collect();
    found |= !named.is_empty();
    for volume in named.into_iter().chain(anonymous.into_iter().map(|volume| volume.source)) {
        failed = failed.and(unless_gone(engine.remove_volume(&volume).await));
    }
    match engine.remove_session_network(session, leases).await {
        Ok(was_there) => found |= was_there,
        Err(error) => failed = failed.and(Err(error)),
    }
    failed.map(|()| found)
}

/// What is gone already is no failure.
fn unless_gone(done: EngineResult<()>) -> EngineResult<()> {
    let is_gone = |error: &EngineError| error.kind == EngineErrorKind::NotFound;
    done.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// Ends the sessions on an engine whose launch is gone, as far as this host knows. Gives how many.
///
/// # Errors
/// The last failure; every other session was ended. The next sweep goes on.
pub async fn sweep(
    engine: &dyn Engine,
    is_local: bool,
    session_leases: &SessionLeases,
    leases: &Leases,
) -> EngineResult<usize> {
    let (mut count, mut failed) = (0, Ok(()));
    for session in engine.sessions().await? {
        if let Some(_held) = session_leases.abandoned(&session.id, &session.host, is_local).await {
            match end(engine, &session, leases, &|_| ()).await {
                Ok(_) => count += 1,
                Err(error) => failed = Err(error),
            }
        }
    }
    if count > 0 {
        session_leases.sweep_locks();
    }
    failed.map(|()| count)
}
