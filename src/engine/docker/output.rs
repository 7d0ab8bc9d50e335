//! What containers wrote. The engine's own filter counts whole seconds, so each line is asked for with its stamp.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::convert_error;
use crate::engine::{EngineResult, OutputRequest, Written};

/// The newest lines since a moment, oldest first.
pub(super) async fn newest_lines(
    client: &Docker,
    container: &str,
    since: &str,
    lines: usize,
) -> EngineResult<Vec<String>> {
    let request = OutputRequest { since: since.to_owned(), lines: Some(lines), follow: false };
    let mut kept: Vec<(Timestamp, Written)> = stamped(client, container, &request).try_collect().await?;
    kept.sort_by_key(|(stamp, _)| *stamp);
    let text = |(_, written): (Timestamp, Written)| {
        String::from_utf8_lossy(&written.bytes).trim_end_matches(['\n', '\r']).to_owned()
    };
    Ok(kept.into_iter().map(text).collect())
}

/// What was written since a moment, and from then on where that is asked for.
pub(super) fn stream(
    client: &Docker,
    container: &str,
    request: &OutputRequest,
) -> BoxStream<'static, EngineResult<Written>> {
    stamped(client, container, request).map_ok(|(_, written)| written).boxed()
}

fn stamped(
    client: &Docker,
    container: &str,
    request: &OutputRequest,
) -> BoxStream<'static, EngineResult<(Timestamp, Written)>> {
    let since: Timestamp = request.since.parse().unwrap_or_default();
    let lines = request.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(request.follow)
        .since(i32::try_from(since.as_second()).unwrap_or(0))
        .tail(&lines)
        .build();
    // A clone, because the stream outlives this borrow; clones share one connection pool.
    let client = client.clone();
    client
        .logs(container, Some(options))
        .map_err(convert_error)
        .try_filter_map(move |part| {
            let found = take_stamp(part).filter(|(stamp, _)| *stamp >= since);
            std::future::ready(Ok(found))
        })
        .boxed()
}

/// Splits the engine's stamp off; none where there is no stamp.
pub(super) fn take_stamp(part: LogOutput) -> Option<(Timestamp, Written)> {
    let is_error = matches!(part, LogOutput::StdErr { .. });
    let bytes = part.into_bytes();
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let stamp = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((stamp, Written { is_error, bytes: bytes[end + 1..].to_vec() }))
}
