//! farrier's own networks: one goes as soon as nothing is on it and no launch relies on it.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::engine::problem::engine_problem;
use crate::report::error::Problem;
use crate::system::lock::LockFolder;

/// The names of all networks that farrier made.
///
/// # Errors
/// If the engine does not answer.
pub async fn own_networks(engine: &dyn Engine) -> Result<BTreeSet<String>, Problem> {
    let found = engine.own_networks().await;
    Ok(found.map_err(|error| engine_problem("look for farrier's networks", &error))?.into_iter().collect())
}

/// Removes a network that farrier made, if nothing is on it any more. Whether it is gone.
///
/// # Errors
/// If the engine does not answer, or the lock cannot be taken.
pub async fn remove_unused(engine: &dyn Engine, locks: &LockFolder, name: &str) -> Result<bool, Problem> {
    let Some(_claim) = locks.claim_network(name).await? else {
        tracing::debug!("a launch relies on the network {name}");
        return Ok(false);
    };
    let removed = engine.remove_network(name).await;
    removed.map_err(|error| engine_problem(&format!("remove the network `{name}`"), &error))
}
