//! What is kept of an engine between launches: what it said that it is, and networks that are on no other one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Identity;
use crate::engine::is_whole_id;
use crate::system::digest::sha256_hex;
use crate::system::private_files::{private_folder, read_private, write_atomically};

/// Changes with the form of the entries.
const FORMAT: u32 = 2;
/// An entry has half of it at most, unless names are very long.
const ENTRY_BYTES: u64 = 32 << 10;
/// As many networks are kept of one engine; with more, all are forgotten.
const NETWORKS: usize = 64;
/// After this time an engine is asked what it is, whatever is on it: an update may have given it another id.
const FRESH: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    identity: Identity,
    /// When it said so, in seconds since 1970.
    asked: u64,
    /// Ids by name.
    networks: BTreeMap<String, String>,
    /// Ids of networks that stayed where the engine's own id did not: they prove nothing.
    #[serde(default)]
    doubtful: BTreeSet<String>,
}

/// The entry of one engine's address.
#[derive(Debug)]
pub struct Remembered {
    path: PathBuf,
    /// As it was when the launch began.
    entry: Option<Entry>,
}

impl Remembered {
    /// Reads it; none where nothing can be kept.
    #[must_use]
    pub fn of(cache: &Path, host: &str) -> Option<Self> {
        let folder = cache.join("engines");
        private_folder(cache).and_then(|()| private_folder(&folder)).ok()?;
        let path = folder.join(format!("{}.{FORMAT}.json", &sha256_hex(host)[..16]));
        let entry = read(&path);
        Some(Self { path, entry })
    }

    /// What the engine was the last time.
    pub fn identity(&self) -> Option<Identity> {
        self.entry.as_ref().map(|entry| entry.identity.clone())
    }

    /// The id of a network that was seen on it; none where it is long ago that the engine was asked what it is.
    pub fn network(&self, name: &str) -> Option<String> {
        let entry = self.entry.as_ref().filter(|entry| is_fresh(entry.asked))?;
        entry.networks.get(name).cloned()
    }

    /// Keeps what the engine said just now. Where it was another one before, the networks that were seen then are not
    /// trusted again: an engine may have been given a new id and have kept them.
    pub fn keep_identity(&self, identity: &Identity) {
        self.change(|before| match before {
            Some(before) if before.identity.is_same(identity) => {
                let asked = if is_fresh(before.asked) { before.asked } else { now() };
                Some(Entry { asked, ..before })
            }
            before => {
                let (networks, doubtful) =
                    before.map(|before| (before.networks, before.doubtful)).unwrap_or_default();
                let mut doubtful = if doubtful.len() < NETWORKS { doubtful } else { BTreeSet::new() };
                doubtful.extend(networks.into_values());
                Some(Entry { identity: identity.clone(), asked: now(), networks: BTreeMap::new(), doubtful })
            }
        });
    }

    /// Keeps that the network was seen on this engine, which said what it is, where it can be on no other one.
    pub fn keep_network(&self, identity: &Identity, name: &str, id: &str) {
        if !is_unique(name, id) {
            return;
        }
        self.change(|before| {
            let mut entry = before.filter(|before| before.identity.is_same(identity))?;
            if entry.doubtful.contains(id) {
                return None;
            }
            if entry.networks.len() >= NETWORKS && !entry.networks.contains_key(name) {
                entry.networks.clear();
            }
            entry.networks.insert(name.to_owned(), id.to_owned());
            Some(entry)
        });
    }

    /// Changes what is kept now, perhaps by another launch, unless told nothing. That it cannot be kept makes the next
    /// launch wait, nothing else.
    fn change(&self, change: impl FnOnce(Option<Entry>) -> Option<Entry>) {
        let before = read(&self.path);
        let Some(changed) = change(before.clone()).filter(|changed| before.as_ref() != Some(changed)) else {
            return;
        };
        let written = serde_json::to_vec(&changed).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|text| write_atomically(&self.path, &[&text])) {
            tracing::debug!("what the engine is is not kept: {error}");
        }
    }
}

fn read(path: &Path) -> Option<Entry> {
    let entry: Entry = serde_json::from_slice(&read_private(path, ENTRY_BYTES)?).ok()?;
    (!entry.identity.id.is_empty()).then_some(entry)
}

/// Whether an id was made by chance, so that no other engine has a network of it. Networks of a swarm are on many engines
/// and have shorter ids; Podman's default network, and once all of its networks, have ids that are made from names.
fn is_unique(name: &str, id: &str) -> bool {
    let is_digest = [name, "podman"].iter().any(|name| id == sha256_hex(name));
    is_whole_id(id) && !is_digest
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A moment to come is none that can be trusted.
fn is_fresh(asked: u64) -> bool {
    now().checked_sub(asked).is_some_and(|seconds| seconds < FRESH.as_secs())
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;

    const ID: &str = "f0371487ada2cc5d45435c56940fe3302eeea128104f5f143d29cbbc9a818f9a";
    const OTHER_ID: &str = "6bf8daa6e1e25207efb2002bcc696c64f94bd6fce57e6416853ae4f27ea8ab13";

    fn identity(id: &str) -> Identity {
        Identity { id: id.to_owned(), architecture: "x86_64".to_owned(), local: true }
    }

    #[test]
    fn networks_prove_an_engine_for_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let again = || Remembered::of(&folder.path().join("cache"), "unix:///engine.sock").expect("an entry");
        let remembered = again();
        assert_eq!((remembered.identity(), remembered.network("net")), (None, None));
        remembered.keep_network(&identity("one"), "net", ID);
        assert_eq!(again().network("net"), None, "of an engine that never said what it is");
        remembered.keep_identity(&identity("one"));
        remembered.keep_network(&identity("another"), "net", ID);
        assert_eq!(again().network("net"), None, "of another engine");
        remembered.keep_network(&identity("one"), "net", ID);
        assert_eq!(again().identity().map(|identity| identity.id).as_deref(), Some("one"));
        assert_eq!(again().network("net").as_deref(), Some(ID));
        assert_eq!(again().network("other"), None);
        again().keep_identity(&identity("one"));
        assert_eq!(again().network("net").as_deref(), Some(ID));
        for asked in [now() - FRESH.as_secs(), now() + 3600] {
            let remembered = again();
            remembered.change(|entry| entry.map(|entry| Entry { asked, ..entry }));
            assert_eq!(again().network("net"), None, "{asked}");
            again().keep_identity(&identity("one"));
            assert_eq!(again().network("net").as_deref(), Some(ID), "{asked}");
        }
        again().keep_identity(&identity("another"));
        assert_eq!(again().network("net"), None);
        again().keep_network(&identity("another"), "net", ID);
        assert_eq!(again().network("net"), None, "it stayed where the engine's id did not");
        again().keep_network(&identity("another"), "net", OTHER_ID);
        assert_eq!(again().network("net").as_deref(), Some(OTHER_ID));
    }

    #[test]
    fn only_ids_that_were_made_by_chance_prove_anything() {
        let of_its_name = sha256_hex("net");
        let table = [
            ("made by Docker", ID, true),
            ("of a swarm", "ojkwqsbn2yzdnhcm9ufkwkaoc", false),
            ("by its name", of_its_name.as_str(), false),
            ("Podman's default", "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9", false),
            ("none", "", false),
            ("not hexadecimal", &ID.replace('f', "g"), false),
        ];
        for (name, id, expected) in table {
            assert_eq!(is_unique("net", id), expected, "{name}");
        }
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        let remembered = Remembered::of(&cache, "host").expect("an entry");
        remembered.keep_identity(&identity("one"));
        write_atomically(&remembered.path, &[b"{}"]).expect("a file");
        assert_eq!(Remembered::of(&cache, "host").expect("an entry").identity(), None);
    }
}
