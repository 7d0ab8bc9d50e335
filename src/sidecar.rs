//! What a definition means on an engine: the container's name, labels, configuration and hash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::definition::container_token;
use crate::definition::model::{Definition, Layer, Mount};
use crate::engine::{ContainerSpec, Mounted};

/// The label that names the sidecar; also what events are filtered by.
pub const LABEL_SIDECAR: &str = "farrier.sidecar";
/// The label with the configuration's hash.
pub const LABEL_HASH: &str = "farrier.config-hash";
/// The label with the definition file's path.
pub const LABEL_DEFINITION: &str = "farrier.definition";
/// The label with the configuration itself, environment values as salted digests.
pub const LABEL_CONFIGURATION: &str = "farrier.configuration";
/// The label on networks that farrier made.
pub const LABEL_NETWORK: &str = "farrier.network";

/// Where Docker's own socket lies, on the engine's host and in a container.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Eight hex digits that tell two folders apart.
#[must_use]
pub fn scope_token(path: &Path) -> String {
    sha256_hex(path.as_os_str().as_encoded_bytes())[..8].to_owned()
}

/// Folders that give names their scope, resolved.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    /// The org layer's directory.
    pub org: Option<PathBuf>,
    /// The workspace's root.
    pub workspace: Option<PathBuf>,
}

/// The part of a definition that makes the container what it is; readiness is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    image: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    env: BTreeMap<String, String>,
    mounts: Vec<String>,
    networks: Vec<String>,
    memory: Option<u64>,
    aliases: Vec<String>,
}

/// A configuration as it stands in a label: values of the environment are digests.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    salt: String,
    configuration: Configuration,
}

/// One sidecar that is wanted.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// Its definition.
    pub definition: Definition,
    /// What the engine is asked for: the image as declared, or the id that it had when an approval was asked for.
    pub image: String,
    /// Its container's name.
    pub container: String,
    /// What makes the container.
    pub configuration: Configuration,
    /// SHA-256 over the configuration's canonical JSON.
    pub hash: String,
}

impl Sidecar {
    /// Derives everything from the definition.
    #[must_use]
    pub fn new(definition: Definition, scopes: &Scopes) -> Self {
        let scope = match definition.layer {
            Layer::User | Layer::Repo => None,
            Layer::Org => scopes.org.as_deref(),
            Layer::Workspace => scopes.workspace.as_deref(),
        };
        let token = container_token(&definition.name);
        let container = match scope {
            Some(path) => format!("farrier-{token}-{}", scope_token(path)),
            None => format!("farrier-{token}"),
        };
        let configuration = Configuration::of(&definition);
        let hash = configuration.hash();
        Self { image: definition.image.clone(), definition, container, configuration, hash }
    }

    /// The sidecar's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The mounts that the definition declares.
    #[must_use]
    pub fn declared_mounts(&self) -> Vec<Mounted> {
        let socket = |writable| Mounted {
            kind: "bind".to_owned(),
            source: DOCKER_SOCKET.to_owned(),
            target: DOCKER_SOCKET.to_owned(),
            writable,
        };
        self.definition
            .mounts
            .iter()
            .filter_map(|mount| match mount {
                Mount::DockerSocket { writable } => Some(socket(*writable)),
                Mount::Workspace { .. } => None,
            })
            .collect()
    }

    /// The name that a new container has until the old one is gone, so that at any moment one of both exists
    /// and holds the anonymous volumes. No sidecar's own container can have it: tokens do not end in `_`.
    #[must_use]
    pub fn temporary_name(&self) -> String {
        format!("{}_", self.container)
    }

    /// The container to make under this name on this network, with these volumes carried over.
    #[must_use]
    pub fn spec(&self, name: &str, network: &str, carried: &[Mounted], salt: &str) -> ContainerSpec {
        let definition = &self.definition;
        let mut mounts = self.declared_mounts();
        mounts.extend(carried.iter().cloned());
        let file = std::path::absolute(definition.file()).unwrap_or_else(|_| definition.file().clone());
        ContainerSpec {
            name: name.to_owned(),
            image: self.image.clone(),
            entrypoint: self.configuration.entrypoint.clone(),
            command: self.configuration.command.clone(),
            env: definition.env.clone(),
            labels: BTreeMap::from([
                (LABEL_SIDECAR.to_owned(), definition.name.clone()),
                (LABEL_HASH.to_owned(), self.hash.clone()),
                (LABEL_DEFINITION.to_owned(), file.display().to_string()),
                (LABEL_CONFIGURATION.to_owned(), self.configuration.record(salt)),
            ]),
            mounts,
            memory: definition.memory,
            network: network.to_owned(),
            aliases: definition.aliases(),
            helper: false,
        }
    }
}

impl Configuration {
    fn of(definition: &Definition) -> Self {
        Self {
            image: definition.image.clone(),
            entrypoint: definition.entrypoint.clone().unwrap_or_default(),
            command: definition.command.clone().unwrap_or_default(),
            env: definition.env.clone(),
            mounts: definition.mounts.iter().map(|mount| format!("{mount:?}")).collect(),
            networks: definition.networks.clone(),
            memory: definition.memory,
            aliases: definition.aliases(),
        }
    }

    /// Canonical because the fields have one order and the map is sorted.
    fn hash(&self) -> String {
        sha256_hex(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The label's text.
    fn record(&self, salt: &str) -> String {
        let mut configuration = self.clone();
        for (name, value) in &mut configuration.env {
            *value = sha256_hex(format!("{salt}\0{name}\0{value}"));
        }
        serde_json::to_string(&Recorded { salt: salt.to_owned(), configuration }).unwrap_or_default()
    }

    /// Which fields differ from what a label recorded, never their values; none where the label is unreadable.
    #[must_use]
    pub fn differences(&self, label: &str) -> Option<Vec<String>> {
        let recorded: Recorded = serde_json::from_str(label).ok()?;
        let before = recorded.configuration;
        let mut fields = Vec::new();
        let mut note = |field: &str, changed: bool| {
            if changed {
                fields.push(field.to_owned());
            }
        };
        note("image", before.image != self.image);
        note("entrypoint", before.entrypoint != self.entrypoint);
        note("command", before.command != self.command);
        let names: BTreeSet<&String> = before.env.keys().chain(self.env.keys()).collect();
        for name in names {
            let now =
                self.env.get(name).map(|value| sha256_hex(format!("{}\0{name}\0{value}", recorded.salt)));
            note(&format!("env.{name}"), before.env.get(name) != now.as_ref());
        }
        note("mounts", before.mounts != self.mounts);
        note("networks", before.networks != self.networks);
        note("resources.memory", before.memory != self.memory);
        note("interface.aliases", before.aliases != self.aliases);
        Some(fields)
    }
}
