//! farrier's own networks: one goes as soon as nothing is on it and no launch relies on it.

use std::collections::BTreeSet;

use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineErrorKind, EngineResult};
use crate::plan::sidecar::{LABEL_NETWORK, LABEL_SIDECAR};
use crate::report::error::Problem;
use crate::system::lock::LockFolder;

/// The names of all networks that farrier made.
///
/// # Errors
/// When the engine does not answer.
pub async fn own_networks(engine: &dyn Engine) -> Result<BTreeSet<String>, Problem> {
    let found = engine.labelled_networks(LABEL_NETWORK).await;
    let found = found.map_err(|error| engine_problem("look for farrier's networks", &error))?;
    Ok(found.into_iter().map(|network| network.name).collect())
}

/// Removes a network that farrier made, if nothing is on it any more. Whether it is gone.
///
/// # Errors
/// When the engine does not answer, or the lock cannot be taken.
pub async fn remove_unused(engine: &dyn Engine, locks: &LockFolder, name: &str) -> Result<bool, Problem> {
    let Some(_claimed) = locks.try_claim_network(name)? else { return Ok(false) };
    let removing = async {
        let found = engine.networks(name).await?;
        let [network] = found.as_slice() else { return Ok(false) };
        if !network.labels.contains_key(LABEL_NETWORK) || is_used(engine, &network.id, name).await? {
            return Ok(false);
        }
        match engine.remove_network(&network.id).await {
            Ok(()) => Ok(true),
            // Somebody joined or removed it meanwhile.
            Err(error) if error.kind != EngineErrorKind::Unreachable => Ok(false),
            Err(error) => Err(error),
        }
    };
    removing.await.map_err(|error| engine_problem(&format!("remove the network `{name}`"), &error))
}

/// Whether something runs on it, or a sidecar that does not run would miss it at its next start.
async fn is_used(engine: &dyn Engine, id: &str, name: &str) -> EngineResult<bool> {
    if !engine.members(id).await?.is_empty() {
        return Ok(true);
    }
    for sidecar in engine.labelled(LABEL_SIDECAR).await? {
        let found = engine.container(&sidecar.name).await?;
        if found.is_some_and(|found| found.networks.contains_key(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}
