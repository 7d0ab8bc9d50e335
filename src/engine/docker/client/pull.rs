//! Pulls images.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters as query;
use futures_util::TryStreamExt;

use super::errors::metered;
use super::meter::Meter;
use crate::engine::docker::api::Credentials;
use crate::engine::{EngineError, EngineErrorKind, EngineResult, PullProgress};

/// So much an engine may say about one pull: at some thirty messages a second, that is days.
const MOST_PULL_MESSAGES: u64 = 10_000_000;
/// More layers than any image has.
const MOST_LAYERS: usize = 1_000;
/// More bytes than any image has: what an engine says beyond them is not counted on.
const MOST_PULLED: u64 = 1 << 50;

/// Pulls an image, and tells how far it is.
///
/// # Errors
/// If the engine cannot pull it, or its report does not end.
pub(super) async fn pull(
    client: &Docker,
    meter: Arc<Meter>,
    reference: &str,
    platform: Option<&str>,
    credentials: Option<Credentials>,
    progress: &(dyn Fn(PullProgress) + Send + Sync),
) -> EngineResult<()> {
    let options = query::CreateImageOptionsBuilder::default().from_image(&with_tag(reference));
    let options = options.platform(platform.unwrap_or_default()).build();
    let credentials = credentials.map(|credentials| DockerCredentials {
        username: Some(credentials.username),
        password: Some(credentials.password),
        identitytoken: credentials.token,
        ..Default::default()
    });
    let mut layers = Layers::default();
    let mut pulled = PullProgress::default();
    let mut stream = metered(client.create_image(Some(options), None, credentials), meter);
    let mut messages = 0;
    while let Some(message) = stream.try_next().await? {
        messages += 1;
        if messages > MOST_PULL_MESSAGES {
            let message = "the engine's report of the pull does not end";
            return Err(EngineError::new(EngineErrorKind::TimedOut, message));
        }
        // Told of every message, also of one that changes nothing: silence is what ends a pull.
        pulled = layers.note(message).unwrap_or(pulled);
        progress(pulled.clone());
    }
    Ok(())
}

/// A reference without tag or digest would pull every tag.
pub(super) fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

/// How far a pull is, layer by layer.
#[derive(Default)]
pub(super) struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Takes one message; gives the whole where it changed.
    pub(super) fn note(&mut self, message: CreateImageInfo) -> Option<PullProgress> {
        let (layer, detail) = (message.id?, message.progress_detail?);
        if message.status.as_deref() != Some("Downloading") {
            return None;
        }
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        // More layers than any image has (docker allows 127) are not counted on either.
        if self.0.len() >= MOST_LAYERS && !self.0.contains_key(&layer) {
            return None;
        }
        self.0.insert(layer, (count(detail.current), count(detail.total)));
        let sum = |counts: &mut dyn Iterator<Item = u64>| {
            counts.fold(0, |sum: u64, one| sum.saturating_add(one)).min(MOST_PULLED)
        };
        Some(PullProgress {
            current: sum(&mut self.0.values().map(|(current, _)| *current)),
            total: sum(&mut self.0.values().map(|(_, total)| *total)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_claims_the_impossible_stays_countable() {
        let mut layers = Layers::default();
        let message = |layer: &str, status: &str, current: i64| CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(bollard::models::ProgressDetail {
                current: Some(current),
                total: Some(i64::MAX),
            }),
            ..Default::default()
        };
        assert_eq!(layers.note(message("a", "Pulling fs layer", 1)), None);
        assert_eq!(layers.note(message("a", "Downloading", -7)).map(|found| found.current), Some(0));
        for layer in ["a", "b", "c"] {
            let found = layers.note(message(layer, "Downloading", i64::MAX)).expect("progress");
            assert_eq!((found.current, found.total), (MOST_PULLED, MOST_PULLED));
        }
    }
}
