//! The SDK's sources as one archive, for the projects that `farrier probe new` makes: `cargo package` leaves
//! folders with a manifest of their own out of farrier's package, files it does not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Its name among the built components.
pub const FILE: &str = "sdk.tar";
/// Where the SDK is, below the repository's root.
const SDK: &str = "probes/sdk";
/// What its package holds.
const CONTENT: [&str; 6] = ["Cargo.toml", "README.md", "derive/Cargo.toml", "derive/src", "src", "wit"];

/// Packs the sources, byte for byte the same each time.
///
/// # Errors
/// A file cannot be read.
pub fn sdk(root: &Path) -> Result<Vec<u8>> {
    let folder = root.join(SDK);
    let mut files = Vec::new();
    for name in CONTENT {
        collect(&folder, Path::new(name), &mut files)?;
    }
    files.sort();
    let mut archive = tar::Builder::new(Vec::new());
    for path in files {
        let bytes =
            fs::read(folder.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
        // A checkout may have other line ends.
        let text = String::from_utf8(bytes)?.replace("\r\n", "\n");
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, &path, text.as_bytes())?;
    }
    Ok(archive.into_inner()?)
}

fn collect(folder: &Path, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let absolute = folder.join(path);
    if !absolute.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(&absolute).with_context(|| format!("cannot read {}", absolute.display()))? {
        collect(folder, &path.join(entry?.file_name()), files)?;
    }
    Ok(())
}
