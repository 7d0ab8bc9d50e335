//! By which names the containers on a network are found there: a container that joins gets an endpoint with an id made by
//! chance, whose aliases stay as they are until it leaves.

use std::collections::BTreeMap;

use super::folder::CacheFolder;
use crate::engine::is_whole_id;
use crate::sidecar::sha256_hex;

/// Changes with the form of the entries.
const FORMAT: u32 = 1;

/// By the endpoint's id: the aliases.
pub type Aliases = BTreeMap<String, Vec<String>>;

/// The folder with what is known of networks; without one, nothing is.
#[derive(Clone, Debug, Default)]
pub struct EndpointCache(Option<CacheFolder>);

impl EndpointCache {
    pub(super) fn new(folder: Option<CacheFolder>) -> Self {
        Self(folder)
    }

    /// The aliases that containers on this network were seen with.
    #[must_use]
    pub fn recall(&self, network: &str) -> Aliases {
        self.0.as_ref().and_then(|folder| folder.read(&entry(network))).unwrap_or_default()
    }

    /// Keeps the aliases of all that are on this network now, in place of what was kept before.
    pub fn keep(&self, network: &str, mut aliases: Aliases) {
        // Other engines than Docker may tell none, or one that is not made by chance.
        aliases.retain(|id, _| is_whole_id(id));
        if let Some(folder) = &self.0 {
            folder.write(&entry(network), &aliases);
        }
    }
}

/// One for each name, so that what was kept of a network that is gone goes with the next one of its name.
fn entry(network: &str) -> String {
    format!("{}.{FORMAT}.json", &sha256_hex(network)[..16])
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::kept::Kept;

    #[test]
    fn only_endpoints_whose_ids_were_made_by_chance_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let again = || Kept::open(Some(folder.path()), "x86_64").endpoints;
        assert_eq!(again().recall("net"), Aliases::new());
        let id = "a1".repeat(32);
        let all = ["", "farrier", &id, &"g".repeat(64)];
        again().keep("net", all.map(|id| (id.to_owned(), vec!["db".to_owned()])).into());
        assert_eq!(again().recall("net"), Aliases::from([(id.clone(), vec!["db".to_owned()])]));
        assert_eq!(again().recall("other"), Aliases::new());
        again().keep("net", Aliases::new());
        assert_eq!(again().recall("net"), Aliases::new());
        EndpointCache::default().keep("net", Aliases::new());
    }
}
