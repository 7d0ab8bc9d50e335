//! `new`: a commented definition to begin with.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::data::{indented, print};
use crate::cli::{New, NewLayer};
use crate::definition::draft::{Draft, SCHEMA_FILE, check_name};
use crate::definition::{check_image, escape, json_schema};
use crate::error::{Code, Failure, Problem};
use crate::exit;
use crate::settings::layer_directories;

/// Others may read a definition, and only its owner write it.
const MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Writes the file; an existing one is never touched.
pub fn new(options: &New) -> Result<u8, Failure> {
    let name = &options.name;
    let invalid = |message: String| Problem::error(Code::InvalidValue, message);
    check_name(name).map_err(|reason| {
        invalid(format!("`{}` cannot be a sidecar's name: {reason}", escape(name)))
            .hint("Take letters, digits and `-`, with a letter or digit at both ends.")
    })?;
    check_image(&options.image).map_err(|reason| {
        invalid(format!("`{}` is no image: {reason}", escape(&options.image)))
            .hint("Write it as for `docker run`: `postgres:16`.")
    })?;
    let mut draft = Draft::of(&options.image);
    if let Some(port) = options.port {
        draft = draft.at(port);
    }
    if let Some(probe) = &options.probe {
        draft.probe.clone_from(probe);
    }
    let (layer, folder) = folder(options)?;
    let path = write(&folder, name, &draft.to_toml())?;
    let mut text = format!("{} declares `{name}`. Next:\n", escape(&path.display().to_string()));
    text.push_str("  edit it, then check it with `farrier validate`\n");
    if layer == NewLayer::Workspace {
        text.push_str(&format!(
            "  farrier approve {name}    because what a workspace declares is not trusted\n"
        ));
    }
    text.push_str("  farrier up\n");
    print(&text);
    Ok(exit::SUCCESS)
}

/// The layer and its folder.
fn folder(options: &New) -> Result<(NewLayer, PathBuf), Problem> {
    let directories = layer_directories(&options.layers);
    let layer = options.layer.unwrap_or(if directories.workspace.is_some() {
        NewLayer::Workspace
    } else {
        NewLayer::User
    });
    let (folder, hint) = match layer {
        NewLayer::User => (directories.user, "Set HOME, or name a folder with `--user-dir`."),
        NewLayer::Org => (directories.org, "Name its folder with `--org-dir`."),
        NewLayer::Repo => (directories.repo, "Name its folder with `--repo-dir`."),
        NewLayer::Workspace => {
            (directories.workspace, "Go into a checkout, or name a folder with `--workspace-dir`.")
        }
    };
    let none = || Problem::error(Code::LayerUnusable, "that layer has no folder here").hint(hint);
    folder.map(|folder| (layer, folder)).ok_or_else(none)
}

/// Writes the definition, and beside it the schema where there is none yet.
fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Problem> {
    let failed = |path: &Path, error: &io::Error| {
        Problem::error(Code::LayerUnusable, format!("{} cannot be written: {error}", path.display()))
            .hint("Check the permissions of its folder, or name another layer with `--layer`.")
    };
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
        .map_err(|error| failed(folder, &error))?;
    for ending in ["toml", "yaml", "yml"] {
        let path = folder.join(format!("{name}.{ending}"));
        if path.symlink_metadata().is_ok() {
            let message = format!("{} exists already", path.display());
            return Err(Problem::error(Code::DuplicateDefinition, message)
                .hint("Nothing was changed. Edit that file, or choose another name."));
        }
    }
    let path = folder.join(format!("{name}.toml"));
    create(&path, text).map_err(|error| failed(&path, &error))?;
    let schema = folder.join(SCHEMA_FILE);
    match create(&schema, &indented(&json_schema())) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(&schema, &error)),
        _ => Ok(path),
    }
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(text.as_bytes())
}
