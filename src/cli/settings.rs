//! From options and variables to the settings that a command works with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;

use super::completions::default_layers;
use super::options::{ApprovalOptions, LaunchOptions, LayerOptions};
use crate::definition::LayerDirectories;
use crate::definition::working_trees::WorkingTrees;
use crate::engine::kinds::{Engines, Environment};
use crate::harness::argv::{self, Harness};
use crate::harness::reachability::ENV_PREFIX;
use crate::plan::sidecar::Scopes;
use crate::preparation::choice::SidecarChoice;
use crate::preparation::policy::{self, PolicyFiles};
use crate::preparation::settings::{Settings, checkout_of, home, resolved};
use crate::system::folders::own_folders;

impl Settings {
    /// Resolves the options of a command that reads definitions.
    #[must_use]
    pub fn new(layers: &LayerOptions, launch: &LaunchOptions) -> Self {
        let folders = Xdg::new().ok();
        let directories = layer_directories(layers);
        let scopes = Scopes {
            org: directories.org.as_deref().map(resolved),
            workspace: workspace_of(&directories),
            instance: layers.instance.clone(),
        };
        let (cache, state) = own_folders();
        let given = |option: &Option<OsString>| {
            option.as_ref().map(|value| (!value.is_empty()).then(|| PathBuf::from(value)))
        };
        let environment = engine_environment(folders.as_ref().map(|folders| folders.home_dir().to_owned()));
        let approvals_default = || state.as_ref().map(|folder| folder.join("approvals.json"));
        Self {
            approvals: given(&launch.approval.approvals).flatten().or_else(approvals_default),
            no_prompt: launch.approval.no_prompt,
            given: given_options(layers, &launch.approval),
            directories,
            scopes,
            cache,
            state,
            probe_image: launch.probe_image.clone().filter(|image| !image.is_empty()),
            dialling: launch.dial,
            recreate: launch.recreate,
            env_prefix: launch.env_prefix.clone().unwrap_or_else(|| ENV_PREFIX.to_owned()),
            engine: Engines::new(layers.engine, environment.clone()),
            choice: SidecarChoice { only: launch.only.clone(), profiles: launch.profile.clone(), all: false },
            environment,
            policies: policy_files(folders.as_ref()),
        }
    }
}

impl Settings {
    /// For a command with this harness, whose own engine is meant if it is docker's.
    #[must_use]
    pub fn of_harness(self, command: &[OsString]) -> Self {
        let is_of_docker = matches!(argv::parse(command), Ok(Harness::Docker(_)));
        Self { engine: self.engine.of_harness(is_of_docker), ..self }
    }
}

/// The policies of this machine and of the user with these folders. No option and no variable of farrier's names another file.
pub(super) fn policy_files(folders: Option<&Xdg>) -> PolicyFiles {
    policy::files(folders.map(BaseStrategy::config_dir).as_deref())
}

/// What decides about engines without any option.
pub(super) fn of_this_process() -> Option<Settings> {
    Some(Settings::new(&default_layers()?, &LaunchOptions::default()))
}

fn given_options(layers: &LayerOptions, approval: &ApprovalOptions) -> Vec<String> {
    [
        ("--user-dir", &layers.user_dir),
        ("--org-dir", &layers.org_dir),
        ("--repo-dir", &layers.repo_dir),
        ("--workspace-dir", &layers.workspace_dir),
        ("--workspace", &layers.workspace),
        ("--approvals", &approval.approvals),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some([name.to_owned(), value.as_ref()?.to_string_lossy().into_owned()]))
    .flatten()
    .collect()
}

/// The folders that the layers' options and defaults name.
#[must_use]
pub fn layer_directories(layers: &LayerOptions) -> LayerDirectories {
    let folders = Xdg::new().ok();
    let workspace_root = workspace_root(layers);
    let given = |option: &Option<OsString>| {
        option.as_ref().map(|value| (!value.is_empty()).then(|| PathBuf::from(value)))
    };
    let user_default = || {
        let configuration = folders.as_ref()?.config_dir();
        // With `HOME=/dev/null`, as services have it, there is no such folder, and no mistake.
        let existing = configuration.ancestors().find(|folder| folder.exists())?;
        existing.is_dir().then(|| configuration.join("farrier/sidecars"))
    };
    let workspace_default = || workspace_root.as_ref().map(|root| root.join(".farrier/sidecars"));
    let workspace = if layers.no_workspace {
        None
    } else {
        given(&layers.workspace_dir).unwrap_or_else(workspace_default)
    };
    let mut directories = LayerDirectories {
        user: given(&layers.user_dir).unwrap_or_else(user_default),
        org: given(&layers.org_dir).flatten(),
        repo: given(&layers.repo_dir).flatten(),
        workspace,
        workspace_root,
        working_trees: WorkingTrees::default(),
        budget: Arc::default(),
    };
    if !layers.no_workspace {
        directories.working_trees = working_trees(layers, &directories);
    }
    directories
}

/// The working trees: the named workspace, otherwise the checkouts around the current folder. If there are none: the
/// current folder, and each folder that a trusted layer's option names by a relative path.
fn working_trees(layers: &LayerOptions, directories: &LayerDirectories) -> WorkingTrees {
    let home = home();
    if let (Some(_), Some(named)) = (&layers.workspace, &directories.workspace_root) {
        return WorkingTrees::around(named, home.as_deref()).and([named.clone()]);
    }
    let Ok(here) = std::env::current_dir() else { return WorkingTrees::default() };
    let checkouts = WorkingTrees::around(&here, home.as_deref());
    if checkouts.roots().next().is_some() {
        return checkouts;
    }
    let LayerDirectories { user, org, repo, .. } = directories;
    let relative = [user, org, repo].into_iter().flatten().filter(|folder| folder.is_relative()).cloned();
    // The home directory, and what the user's own layer lies in, is no more a workspace than `/` is.
    let own = [home.as_deref(), user.as_deref().filter(|_| layers.user_dir.is_none())];
    let is_own = own.into_iter().flatten().any(|folder| resolved(folder).starts_with(&here));
    WorkingTrees::of(relative.chain((!is_own).then_some(here)))
}

/// The folder that gives the workspace's definitions their scope, and that approvals are for.
fn workspace_of(directories: &LayerDirectories) -> Option<PathBuf> {
    let named = directories.workspace_root.as_ref().or(directories.workspace.as_ref());
    let trees = || directories.working_trees.roots().next().map(Path::to_owned);
    named.map(|folder| resolved(folder)).or_else(trees)
}

fn engine_environment(home: Option<PathBuf>) -> Environment {
    Environment::new(|name| std::env::var_os(name), home)
}

/// The workspace that was named, else the nearest parent with a `.git`; never the home directory or `/`.
pub(crate) fn workspace_root(layers: &LayerOptions) -> Option<PathBuf> {
    if layers.no_workspace {
        return None;
    }
    if let Some(named) = layers.workspace.as_ref().filter(|path| !path.is_empty()) {
        return Some(resolved(Path::new(named)));
    }
    checkout_of(&std::env::current_dir().ok()?)
}
