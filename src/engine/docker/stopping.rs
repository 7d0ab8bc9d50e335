//! Ends containers as their makers intended: the stop signal, a grace period, and only then a kill.

use super::api::{Api, Status};
use crate::engine::{EngineErrorKind, EngineResult};
use crate::plan::instance::Instance;
use crate::plan::session::LABEL_SESSION;

/// Stops a container and removes it. Its anonymous volumes stay, unless it belongs to a session.
///
/// # Errors
/// The engine's, if the container could not be removed, or the connection failed while it was stopping: it may go on.
pub(super) async fn stop_and_remove(api: &dyn Api, instance: &Instance) -> EngineResult<()> {
    if instance.status != Status::Created {
        match api.stop(&instance.id, instance.grace).await {
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) if error.kind != EngineErrorKind::NotFound => {
                // Removing kills whatever the engine cannot stop.
                tracing::debug!("{} could not be stopped: {error}", instance.name);
            }
            _ => {}
        }
    }
    api.remove(&instance.id, instance.labels.contains_key(LABEL_SESSION)).await
}
