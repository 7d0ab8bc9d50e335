//! What a command works with: options and variables resolved to folders and choices, once. `cli` makes it.

use std::path::{Path, PathBuf};

use crate::definition::LayerDirectories;
use crate::engine::kinds::{Engines, Environment, Folders};
use crate::plan::sidecar::Scopes;
use crate::preparation::choice::SidecarChoice;
use crate::preparation::policy::PolicyFiles;
use crate::readiness::route::Dialling;

/// Resolved options.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The layers' directories.
    pub directories: LayerDirectories,
    /// Folders that scope names.
    pub scopes: Scopes,
    /// Folder for what can be made again; `None` if there is no home.
    pub cache: Option<PathBuf>,
    /// Folder for what cannot.
    pub state: Option<PathBuf>,
    /// The image that relays are made from.
    pub probe_image: Option<String>,
    /// How probes dial.
    pub dialling: Dialling,
    /// Every sidecar is recreated.
    pub recreate: bool,
    /// The prefix of the harness's variables.
    pub env_prefix: String,
    /// Where approvals of workspace definitions are kept; `None` if there is no home.
    pub approvals: Option<PathBuf>,
    /// Nothing is asked.
    pub no_prompt: bool,
    /// The options that decide which definitions there are and who approved them, as given: for commands that
    /// are suggested.
    pub given: Vec<String>,
    /// What decides about the engine's address.
    pub environment: Environment,
    /// On which engine each sidecar lives.
    pub engine: Engines,
    /// Which of the declared sidecars take part.
    pub choice: SidecarChoice,
    /// Where the policies are that bound all definitions.
    pub policies: PolicyFiles,
}

impl Settings {
    /// Where engines may keep something on this host.
    #[must_use]
    pub fn folders(&self) -> Folders {
        Folders { cache: self.cache.clone(), state: self.state.clone() }
    }
}

/// The folder itself, through every link; as named if it cannot be looked at.
#[must_use]
pub fn resolved(folder: &Path) -> PathBuf {
    let absolute = || std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    std::fs::canonicalize(folder).unwrap_or_else(|_| absolute())
}

/// The home directory, resolved.
#[must_use]
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").and_then(|home| std::fs::canonicalize(home).ok())
}

/// The checkout that a resolved folder lies in; the home directory is none.
#[must_use]
pub fn checkout_of(folder: &Path) -> Option<PathBuf> {
    nearest_checkout(folder, home().as_deref())
}

fn nearest_checkout(here: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let found = here.ancestors().find(|folder| folder.join(".git").exists())?;
    (found.parent().is_some() && Some(found) != home).then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_is_no_workspace() {
        let folder = tempfile::tempdir().expect("folder");
        let checkout = folder.path().join("project");
        let deep = checkout.join("a/b");
        std::fs::create_dir_all(checkout.join(".git")).expect("checkout");
        std::fs::create_dir_all(&deep).expect("folders");
        assert_eq!(nearest_checkout(&deep, None), Some(checkout.clone()));
        assert_eq!(nearest_checkout(&deep, Some(&checkout)), None);
        assert_eq!(nearest_checkout(folder.path(), None), None);
    }
}
