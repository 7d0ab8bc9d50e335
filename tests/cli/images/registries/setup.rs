//! Sidecars whose images are at registries, and what registries serve of a layout.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::images::setup::Images;
use crate::support::http::{Message, Reply};
use crate::support::skipping::say_skipped;
use crate::support::{Image, Run, fixture_program};

/// A scene whose images are pulled.
pub struct Pulls {
    pub images: Images,
}

impl Pulls {
    pub fn new() -> Self {
        Self { images: Images::new() }
    }

    /// Writes an image into a folder that no definition names, and gives its id.
    pub fn layout(&self, stem: &str, image: &Image) -> (PathBuf, String) {
        let folder = self.images.programs.scene.path(format!("layouts/{stem}"));
        let id = image.layout(&fixture_program(), &folder).unwrap_or_else(|trouble| panic!("{trouble}"));
        (folder, id)
    }

    /// A sidecar of an image by reference that serves at a port.
    pub fn serving(&self, stem: &str, reference: &str, port: u16) {
        let text = format!(
            "image = '{reference}'\ncommand = ['serve', '--port', '{port}', '--reply', 'pong']\n\
             [interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\n"
        );
        self.images.programs.define(stem, &text);
    }

    pub fn farrier<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.images.farrier(arguments).env("FARRIER_ENGINE", "native")
    }

    /// What a sidecar answers to a harness on this host.
    pub fn ask(&self, stem: &str) -> String {
        let harness = fixture_program().display().to_string();
        let variable = self.images.programs.scene.variable(stem);
        self.farrier(["launch", "--", &harness, "ask-env", &variable]).output().assert_code(0).stdout()
    }

    /// Writes docker's client configuration.
    pub fn log_in(&self, configuration: &str) {
        let folder = self.images.programs.scene.home().join(".docker");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("config.json"), configuration).expect("a file");
    }

    /// Ends everything, and empties the store.
    pub fn forget(&self) {
        self.farrier(["down", "--yes"]).output().assert_code(0);
        self.farrier(["engine", "prune"]).output().assert_code(0);
    }

    /// `up` with a store on a file system of this size, and how many layers are left half unpacked. None, and a loud
    /// message, if this user may not mount one.
    pub fn on_small_disk(&self, mebibytes: u64) -> Option<Run> {
        let store = self.images.store().join("images");
        let script = format!(
            "umask 077; mkdir -p '{0}' && mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs '{0}' || exit 77\n\
             \"$@\"; code=$?; echo \"unfinished: $(ls '{0}/unfinished' | wc -l)\"; exit $code",
            store.display()
        );
        self.within(&script, &["up"])
    }

    /// A command where nothing is at Docker's default address. None, and a loud message, if this user may not hide it.
    pub fn without_docker(&self, arguments: &[&str]) -> Option<Run> {
        let run = self.within("mount -t tmpfs tmpfs /run || exit 77\nexec \"$@\"", arguments)?;
        Some(run.env_remove("FARRIER_ENGINE").env_remove("DOCKER_HOST"))
    }

    fn within(&self, script: &str, arguments: &[&str]) -> Option<Run> {
        let may = Command::new("unshare").args(["--mount", "true"]).output();
        if !may.is_ok_and(|output| output.status.success()) {
            say_skipped("this user may make no namespace of mounts");
            return None;
        }
        let own = ["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_farrier")];
        let run = Run::program(&self.images.programs.scene, "unshare").args(own).args(arguments);
        Some(run.env("FARRIER_ENGINE", "native"))
    }
}

/// What a registry serves of the only image of a layout, whatever its name.
pub struct Served {
    blobs: BTreeMap<String, Vec<u8>>,
    /// The digest of the manifest.
    pub manifest: String,
}

impl Served {
    pub fn of(layout: &Path) -> Self {
        let folder = std::fs::read_dir(layout.join("blobs/sha256")).expect("blobs");
        let blob = |entry: std::fs::DirEntry| {
            let digest = format!("sha256:{}", entry.file_name().display());
            (digest, std::fs::read(entry.path()).expect("a blob"))
        };
        let index = std::fs::read(layout.join("index.json")).expect("an index");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let manifest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        Self { blobs: folder.flatten().map(blob).collect(), manifest }
    }

    pub fn blob(&self, digest: &str) -> Vec<u8> {
        self.blobs.get(digest).cloned().unwrap_or_default()
    }

    pub fn document(&self) -> Value {
        serde_json::from_slice(&self.blob(&self.manifest)).expect("a manifest")
    }

    /// The digest of its layer.
    pub fn layer(&self) -> String {
        self.document()["layers"][0]["digest"].as_str().expect("a digest").to_owned()
    }

    /// Serves other bytes as the manifest that a tag names.
    pub fn with_manifest(mut self, manifest: &[u8]) -> Self {
        "other".clone_into(&mut self.manifest);
        self.blobs.insert(self.manifest.clone(), manifest.to_vec());
        self
    }

    /// Serves something under a digest, which may be a lie.
    pub fn with_blob(mut self, digest: &str, content: impl Into<Vec<u8>>) -> Self {
        self.blobs.insert(digest.to_owned(), content.into());
        self
    }

    /// The answer of a registry that is well.
    pub fn answer(&self, request: &Message) -> Reply {
        let (_, name) = request.path().rsplit_once('/').unwrap_or_default();
        let is_manifest = request.path().contains("/manifests/");
        let digest = if is_manifest && !name.contains(':') { &self.manifest } else { name };
        let Some(content) = self.blobs.get(digest) else { return Reply::status(404) };
        let from = request.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        match from.and_then(|from| from.parse::<usize>().ok()) {
            Some(from) if from < content.len() => {
                let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
                Reply { status: 206, ..Reply::ok(&content[from..]) }.header("content-range", &range)
            }
            Some(_) => Reply::status(416),
            None => Reply::ok(content.clone()),
        }
    }
}
