//! Which image of the store each reference names: what a registry said when it was pulled.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ImageStore;
use crate::engine::registry::Reference;
use crate::system::digest::sha256_hex;
use crate::system::private_files::{read_private, write_atomically};

/// The largest file that is read.
const MOST_BYTES: u64 = 64 << 10;

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The whole reference.
    pub reference: String,
    /// The id of the image.
    pub image: String,
    /// The digest that the registry has it under.
    pub digest: String,
}

impl ImageStore {
    /// The id of the image that a reference or id names; `None` if the image is not in the store with all of its layers.
    pub fn named(&self, image: &str) -> Option<String> {
        let id = match Reference::parse(image) {
            Some(reference) => recorded(&self.record(&reference.name))?.image,
            None if image.starts_with("sha256:") => image.to_owned(),
            None => format!("sha256:{image}"),
        };
        self.config(&id).map(|_| id)
    }

    /// Lets a reference name an image.
    pub(super) fn name(&self, named: &Named) -> io::Result<()> {
        write_atomically(&self.record(&named.reference), &[&serde_json::to_vec(named)?])
    }

    /// Forgets the references to images that are not in the store any more.
    pub(super) fn forget_lost_references(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.folder("references"))?.flatten() {
            let is_lost =
                recorded(&entry.path()).is_none_or(|named| !self.configuration(&named.image).exists());
            if is_lost {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn record(&self, reference: &str) -> PathBuf {
        self.folder("references").join(sha256_hex(reference))
    }
}

fn recorded(record: &Path) -> Option<Named> {
    serde_json::from_slice(&read_private(record, MOST_BYTES)?).ok()
}
