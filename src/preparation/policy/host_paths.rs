//! Files and folders of this host that a definition gives to its sidecar, and which of them lead to the socket of a container
//! engine. Paths are compared without links, and folders by device and inode as well: a folder that is mounted in a second
//! place is the same folder there.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::rules::HostPaths;
use crate::definition::Layer;
use crate::definition::model::{Definition, Mount};
use crate::engine::kinds::{Environment, SOCKET_NAMES};

/// A file or folder of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPath {
    /// The field that names it.
    pub field: String,
    /// As written.
    pub written: String,
    /// Without links; as it is written if it cannot be resolved.
    pub path: PathBuf,
    /// Whether it is a file of the workspace, or the workspace.
    pub is_of_workspace: bool,
}

/// What a definition gives to its sidecar of this host's files: binds, the workspace, and what a confined program may use.
pub(super) fn host_paths(definition: &Definition, workspace: Option<&Path>) -> Vec<HostPath> {
    let mut found = Vec::new();
    let is_workspaces = definition.layer == Layer::Workspace;
    for (index, mount) in definition.container.mounts.iter().enumerate() {
        let field = format!("mounts[{index}]");
        match mount {
            Mount::Bind { source, bound, .. } => {
                // A workspace's file is copied; what counts is where it comes from.
                let bound = bound.as_ref().filter(|bound| bound.copy.is_none());
                let path =
                    bound.map_or_else(|| resolved(&definition.beside(source)), |bound| bound.path.clone());
                let written = source.clone();
                found.push(HostPath { field, written, path, is_of_workspace: is_workspaces });
            }
            Mount::Workspace { .. } => {
                let path = workspace.map(resolved).unwrap_or_default();
                found.push(HostPath { field, written: "workspace".to_owned(), path, is_of_workspace: true });
            }
            Mount::DockerSocket { .. } | Mount::Volume { .. } | Mount::Tmpfs { .. } => {}
        }
    }
    let Some(confinement) = &definition.container.confine else { return found };
    // Paths that cannot be resolved are a problem of their own.
    let paths = definition.confined_paths().ok().flatten();
    let paths = paths.map(|paths| (paths.read, paths.write)).unwrap_or_default();
    for (key, written, paths) in
        [("read", &confinement.read, paths.0), ("write", &confinement.write, paths.1)]
    {
        found.extend(written.iter().zip(paths).enumerate().map(|(index, (written, path))| HostPath {
            field: format!("confine.{key}[{index}]"),
            written: written.clone(),
            path,
            is_of_workspace: is_workspaces,
        }));
    }
    found
}

/// A path without links; as it is written if it cannot be resolved.
fn resolved(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| absolute())
}

impl HostPaths {
    /// Whether a path is one of these, or lies in one.
    pub fn permit(&self, host_path: &HostPath) -> bool {
        (self.workspace && host_path.is_of_workspace)
            || self.paths.iter().any(|permitted| host_path.path.starts_with(resolved(permitted)))
    }
}

/// The sockets of container engines on this host.
pub(super) struct EngineSockets {
    paths: Vec<PathBuf>,
}

impl EngineSockets {
    /// Those that this environment names, and the usual ones.
    pub fn of(environment: &Environment) -> Self {
        let mut paths = environment.sockets();
        let resolved: Vec<PathBuf> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        paths.extend(resolved);
        Self { paths }
    }

    /// Whether whoever has this file or folder can use the socket of an engine: because it is a socket, of whatever name, or
    /// because a socket of an engine is in it.
    pub fn are_reached_by(&self, host_path: &Path) -> bool {
        let found = std::fs::metadata(host_path).ok();
        let is_socket = found.as_ref().is_some_and(|found| found.file_type().is_socket());
        let has_name =
            host_path.file_name().is_some_and(|name| SOCKET_NAMES.iter().any(|known| name == *known));
        let holds_one = || SOCKET_NAMES.iter().any(|name| host_path.join(name).symlink_metadata().is_ok());
        let leads_to =
            |socket: &PathBuf| socket.starts_with(host_path) || Self::is_inside(socket, found.as_ref());
        // What is in `/proc` leads everywhere.
        let is_in_proc = host_path.starts_with("/proc");
        is_socket || has_name || is_in_proc || holds_one() || self.paths.iter().any(leads_to)
    }

    /// Whether a folder, by whatever name, is one of those that a socket is in.
    fn is_inside(socket: &Path, folder: Option<&Metadata>) -> bool {
        let Some(folder) = folder.filter(|found| found.is_dir()) else { return false };
        let identity = |found: &Metadata| (found.dev(), found.ino());
        let above = socket.ancestors().filter_map(|above| std::fs::metadata(above).ok());
        above.into_iter().any(|found| identity(&found) == identity(folder))
    }
}
