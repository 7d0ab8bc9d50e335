//! Networks and who is on them.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// Its name; Docker accepts two networks of one name.
    pub name: String,
    /// `bridge`, `overlay`, `host`, `null`, …
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The interface of the engine's host that is the network's bridge; empty if it has none.
    pub bridge: String,
}

/// The option of a network that names its bridge.
pub const BRIDGE_OPTION: &str = "com.docker.network.bridge.name";

/// The bridge of a network: as its creator named it, else as the engine does by its id.
#[must_use]
pub fn bridge_of(id: &str, named: Option<&String>) -> String {
    let named = named.filter(|name| !name.is_empty()).cloned();
    named.or_else(|| id.get(..12).map(|id| format!("br-{id}"))).unwrap_or_default()
}

/// Whether it has the form of the ids that Docker makes by chance for containers, networks and endpoints.
#[must_use]
pub fn is_whole_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A running container's place on a network, as the network tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// What [`Endpoint::id`] says too.
    pub endpoint: String,
    /// Its address there.
    pub address: Option<IpAddr>,
}
