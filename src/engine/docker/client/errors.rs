//! What bollard's errors mean.

use std::sync::Arc;

use bollard::errors::Error as BollardError;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};

use super::meter::{Endless, Meter};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err` everywhere")]
pub(super) fn convert_error(error: BollardError) -> EngineError {
    let kind = match &error {
        BollardError::DockerResponseServerError { status_code, .. } => match status_code {
            404 => EngineErrorKind::NotFound,
            409 => EngineErrorKind::Conflict,
            _ => EngineErrorKind::Refused,
        },
        BollardError::DockerStreamError { .. } => EngineErrorKind::Refused,
        BollardError::RequestTimeoutError => EngineErrorKind::TimedOut,
        // No whole answer in the bytes that it may have is as good as none in time.
        _ if is_endless(&error) => EngineErrorKind::TimedOut,
        _ if is_permission_denied(&error) => EngineErrorKind::PermissionDenied,
        _ => EngineErrorKind::Unreachable,
    };
    let message = match &error {
        BollardError::DockerResponseServerError { message, .. } => message.clone(),
        BollardError::DockerStreamError { error } => error.clone(),
        other => anyhow::Error::msg(innermost(other)).to_string(),
    };
    EngineError::new(kind, message)
}

fn chain(error: &BollardError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |current| current.source())
}

/// An item of a stream, or the end of a stream whose item does not end.
pub(super) fn metered<T: 'static>(
    stream: impl Stream<Item = Result<T, BollardError>> + Send + 'static,
    meter: Arc<Meter>,
) -> BoxStream<'static, EngineResult<T>> {
    let note = move |item| match item {
        Ok(item) => {
            meter.note_item();
            Ok(item)
        }
        Err(error) => Err(convert_stream_error(error, &meter)),
    };
    stream.map(note).boxed()
}

/// `bollard` keeps no more than the words of what ended a stream.
pub(super) fn convert_stream_error(error: BollardError, meter: &Meter) -> EngineError {
    if meter.is_exceeded() {
        return EngineError::new(EngineErrorKind::TimedOut, meter.error().to_string());
    }
    convert_error(error)
}

fn is_endless(error: &BollardError) -> bool {
    let is_endless = |cause: &(dyn std::error::Error + 'static)| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.is::<Endless>() || inner.and_then(|inner| inner.downcast_ref::<Endless>()).is_some()
    };
    chain(error).any(is_endless)
}

fn is_permission_denied(error: &BollardError) -> bool {
    if let BollardError::IOError { err } = error {
        return err.kind() == std::io::ErrorKind::PermissionDenied;
    }
    chain(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
    })
}

fn innermost(error: &BollardError) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether Podman found an image's name, and then no image, because somebody removed another name of it at the same moment. It
/// takes that for a failure of its own (status 500).
pub(super) fn is_removed_meanwhile(error: &BollardError) -> bool {
    matches!(error, BollardError::DockerResponseServerError { status_code: 500, message } if message.ends_with("image not known"))
}

pub(super) fn absent<T>(result: Result<T, BollardError>) -> EngineResult<Option<T>> {
    match result.map_err(convert_error) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == EngineErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
