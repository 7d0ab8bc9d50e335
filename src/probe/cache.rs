//! Compiled components, kept between launches.
//!
//! Native code is trusted code: an entry is used only when its HMAC, under a key that only this user can
//! read, says that farrier wrote it. A bad entry is rebuilt.

use std::collections::hash_map::DefaultHasher;
use std::fs::OpenOptions;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::component::ComponentFile;
use super::limits::NATIVE_CODE_BYTES;
use super::native_code::{NativeCode, compile};
use crate::system::private_files::{private_folder, write_atomically};

type Authenticator = Hmac<Sha256>;

const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;

/// The folder with the compiled components, and the key that proves them.
#[derive(Debug)]
pub struct NativeCache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

impl NativeCache {
    /// Opens the cache; none where its folders cannot be trusted or made: everything then works, uncached.
    #[must_use]
    pub fn open(cache: &Path, state: &Path) -> Option<Self> {
        let folder = cache.join("components");
        for path in [cache, &folder, state] {
            if let Err(error) = private_folder(path) {
                tracing::warn!("farrier compiles components every time: {}: {error}", path.display());
                return None;
            }
        }
        match read_or_make_key(&state.join("cache.key")) {
            Ok(key) => Some(Self { folder, key }),
            Err(error) => {
                tracing::warn!("farrier compiles components every time: {error}");
                None
            }
        }
    }

    /// The component's native code: from the cache, else compiled within this time and then kept.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn load(
        &self,
        engine: &Engine,
        file: &ComponentFile,
        within: Duration,
    ) -> wasmtime::Result<Component> {
        let name = entry_name(engine, file);
        let path = self.folder.join(&name);
        if let Some(component) = self.read(&path, &name).and_then(|code| code.load(engine).ok()) {
            return Ok(component);
        }
        let code = compile(engine, &file.bytes, within)?;
        let component = code.load(engine)?;
        if let Err(error) = self.write(&path, &name, code.bytes()) {
            tracing::warn!("a compiled component is not cached: {error}");
        }
        Ok(component)
    }

    fn authenticator(&self, name: &str) -> Option<Authenticator> {
        let mut authenticator = Authenticator::new_from_slice(&self.key).ok()?;
        // The name is part of what is proven: an entry cannot be put in another's place.
        authenticator.update(name.as_bytes());
        Some(authenticator)
    }

    fn read(&self, path: &Path, name: &str) -> Option<NativeCode> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || found.len() > NATIVE_CODE_BYTES {
            return None;
        }
        let mut entry = Vec::with_capacity(usize::try_from(found.len()).ok()?);
        file.take(NATIVE_CODE_BYTES).read_to_end(&mut entry).ok()?;
        let (mac, code) = entry.split_at_checked(MAC_BYTES)?;
        let mut authenticator = self.authenticator(name)?;
        authenticator.update(code);
        authenticator.verify_slice(mac).ok()?;
        entry.drain(..MAC_BYTES);
        Some(NativeCode::proven(entry))
    }

    fn write(&self, path: &Path, name: &str, code: &[u8]) -> io::Result<()> {
        let mut authenticator =
            self.authenticator(name).ok_or_else(|| io::Error::other("the key has a wrong length"))?;
        authenticator.update(code);
        let mac = authenticator.finalize().into_bytes();
        write_atomically(path, &[&mac, code])
    }
}

/// Component digest and everything that makes native code fit this engine.
fn entry_name(engine: &Engine, file: &ComponentFile) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", file.digest, hasher.finish())
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    for _ in 0..2 {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(mut file) => {
                let found = file.metadata()?;
                let owner = rustix::process::geteuid().as_raw();
                let private = found.mode() & 0o777 & !0o700 == 0;
                if found.is_file() && found.uid() == owner && private {
                    if file.read_exact(&mut key).is_ok() {
                        return Ok(key);
                    }
                    // Cut short by a full disk: a new key only makes old entries worthless.
                    std::fs::remove_file(path)?;
                } else {
                    return Err(io::Error::other(format!("{} is readable by others", path.display())));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        write_atomically(path, &[&key])?;
    }
    Ok(key)
}
