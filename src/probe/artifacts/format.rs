//! The documents of a probe in a registry, as the Wasm working group of the CNCF specifies them: a manifest whose
//! configuration is of the type [`CONFIG`], and whose only layer is the component.
//!
//! Everybody who pushes the same component gets the same digest: the documents contain no time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::image_file::digest_of;
use crate::engine::image_file::manifest::{Descriptor, Document};
use crate::probe::component::ComponentFile;
use crate::probe::limits::COMPONENT_BYTES;
use crate::probe::metadata::Metadata;

/// The media type of the configuration.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the layer.
pub const LAYER: &str = "application/wasm";
/// The media type of the manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The moment that a configuration must name.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// The annotation of a layer that names its file.
const TITLE: &str = "org.opencontainers.image.title";
/// The annotation of a manifest that names the component's version.
const VERSION: &str = "org.opencontainers.image.version";
/// The custom sections by which a component describes itself, each with the annotation of the same meaning.
const SECTIONS: &[(&str, &str)] = &[
    ("authors", "org.opencontainers.image.authors"),
    ("description", "org.opencontainers.image.description"),
    ("homepage", "org.opencontainers.image.url"),
    ("licenses", "org.opencontainers.image.licenses"),
    ("revision", "org.opencontainers.image.revision"),
    ("source", "org.opencontainers.image.source"),
    ("version", VERSION),
];

/// A probe in a registry, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The digest of the manifest: `sha256:…`.
    pub digest: String,
    /// The component.
    pub layer: Descriptor,
    /// Bytes of the component.
    pub size: u64,
    /// The version that the manifest names.
    pub version: Option<String>,
}

/// Why a manifest is not a probe's. The sentences say what it is instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArtifactError {
    /// An index.
    #[error("it is an index of several artifacts, not a component")]
    Index,
    /// Another kind of artifact, such as an image.
    #[error("its configuration has the media type {0:?} instead of `{CONFIG}`")]
    OtherConfig(String),
    /// Another layer than a component.
    #[error("its layer has the media type {0:?} instead of `{LAYER}`")]
    OtherLayer(String),
    /// None, or several.
    #[error("it has {0} layers instead of one")]
    Layers(usize),
    /// Not a size.
    #[error("its manifest does not say how large the component is")]
    NoSize,
    /// More than [`COMPONENT_BYTES`].
    #[error("its component has {mebibytes} MiB, but farrier accepts at most {} MiB", COMPONENT_BYTES >> 20)]
    TooLarge {
        /// What the manifest says, rounded up.
        mebibytes: u64,
    },
    /// Not a manifest.
    #[error("{0}")]
    Damaged(String),
}

impl Artifact {
    /// Reads a manifest, which its digest names.
    ///
    /// # Errors
    /// If it is none, or not that of a component which farrier would download.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let document = Document::parse(bytes).map_err(|error| ArtifactError::Damaged(error.to_string()))?;
        let Document::Manifest(manifest) = document else { return Err(ArtifactError::Index) };
        if manifest.config.media_type() != CONFIG {
            return Err(ArtifactError::OtherConfig(short(manifest.config.media_type())));
        }
        let [layer] = manifest.layers.as_slice() else {
            return Err(ArtifactError::Layers(manifest.layers.len()));
        };
        if layer.media_type() != LAYER {
            return Err(ArtifactError::OtherLayer(short(layer.media_type())));
        }
        let size = layer.size.ok_or(ArtifactError::NoSize)?;
        if size > COMPONENT_BYTES {
            return Err(ArtifactError::TooLarge { mebibytes: size.div_ceil(1 << 20) });
        }
        let version = manifest.annotations.as_ref().and_then(|all| all.get(VERSION)?.as_str());
        Ok(Self { digest: digest_of(bytes), layer: layer.clone(), size, version: version.map(short) })
    }

    /// The SHA-256 of the component as lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.layer.digest.trim_start_matches("sha256:")
    }
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What a registry gets of a component, beside the component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The configuration.
    pub config: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    author: Option<&'a str>,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [&'a str; 1],
    component: Outside<'a>,
}

#[derive(Serialize)]
struct Outside<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: Part<'a>,
    layers: [Part<'a>; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    media_type: &'a str,
    digest: &'a str,
    size: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, String>,
}

/// Describes a component for a registry, under the name of its file.
///
/// # Errors
/// Never for texts that a component can contain.
pub fn documents(file: &ComponentFile, title: &str) -> serde_json::Result<Documents> {
    let layer = format!("sha256:{}", file.digest);
    let annotations = annotations(file);
    let config = Config {
        created: CREATED,
        author: annotations.get("org.opencontainers.image.authors").map(String::as_str),
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [&layer],
        component: Outside { exports: &file.exports, imports: &file.imports, target: None },
    };
    let config = serde_json::to_vec(&config)?;
    let digest = digest_of(&config);
    let part = |media_type, digest, size, annotations| Part { media_type, digest, size, annotations };
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        config: part(CONFIG, &digest, config.len(), BTreeMap::new()),
        layers: [part(LAYER, &layer, file.bytes.len(), BTreeMap::from([(TITLE, title.to_owned())]))],
        annotations,
    };
    Ok(Documents { manifest: serde_json::to_vec(&manifest)?, config })
}

/// What a component says about itself, as annotations.
fn annotations(file: &ComponentFile) -> BTreeMap<&'static str, String> {
    let metadata = Metadata::of(file);
    let annotation = |(name, text): (&str, &str)| {
        let (_, annotation) = SECTIONS.iter().find(|(section, _)| *section == name)?;
        Some((*annotation, text.to_owned()))
    };
    metadata.fields().filter_map(annotation).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    /// A probe with these custom sections.
    fn component(sections: &[(&'static str, &str)]) -> ComponentFile {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/probes/built/tcp.wasm");
        let bytes = std::fs::read(path).expect("tcp");
        let sections = sections.iter().map(|(name, text)| (*name, text.as_bytes().into())).collect();
        let bytes = crate::probe::sections::written_to(&bytes, &sections).expect("a component");
        ComponentFile::parse(bytes).expect("a probe")
    }

    /// What `oci-wasm`, on which `wkg` and wasmCloud stand, reads a configuration into.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct WasmConfig {
        created: String,
        author: Option<String>,
        architecture: String,
        os: String,
        layer_digests: Vec<String>,
        component: Option<WasmComponent>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct WasmComponent {
        exports: Vec<String>,
        imports: Vec<String>,
        target: Option<String>,
    }

    #[test]
    fn what_is_written_is_what_others_read() {
        let file = component(&[("version", "1.2.3"), ("authors", "somebody"), ("other", "nothing")]);
        let Documents { manifest, config } = documents(&file, "tcp.wasm").expect("documents");
        let artifact = Artifact::parse(&manifest).expect("a manifest");
        assert_eq!(artifact.sha256(), file.digest);
        assert_eq!(artifact.size, file.bytes.len() as u64);
        assert_eq!(artifact.version.as_deref(), Some("1.2.3"));
        assert_eq!(artifact.digest, digest_of(&manifest));
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let expected = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": digest_of(&config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/wasm",
                "digest": format!("sha256:{}", file.digest),
                "size": file.bytes.len(),
                "annotations": { "org.opencontainers.image.title": "tcp.wasm" },
            }],
            "annotations": {
                "org.opencontainers.image.authors": "somebody",
                "org.opencontainers.image.description": "Ready when the sidecar's declared port accepts a connection",
                "org.opencontainers.image.licenses": "Apache-2.0 OR MIT",
                "org.opencontainers.image.version": "1.2.3",
            },
        });
        assert_eq!(manifest, expected);
        let config: WasmConfig = serde_json::from_slice(&config).expect("a configuration");
        assert_eq!(config.created.parse::<jiff::Timestamp>().ok(), Some(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(config.author.as_deref(), Some("somebody"));
        assert_eq!((config.architecture.as_str(), config.os.as_str()), ("wasm", "wasip2"));
        assert_eq!(config.layer_digests, [format!("sha256:{}", file.digest)]);
        let component = config.component.expect("a component");
        assert_eq!((component.exports, component.imports), (file.exports.clone(), file.imports.clone()));
        assert_eq!(component.target, None);
        assert_eq!(documents(&file, "tcp.wasm").ok(), documents(&file, "tcp.wasm").ok());
    }

    /// The tables of refusals are in `tests/cli/probe_artifacts/hostile.rs`.
    #[test]
    fn a_manifest_as_the_specification_has_it_is_read() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.wasm.config.v0+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": digest,
                "size": 582,
                "annotations": null,
            },
            "layers": [{ "mediaType": "application/wasm", "digest": digest, "size": 1024, "urls": [] }],
            "subject": null,
            "annotations": { "other": 1, "org.opencontainers.image.version": "2.0.0\u{1b}[31m" },
        });
        let artifact = Artifact::parse(text.to_string().as_bytes()).expect("a manifest");
        assert_eq!((artifact.size, artifact.version.as_deref()), (1024, Some("2.0.0\u{1b}[31m")));
    }
}
