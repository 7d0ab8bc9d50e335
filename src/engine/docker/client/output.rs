//! What containers wrote. `bollard` asks for whole seconds, so each line is asked for with its stamp.

use std::collections::VecDeque;
use std::sync::Arc;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::errors::{convert_stream_error, metered};
use super::meter::Meter;
use crate::engine::{EngineResult, OutputRequest, Written};

/// The newest lines since a moment, oldest first.
pub(super) async fn newest_lines(
    client: &Docker,
    meter: &Meter,
    container: &str,
    since: &str,
    lines: usize,
) -> EngineResult<Vec<String>> {
    let request = OutputRequest { since: since.to_owned(), lines: Some(lines), follow: false };
    let mut stream = stamped(client.logs(container, Some(options(&request))), &request);
    // More than it was asked for an engine may send, but not make anybody keep.
    let mut newest = VecDeque::new();
    while let Some(line) = stream.try_next().await.map_err(|error| convert_stream_error(error, meter))? {
        if newest.len() >= lines {
            newest.pop_front();
        }
        newest.push_back(line);
    }
    let mut kept = Vec::from(newest);
    kept.sort_by_key(|(stamp, _)| *stamp);
    Ok(kept.into_iter().map(|(_, written)| text(&written)).collect())
}

/// A line without its end.
pub(super) fn text(written: &Written) -> String {
    String::from_utf8_lossy(&written.bytes).trim_end_matches(['\n', '\r']).to_owned()
}

/// What was written since a moment, and from then on where that is asked for.
pub(super) fn stream(
    client: &Docker,
    meter: Arc<Meter>,
    container: &str,
    request: &OutputRequest,
) -> BoxStream<'static, EngineResult<Written>> {
    // A clone, because the stream outlives this borrow.
    let parts = metered(client.clone().logs(container, Some(options(request))), meter);
    stamped(parts, request).map_ok(|(_, written)| written).boxed()
}

pub(super) fn options(request: &OutputRequest) -> LogsOptions {
    let lines = request.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(request.follow)
        .since(i32::try_from(moment(request).as_second()).unwrap_or(0))
        .tail(&lines)
        .build()
}

/// The moment since which is asked; the beginning of time if there is none.
pub(super) fn moment(request: &OutputRequest) -> Timestamp {
    request.since.parse().unwrap_or_default()
}

/// The parts since the moment that was asked for, with the engine's stamps.
pub(super) fn stamped<E: Send + 'static>(
    parts: impl Stream<Item = Result<LogOutput, E>> + Send + 'static,
    request: &OutputRequest,
) -> BoxStream<'static, Result<(Timestamp, Written), E>> {
    let since = moment(request);
    // A stamp of whole seconds is Podman's, which has told exactly what is to come (`transport::log_client`).
    let is_whole = |stamp: &Timestamp| stamp.subsec_nanosecond() == 0;
    let parts = parts.try_filter_map(move |part| {
        let is_since = |(stamp, _): &(Timestamp, Written)| {
            *stamp >= since || is_whole(stamp) && stamp.as_second() == since.as_second()
        };
        std::future::ready(Ok(take_stamp(part).filter(is_since)))
    });
    parts.boxed()
}

/// Splits the engine's stamp off; none where there is no stamp.
pub(super) fn take_stamp(part: LogOutput) -> Option<(Timestamp, Written)> {
    let is_error = matches!(part, LogOutput::StdErr { .. });
    let bytes = part.into_bytes();
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let stamp = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((stamp, Written { is_error, at: stamp, bytes: bytes[end + 1..].to_vec() }))
}
