//! What was downloaded from registries: manifests and components, each in a file that is named by its digest. Whoever reads one
//! checks the digest, so that the names alone are trusted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::engine::image_file::{MOST_BYTES, digest_of, hex_digits};
use crate::probe::limits::COMPONENT_BYTES;
use crate::system::digest::sha256_hex;
use crate::system::folders::own_folders;
use crate::system::private_files::{private_folder, write_atomically};

/// The folder among what can be made again.
const FOLDER: &str = "probes";

/// The user's cache of probes from registries.
#[derive(Clone, Debug)]
pub struct ArtifactCache {
    /// `None` if there is no home.
    cache: Option<PathBuf>,
}

impl ArtifactCache {
    /// Of this user.
    #[must_use]
    pub fn of_user() -> Self {
        Self { cache: own_folders().0 }
    }

    /// In this folder.
    #[must_use]
    pub const fn at(cache: PathBuf) -> Self {
        Self { cache: Some(cache) }
    }

    /// Opens a component, without ever waiting for anybody. Its bytes are not checked.
    ///
    /// # Errors
    /// As the operating system has it.
    pub fn open(&self, sha256: &str) -> io::Result<File> {
        self.opened(&format!("{}.wasm", checked(sha256)?))
    }

    /// Whether it has a component whose bytes are what their name says.
    #[must_use]
    pub fn has(&self, sha256: &str) -> bool {
        self.component(sha256).is_some()
    }

    /// The bytes of a component; `None` if it is not there, or is damaged.
    #[must_use]
    pub fn component(&self, sha256: &str) -> Option<Vec<u8>> {
        let bytes = read(self.open(sha256).ok()?, COMPONENT_BYTES)?;
        (sha256_hex(&bytes) == sha256).then_some(bytes)
    }

    /// The manifest with this digest (`sha256:…`); `None` if it is not there, or is damaged.
    #[must_use]
    pub fn manifest(&self, digest: &str) -> Option<Vec<u8>> {
        let file = self.opened(&format!("{}.json", hex_digits(digest).ok()?)).ok()?;
        let bytes = read(file, MOST_BYTES)?;
        (digest_of(&bytes) == digest).then_some(bytes)
    }

    /// Keeps a manifest and its component.
    ///
    /// # Errors
    /// If they cannot be written, or others may write to the folder.
    pub fn keep(&self, manifest: &[u8], component: &[u8]) -> io::Result<()> {
        let folder = self.folder()?;
        private_folder(folder.parent().unwrap_or(&folder))?;
        private_folder(&folder)?;
        let file = |name: String, bytes: &[u8]| write_atomically(&folder.join(name), &[bytes]);
        file(format!("{}.wasm", sha256_hex(component)), component)?;
        file(format!("{}.json", sha256_hex(manifest)), manifest)
    }

    /// The folder, for messages.
    ///
    /// # Errors
    /// If there is no home directory.
    pub fn folder(&self) -> io::Result<PathBuf> {
        let cache = self.cache.as_ref();
        cache.map(|cache| cache.join(FOLDER)).ok_or_else(|| io::Error::other("there is no home directory"))
    }

    fn opened(&self, name: &str) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(self.folder()?.join(name))
    }
}

fn checked(sha256: &str) -> io::Result<&str> {
    hex_digits(&format!("sha256:{sha256}"))?;
    Ok(sha256)
}

fn read(file: File, most: u64) -> Option<Vec<u8>> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}
