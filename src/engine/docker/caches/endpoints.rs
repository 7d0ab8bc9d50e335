//! By which aliases the containers on a network are found there: a container that joins gets an endpoint with an id made
//! by chance, whose aliases stay as they are until it leaves.

use std::collections::BTreeMap;

use crate::system::cache_folder::CacheFolder;
use crate::system::digest::sha256_hex;

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

    /// The aliases that containers on the network of this id were seen with.
    #[must_use]
    pub fn recall(&self, network: &str) -> Aliases {
        self.0.as_ref().and_then(|folder| folder.read(&entry(network))).unwrap_or_default()
    }

    /// Keeps the aliases of all that are on this network now, in place of what was kept before.
    pub fn keep(&self, network: &str, aliases: &Aliases) {
        if let Some(folder) = &self.0 {
            folder.write(&entry(network), aliases);
        }
    }
}

fn entry(network: &str) -> String {
    format!("{}.{FORMAT}.json", &sha256_hex(network)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::caches::Caches;

    #[test]
    fn what_was_kept_of_a_network_is_recalled_until_it_is_asked_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let again = || Caches::open(Some(folder.path()), "x86_64").endpoints;
        assert_eq!(again().recall("net"), Aliases::new());
        let aliases = |id: &str, alias: &str| Aliases::from([(id.to_owned(), vec![alias.to_owned()])]);
        again().keep("net", &aliases("one", "db"));
        assert_eq!(again().recall("net"), aliases("one", "db"));
        assert_eq!(again().recall("other"), Aliases::new());
        let anew = Caches::asking_anew(Some(folder.path()), "x86_64").endpoints;
        assert_eq!(anew.recall("net"), Aliases::new());
        anew.keep("net", &aliases("two", "db"));
        assert_eq!(again().recall("net"), aliases("two", "db"));
        again().keep("net", &aliases("three", &"x".repeat(2 << 20)));
        assert_eq!(
            again().recall("net"),
            aliases("two", "db"),
            "what is too large to be read is not written"
        );
        EndpointCache::default().keep("net", &Aliases::new());
    }
}
