//! What the built components were built from. Shared with the test that they belong to their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The probes that are part of farrier.
pub const BUILT_INS: [&str; 15] = [
    "amqp",
    "exec",
    "grpc",
    "healthcheck",
    "http",
    "log",
    "mcp",
    "memcached",
    "mysql",
    "nats",
    "postgres",
    "redis",
    "skip",
    "smtp",
    "tcp",
];
/// Where the components are, below the repository's root.
pub const FOLDER: &str = "probes/built";
/// What to run when they do not belong to the sources.
pub const COMMAND: &str = "cargo run --package farrier-probe-builder";

pub const TARGET: &str = "wasm32-unknown-unknown";
pub const PROFILE: &str = "probe";
/// A probe needs little stack, and its memory is made anew for each poll.
pub const FLAGS: [&str; 1] = ["-Clink-arg=-zstack-size=65536"];

const FILE: &str = "stamp.toml";
const HEADER: &str =
    "# What the components beside this file were built from. Written by the command that builds them:\n# ";

/// The content of `stamp.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Stamp {
    #[serde(flatten)]
    pub probes: BTreeMap<String, Entry>,
}

/// One component. Digests are SHA-256, in hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the compiler.
    pub rustc: String,
    /// Of its own, the SDK's and the contract's files, and of how they are compiled.
    pub sources: String,
    /// Of the locked packages that it depends on, directly or not.
    pub dependencies: String,
    /// Of the component itself.
    pub component: String,
}

impl Stamp {
    /// Reads the stamp of the components in `folder`.
    ///
    /// # Errors
    /// There is none, or it is not what [`Stamp::write`] writes.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        toml::from_str(&read(&path)?).with_context(|| format!("{} is not a stamp", path.display()))
    }

    /// Writes the stamp of the components in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = format!("{HEADER}{COMMAND}\n\n{}", toml::to_string(self)?);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The package of a built-in probe.
pub fn package(name: &str) -> String {
    format!("farrier-probe-{name}")
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        text.extend(
            [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default()),
        );
    }
    text
}

/// Digests everything in the repository that decides what a component contains.
///
/// # Errors
/// A file cannot be read.
pub fn sources(root: &Path, name: &str) -> Result<String> {
    let mut files = BTreeMap::new();
    let own = format!("probes/{name}");
    for package in [own.as_str(), "probes/sdk", "probes/sdk/derive"] {
        collect(root, &format!("{package}/Cargo.toml"), &mut files)?;
        collect(root, &format!("{package}/src"), &mut files)?;
    }
    collect(root, "probes/sdk/wit", &mut files)?;
    collect(root, "wit", &mut files)?;
    let manifest: toml::Table = toml::from_str(&read(&root.join("Cargo.toml"))?)?;
    let profile = manifest.get("profile").and_then(|profiles| profiles.get(PROFILE));
    let profile = toml::to_string(profile.context("Cargo.toml has no profile for the probes")?)?;
    Ok(digest(format!("{TARGET} {FLAGS:?} {profile:?} {files:?}").as_bytes()))
}

/// Digests the part of the lock file that a guest depends on, so that other packages may change freely.
///
/// # Errors
/// The lock file cannot be read, or does not hold the guest.
pub fn dependencies(root: &Path, name: &str) -> Result<String> {
    let lock: Lock =
        toml::from_str(&read(&root.join("Cargo.lock"))?).context("Cargo.lock is not a lock file")?;
    let guest = package(name);
    let mut pending = vec![lock.find(&guest).with_context(|| format!("Cargo.lock does not hold `{guest}`"))?];
    let mut closure = BTreeSet::new();
    while let Some(package) = pending.pop() {
        if closure.insert((&package.name, &package.version, &package.checksum)) {
            for dependency in &package.dependencies {
                let found = lock.find(dependency);
                pending.push(found.with_context(|| format!("Cargo.lock does not hold `{dependency}`"))?);
            }
        }
    }
    Ok(digest(format!("{closure:?}").as_bytes()))
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    /// `dependency` is written as in the lock file: a name, and a version where the name alone is ambiguous.
    fn find(&self, dependency: &str) -> Option<&Package> {
        let mut words = dependency.split(' ');
        let name = words.next()?;
        let version = words.next();
        self.package
            .iter()
            .find(|package| package.name == name && version.is_none_or(|version| package.version == version))
    }
}

/// Adds a file, or all files below a folder, by their path below `root`.
fn collect(root: &Path, path: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let absolute = root.join(path);
    if absolute.is_dir() {
        for entry in fs::read_dir(&absolute).with_context(|| format!("cannot read {}", absolute.display()))? {
            let name = entry?.file_name();
            collect(root, &format!("{path}/{}", name.display()), files)?;
        }
        return Ok(());
    }
    // A checkout may have other line ends.
    files.insert(path.to_owned(), digest(read(&absolute)?.replace("\r\n", "\n").as_bytes()));
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
