//! The documents that name an image's parts by their digests: an index names manifests for several machines, and a manifest
//! names a configuration and layers. Layouts and registries have the same ones.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::own_architecture;
use super::digest::hex_digits;
use super::{MOST_LAYERS, damaged};

/// How deep indices may lie in one another.
pub const DEEPEST: usize = 4;
/// The annotations by which tools name an image in an index.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// A part of an image, by its digest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The digest of its content.
    pub digest: String,
    /// Bytes of its content; `None` if nothing says it.
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// Names manifests.
#[derive(Clone, Debug, Deserialize)]
pub struct Index {
    /// What it names, which may be other indices.
    pub manifests: Vec<Descriptor>,
}

/// Names the parts of one image.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What is said about it, by whoever pushed it.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, serde_json::Value>>,
}

/// What a registry answers with if it is asked for a manifest.
#[derive(Clone, Debug)]
pub enum Document {
    /// An index.
    Index(Index),
    /// A manifest.
    Manifest(Manifest),
}

/// All that tells what a document is: one that could be both would be another image for each reader.
#[derive(Deserialize)]
struct Shape {
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl Descriptor {
    /// The type of what it names; empty if it says none.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Whether it names an index, as its media type says.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.media_type.ends_with("image.index.v1+json") || self.media_type.ends_with("manifest.list.v2+json")
    }

    /// The names that tools gave it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.iter();
        annotations.flat_map(|found| NAMES.iter().filter_map(|name| found.get(*name)).map(String::as_str))
    }

    /// Whether it may be meant on this machine. What has no platform may be; what is no image has an unknown one.
    #[must_use]
    pub fn is_for_this_machine(&self) -> bool {
        self.platform
            .as_ref()
            .is_none_or(|platform| platform.os == "linux" && platform.architecture == own_architecture())
    }

    /// The machine that it is for, if it says one.
    #[must_use]
    pub fn machine(&self) -> Option<String> {
        let platform = self.platform.as_ref().filter(|platform| platform.os != "unknown")?;
        Some(format!("{}/{}", platform.os, platform.architecture))
    }
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged, or names more layers than an image may have.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let manifest: Self = parse("a manifest", bytes)?;
        hex_digits(&manifest.config.digest)?;
        let layers = &manifest.layers;
        if layers.len() > MOST_LAYERS {
            return Err(damaged(format!(
                "it has {} layers, but farrier accepts at most {MOST_LAYERS}",
                layers.len()
            )));
        }
        layers.iter().try_for_each(|layer| hex_digits(&layer.digest).map(drop))?;
        Ok(manifest)
    }
}

impl Document {
    /// Reads a document of either kind.
    ///
    /// # Errors
    /// If it is damaged, or neither.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let Shape { manifests, config, layers } = parse("a manifest", bytes)?;
        match (manifests, config, layers) {
            (Some(_), None, None) => parse("an index", bytes).map(Self::Index),
            (None, Some(_), Some(_)) => Manifest::parse(bytes).map(Self::Manifest),
            (Some(_), ..) => Err(damaged("its manifest is also an index")),
            (None, ..) => {
                Err(damaged("its manifest names no configuration with layers; it may use an old format"))
            }
        }
    }
}

/// Reads a document.
pub(super) fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(format!("{what} cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_one_of_both_kinds() {
        let id = format!("sha256:{}", "a".repeat(64));
        let config = format!(r#""config":{{"digest":"{id}","size":2}}"#);
        for (text, found) in [
            (r#"{"manifests":[]}"#.to_owned(), Ok("index")),
            (format!(r#"{{{config},"layers":[]}}"#), Ok("manifest")),
            (format!(r#"{{"manifests":[],{config},"layers":[]}}"#), Err("is also an index")),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), Err("old form")),
            ("[]".to_owned(), Err("cannot be read")),
            (r#"{"config":{"digest":"sha256:x"},"layers":[]}"#.to_owned(), Err("is not a digest")),
            (format!(r#"{{{config},"layers":[{{"digest":"{id}","size":-1}}]}}"#), Err("cannot be read")),
            (format!(r#"{{{config},"layers":[{{"digest":"../{id}"}}]}}"#), Err("is not a digest")),
        ] {
            match (Document::parse(text.as_bytes()), found) {
                (Ok(Document::Index(_)), Ok("index")) | (Ok(Document::Manifest(_)), Ok("manifest")) => {}
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
                (read, found) => panic!("{text}: {read:?} {found:?}"),
            }
        }
    }
}
