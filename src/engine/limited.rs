//! An end to the wait for an engine's answer.

use std::time::Duration;

use super::{EngineError, EngineErrorKind, EngineResult};
use crate::report::elapsed::limit;

/// Waits this long for an answer.
///
/// # Errors
/// The engine's own, or that the time is up.
pub async fn within<T>(time: Duration, answer: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
    tokio::time::timeout(time, answer).await.unwrap_or_else(|_| Err(no_answer(time)))
}

/// The error if the engine did not answer in this time.
#[must_use]
pub fn no_answer(time: Duration) -> EngineError {
    EngineError::new(EngineErrorKind::TimedOut, format!("the engine did not answer within {}", limit(time)))
}
