//! Ends containers as their makers intended: the stop signal, a grace period, and only then a kill.

use crate::engine::{Container, Engine, EngineErrorKind, EngineResult, Status};

/// Stops a container and removes it. Its anonymous volumes stay unless told.
///
/// # Errors
/// The engine's, if the container could not be removed, or the connection failed while it was stopping: it may go on.
pub async fn stop_and_remove(engine: &dyn Engine, container: &Container, volumes: bool) -> EngineResult<()> {
    if container.status != Status::Created {
        match engine.stop(&container.id, container.grace()).await {
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) if error.kind != EngineErrorKind::NotFound => {
                // Removing kills whatever the engine cannot stop.
                tracing::debug!("{} could not be stopped: {error}", container.name);
            }
            _ => {}
        }
    }
    engine.remove(&container.id, volumes).await
}
