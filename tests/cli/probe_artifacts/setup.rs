//! Definitions that name probes in registries, and what registries serve of them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::guest::{self, LOGS, component, guest, with_imports};
use crate::support::http::{Message, Reply};
use crate::support::{Run, Scene};

/// The media types of the specification.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub const LAYER: &str = "application/wasm";

/// A probe that is ready at once.
pub fn ready() -> Vec<u8> {
    component(&guest(guest::READY))
}

/// Another one, which also reads the log.
pub fn other() -> Vec<u8> {
    component(&with_imports(LOGS, guest::READY, ""))
}

/// A component that names its version in the standard section.
pub fn versioned(mut component: Vec<u8>, version: &str) -> Vec<u8> {
    let (name, length) = ("version", u8::try_from(version.len()).expect("short"));
    component.extend([0, 8 + length, 7]);
    component.extend(name.bytes().chain(version.bytes()));
    component
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A definition of an image without a port, with these lines about its readiness.
pub fn definition(probe: &str, lines: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"example\"\n[interface]\nkind = \"none\"\n\
         [readiness]\nprobe = \"{probe}\"\n{lines}"
    )
}

/// A scene with a cache of its own, where no engine can answer.
pub struct Scenery {
    pub scene: Scene,
}

impl Scenery {
    pub fn new() -> Self {
        Self { scene: Scene::new().isolated() }
    }

    pub fn farrier(&self, words: &[&str]) -> Run {
        // A process has no controlling terminal in a new session, so nothing can be asked.
        Run::program(&self.scene, "setsid")
            .args(["--wait", env!("CARGO_BIN_EXE_farrier")])
            .args(words)
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("NO_COLOR", "1")
    }

    /// A definition of the user.
    pub fn define(&self, stem: &str, probe: &str) {
        self.scene.define(stem, &definition(probe, ""));
    }

    /// Writes a file into the workspace, and gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.scene.workspace().join(name);
        fs::write(&path, bytes).expect("a file");
        path.display().to_string()
    }

    /// Writes docker's client configuration.
    pub fn log_in(&self, configuration: &str) {
        let folder = self.scene.home().join(".docker");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("config.json"), configuration).expect("a file");
    }
}

/// What a registry has: blobs by digest, whatever the repository, and manifests by repository and tag.
#[derive(Clone, Default)]
pub struct Published {
    pub blobs: BTreeMap<String, Vec<u8>>,
    tags: BTreeMap<String, String>,
}

impl Published {
    /// The manifest of a component, as `wkg` writes it.
    pub fn manifest(&mut self, component: &[u8]) -> Value {
        let config = json!({
            "created": "2026-11-29T12:00:00.123456Z", "author": "somebody", "architecture": "wasm", "os": "wasip2",
            "layerDigests": [digest(component)],
            "component": { "exports": ["farrier:probe/check@0.1.0"], "imports": [], "target": null },
        });
        let config = config.to_string().into_bytes();
        let part = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part(CONFIG, &config),
            "layers": [part(LAYER, component)],
            "annotations": { "org.opencontainers.image.version": "1.2.3" },
        });
        self.blobs.insert(digest(component), component.to_vec());
        self.blobs.insert(digest(&config), config);
        manifest
    }

    /// Publishes a component under a tag, and gives the digest of its manifest.
    pub fn publish(&mut self, repository: &str, tag: &str, component: &[u8]) -> String {
        let manifest = self.manifest(component);
        self.document(repository, tag, manifest.to_string().as_bytes())
    }

    /// Publishes any document under a tag.
    pub fn document(&mut self, repository: &str, tag: &str, manifest: &[u8]) -> String {
        let digest = digest(manifest);
        self.blobs.insert(digest.clone(), manifest.to_vec());
        self.tags.insert(format!("/v2/{repository}/manifests/{tag}"), digest.clone());
        digest
    }

    /// The answer of a registry that is well.
    pub fn answer(&self, request: &Message) -> Reply {
        if request.path() == "/v2/" {
            return Reply::ok("{}");
        }
        let (_, name) = request.path().rsplit_once('/').unwrap_or_default();
        let digest = self.tags.get(request.path()).map_or(name, String::as_str);
        match self.blobs.get(digest) {
            Some(content) => Reply::ok(content.clone()),
            None => Reply::status(404),
        }
    }
}
