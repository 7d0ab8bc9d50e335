//! What a definition means on an engine: the container's name, labels, configuration and hash.

mod configuration;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use self::configuration::{Configuration, FirstValue, FirstValues, older_data};
use crate::definition::container_token;
use crate::definition::model::{Definition, Layer, Mount};
use crate::plan::session::{LABEL_SESSION, SessionMember};
use crate::report::shell::command_line;
use crate::system::digest::sha256_hex;

/// The label that names the sidecar; also what events are filtered by.
pub const LABEL_SIDECAR: &str = "farrier.sidecar";
/// The label with the scope: of two containers of one name it tells whose each is.
pub const LABEL_SCOPE: &str = "farrier.scope";
/// The label with the name of the set of sidecars that it is of, if that is not the first one.
pub const LABEL_INSTANCE: &str = "farrier.instance";
/// The label with the configuration's hash.
pub const LABEL_HASH: &str = "farrier.config-hash";
/// The label with the definition file's path.
pub const LABEL_DEFINITION: &str = "farrier.definition";
/// The label with the configuration itself, environment values as salted digests.
pub const LABEL_CONFIGURATION: &str = "farrier.configuration";
/// The label with the fields of the environment that changed while a container's data was carried over, and their
/// first values, as JSON.
pub const LABEL_OLDER_DATA: &str = "farrier.changed-since-data";
/// The label with the identity of the folder that the definition's file lies in.
pub const LABEL_FOLDER: &str = "farrier.definition-folder";
/// The label with the ids of the containers in whose place a container was put while launches used them. Their harnesses
/// go on with the new one.
pub const LABEL_REPLACED: &str = "farrier.replaced-in-use";
/// The label with the instances that a job came after when it ran: their ids by the sidecars' names, as JSON.
pub const LABEL_AFTER: &str = "farrier.after";
/// The label on volumes that definitions name: the container that they were made for.
pub const LABEL_VOLUME: &str = "farrier.volume";
/// The label on networks that farrier made.
pub const LABEL_NETWORK: &str = "farrier.network";

/// The variable that tells a session's sidecar with the engine's socket where the workspace is on this host.
const WORKSPACE_HOST_PATH: &str = "SWARMFORGE_WORKSPACE_HOST_PATH";

/// The scope of a resolved folder: 32 hex digits, 128 bits, so that nobody finds two folders with the same.
#[must_use]
pub fn scope_of(folder: &Path) -> String {
    sha256_hex(folder.as_os_str().as_encoded_bytes())[..32].to_owned()
}

/// How many digits of the scope stand in a container's name. The label decides.
const SCOPE_IN_NAME: usize = 8;

/// The name of the container of a sidecar with this scope.
#[must_use]
pub fn container_name(sidecar: &str, scope: Option<&str>) -> String {
    let token = container_token(sidecar);
    match scope.map(|scope| scope.get(..SCOPE_IN_NAME).unwrap_or(scope)) {
        Some(scope) => format!("farrier-{token}-{scope}"),
        None => format!("farrier-{token}"),
    }
}

/// Folders that give names their scope, resolved.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    /// The org layer's directory.
    pub org: Option<PathBuf>,
    /// The workspace.
    pub workspace: Option<PathBuf>,
    /// The name of the set of sidecars; `None` for the first one.
    pub instance: Option<String>,
}

impl Scopes {
    /// The scope of a definition; `None` for the user's and the repository's layers in the first set. A definition that is
    /// not trusted always has one, and in each further set all have others.
    fn of(&self, definition: &Definition) -> Option<String> {
        let first = self.in_first_set(definition);
        let Some(instance) = &self.instance else { return first };
        // No folder has a NUL in its path.
        let within = format!("{}\0{instance}", first.unwrap_or_default());
        Some(sha256_hex(within.as_bytes())[..32].to_owned())
    }

    fn in_first_set(&self, definition: &Definition) -> Option<String> {
        match definition.layer {
            Layer::User | Layer::Repo => None,
            Layer::Org => self.org.as_deref().map(scope_of),
            Layer::Workspace => {
                let own = || {
                    let folder = definition.folder();
                    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
                };
                Some(scope_of(&self.workspace.clone().unwrap_or_else(own)))
            }
        }
    }
}

/// The image that a sidecar is made from, if it is made from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReference {
    /// As declared: what it names may change.
    Declared(String),
    /// The id of the image that somebody approved.
    Approved(String),
    /// None: a program of this host runs, whatever its file contains.
    Program,
    /// None: a program of this host runs, if its file has this digest, which somebody approved.
    ApprovedProgram(String),
}

impl ImageReference {
    /// As an engine is asked for it; empty if there is no image.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Declared(reference) | Self::Approved(reference) => reference,
            Self::Program | Self::ApprovedProgram(_) => "",
        }
    }
}

/// One sidecar that is wanted.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// Its definition.
    pub definition: Definition,
    /// What the engine is asked for.
    pub image: ImageReference,
    /// The scope of its definition's layer.
    pub scope: Option<String>,
    /// The name of the set of sidecars that it is of; `None` for the first one.
    pub instance: Option<String>,
    /// Its place in the session that it belongs to; `None` if it is shared.
    pub session: Option<SessionMember>,
    /// Whether a probe executes something in it.
    pub is_executed_in: bool,
    /// The workspace on this host, if the sidecar is told or given it.
    pub workspace: Option<PathBuf>,
    /// Its container's name.
    pub container: String,
    /// SHA-256 over the configuration's canonical JSON.
    pub hash: String,
    /// The ids of the instances that it comes after, by their sidecars' names, once they are known; for a job alone.
    pub predecessors: BTreeMap<String, String>,
}

impl Sidecar {
    /// Derives everything from the definition.
    #[must_use]
    pub fn new(definition: Definition, scopes: &Scopes) -> Self {
        let scope = scopes.of(&definition);
        let container = container_name(&definition.name, scope.as_deref());
        let hash = Configuration::of(&definition).hash();
        let image = definition.image.clone().map_or(ImageReference::Program, ImageReference::Declared);
        let instance = scopes.instance.clone();
        Self {
            definition,
            image,
            scope,
            instance,
            session: None,
            is_executed_in: false,
            workspace: None,
            container,
            hash,
            predecessors: BTreeMap::new(),
        }
    }

    /// As one that belongs to a session, which gives its container a name.
    pub fn join(&mut self, member: SessionMember) {
        self.container = member.session.container(&self.definition.name);
        self.session = Some(member);
    }

    /// The sidecar's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What makes its container what it is.
    #[must_use]
    pub fn configuration(&self) -> Configuration<'_> {
        Configuration::of(&self.definition)
    }

    /// The name by which commands find it: its own, or its container's in a session, and in another set than the first.
    #[must_use]
    pub fn reference(&self) -> &str {
        if self.instance.is_some() || self.session.is_some() { &self.container } else { self.name() }
    }

    /// How to read everything that it wrote, after the launch has ended: the container of a session's sidecar is removed then.
    #[must_use]
    pub fn whole_log(&self) -> String {
        if self.session.is_none() {
            let logs = command_line(&["farrier", "logs"], &[self.reference()], &[]);
            return format!("Read the whole log with `{logs}`.");
        }
        let removed = "The container and its log were removed with the session";
        let mounts = &self.definition.container.mounts;
        if mounts.iter().any(|mount| matches!(mount, Mount::Workspace { .. })) {
            // Only a session's sidecar may mount the workspace.
            return format!("{removed}.");
        }
        format!("{removed}. To keep them, write `lifecycle = \"shared\"` until you have found the cause.")
    }

    /// The environment that its definition gives its container.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.definition.container.env
    }

    /// The environment of its instance: a session's sidecar that has the engine's socket learns where the workspace is on
    /// this host, unless its definition says so.
    #[must_use]
    pub fn full_env(&self) -> BTreeMap<String, String> {
        let mut env = self.env().clone();
        let mounts = &self.definition.container.mounts;
        let has_socket = mounts.iter().any(Mount::is_engine_socket);
        if let Some(workspace) = self.workspace.as_ref().filter(|_| self.session.is_some() && has_socket) {
            env.entry(WORKSPACE_HOST_PATH.to_owned()).or_insert(workspace.display().to_string());
        }
        env
    }

    /// Whether a container with these labels is this sidecar's: they name the same sidecar, scope and session. Earlier versions
    /// labelled no scopes, and gave workspaces without `.git` none: a container of theirs belongs to the definition in
    /// the file that its label names.
    #[must_use]
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        let label = |name: &str| labels.get(name);
        let is_of_scope = match (label(LABEL_SCOPE), &self.scope) {
            // A trusted layer's container has no scope; its definition's folder may have moved.
            (None, None) if label(LABEL_FOLDER).is_some() => true,
            (None, _) if self.instance.is_none() => label(LABEL_DEFINITION) == Some(&self.definition_label()),
            (found, own) => found == own.as_ref(),
        };
        let session = self.session.as_ref().map(|member| &member.session.id);
        label(LABEL_SIDECAR) == Some(&self.definition.name) && is_of_scope && label(LABEL_SESSION) == session
    }

    fn definition_label(&self) -> String {
        let file = self.definition.file();
        std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string()
    }

    /// What farrier writes to an instance that it makes, so that it knows the instance again. `changed_since` are fields of
    /// the environment that changed since the carried data was first written.
    #[must_use]
    pub fn labels(&self, changed_since: &FirstValues, salt: &str) -> BTreeMap<String, String> {
        let mut labels = self.owner_labels();
        labels.insert(LABEL_HASH.to_owned(), self.hash.clone());
        labels.insert(LABEL_CONFIGURATION.to_owned(), self.configuration().record(salt));
        if !self.predecessors.is_empty() {
            labels.insert(LABEL_AFTER.to_owned(), serde_json::json!(self.predecessors).to_string());
        }
        if !changed_since.is_empty() {
            labels.insert(LABEL_OLDER_DATA.to_owned(), serde_json::json!(changed_since).to_string());
        }
        labels
    }

    /// An engine's name for one of its volumes. No two of them have the same: names of volumes have no `_`.
    #[must_use]
    pub fn volume(&self, name: &str) -> String {
        format!("{}_{name}", self.container)
    }

    /// An engine's names for the volumes that its definition mounts.
    pub fn volumes(&self) -> impl Iterator<Item = String> {
        self.definition.container.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { name, .. } => Some(self.volume(name)),
            _ => None,
        })
    }

    /// By what farrier knows its volumes again.
    #[must_use]
    pub fn volume_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.owner_labels();
        labels.insert(LABEL_VOLUME.to_owned(), self.container.clone());
        labels
    }

    /// The labels that say whose something is.
    #[must_use]
    pub fn owner_labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (LABEL_SIDECAR.to_owned(), self.definition.name.clone()),
            (LABEL_DEFINITION.to_owned(), self.definition_label()),
        ]);
        let mut label = |name: &str, value: Option<String>| {
            labels.extend(value.map(|value| (name.to_owned(), value)));
        };
        label(LABEL_SCOPE, self.scope.clone());
        label(LABEL_INSTANCE, self.instance.clone());
        label(LABEL_FOLDER, folder_identity(self.definition.folder()));
        labels.extend(self.session.iter().flat_map(SessionMember::labels));
        labels
    }
}

/// What tells a folder from every other one that this process could find at its path, as in another mount
/// namespace: its device and inode. `None` if it cannot be looked at.
#[must_use]
pub fn folder_identity(folder: &Path) -> Option<String> {
    let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    Some(format!("{}:{}", found.dev(), found.ino()))
}

#[cfg(test)]
mod tests;
