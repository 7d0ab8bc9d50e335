//! How well the way to containers is, for `farrier doctor`.

use std::time::Duration;

use super::api::Api;
use super::{networks, relay};
use crate::engine::limited::within;
use crate::engine::{EngineResult, Finding};
use crate::plan::OWN_NETWORK;
use crate::plan::sidecar::LABEL_NETWORK;

/// How long an engine that is well takes to tell of a network, with room.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn examine(api: &dyn Api, local: bool) -> Vec<(&'static str, EngineResult<Finding>)> {
    vec![("route", within(ANSWER, route(api, local)).await), ("relay", Ok(relay_program()))]
}

/// How probes would reach containers on farrier's own network.
async fn route(api: &dyn Api, local: bool) -> EngineResult<Finding> {
    let found = api.networks(OWN_NETWORK).await?;
    let (text, way_out) = match found.as_slice() {
        _ if !local => ("through a relay container, because the engine is not on this host", None),
        [] => ("decided when the first launch creates the network `farrier`", None),
        networks if networks.iter().any(|network| !network.labels.contains_key(LABEL_NETWORK)) => (
            "farrier did not create the network `farrier`, so launches cannot use it",
            Some("Remove it with `docker network rm farrier`; the next launch creates its own network."),
        ),
        [network, ..] if networks::is_interface(&network.bridge) => {
            ("direct: this host is on the network `farrier`", None)
        }
        _ => ("through a relay container, because this host is not on the network `farrier`", None),
    };
    Ok(Finding { text: text.to_owned(), way_out })
}

fn relay_program() -> Finding {
    let text = if relay::is_built_in() {
        "farrier's own program relays, from an image that farrier loads once"
    } else {
        "python3, nc or bash in an image relays, because farrier was built without a static C library"
    };
    Finding { text: text.to_owned(), way_out: None }
}
