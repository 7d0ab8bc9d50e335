//! One layer directory: which layer it really is, and which files it holds.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::definition::ReadingBudget;
use crate::definition::model::Layer;
use crate::definition::read::{Access, OTHERS_WRITE, STICKY, outside_workspace};
use crate::definition::working_trees::{Inside, WorkingTrees};
use crate::report::error::{Code, Place, Problem};
use crate::report::shell::chmod;
use crate::system::process_limits;

/// A file that is a definition by its name.
#[derive(Debug)]
pub struct Candidate {
    /// The path as the user would type it.
    pub path: PathBuf,
    /// The sidecar's name.
    pub stem: String,
    /// The layer that it counts for.
    pub layer: Layer,
    /// How it is read.
    pub access: Access,
}

impl Candidate {
    /// Whether it is TOML; else it is YAML.
    pub fn is_toml(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "toml")
    }
}

/// A layer directory that exists.
#[derive(Debug)]
pub struct Folder {
    /// The layer that it counts for: the workspace's where it lies inside the workspace.
    pub layer: Layer,
    /// The resolved path.
    pub resolved: PathBuf,
    /// The files, by name.
    pub candidates: Vec<Candidate>,
    /// What is wrong with the directory or with file names in it.
    pub problems: Vec<Problem>,
}

/// Looks into a directory that was named for a layer. None where it does not exist.
///
/// # Errors
/// One problem that says why it cannot be used.
pub fn open(
    given_as: Layer,
    path: &Path,
    trees: &WorkingTrees,
    budget: &ReadingBudget,
) -> Result<Option<Folder>, Problem> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return Err(unusable(path, format!("the {given_as} layer is not a folder"))
                .hint("Name the folder that contains the definitions."));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unlisted(given_as, path, &error)),
    }
    let resolved = path.canonicalize().map_err(|error| unlisted(given_as, path, &error))?;
    let inside = trees.locate(&resolved);
    let layer = if inside.is_some() { Layer::Workspace } else { given_as };
    let mut folder =
        Folder { layer, resolved: resolved.clone(), candidates: Vec::new(), problems: Vec::new() };
    // Whatever option named it: what a checkout's symlink points to is not trusted for being elsewhere.
    if inside.is_none() && trees.as_written(path).is_some() {
        return Err(outside_workspace(path));
    }
    let names = if layer == Layer::Workspace {
        // Named outside the workspace by an option: its own folder is what symlinks may not leave.
        let inside = inside.unwrap_or(Inside { root: resolved, relative: PathBuf::new() });
        folder.workspace(path, given_as, &inside, budget)?
    } else {
        folder.trusted(path, given_as, trees, budget)?
    };
    for name in names {
        folder.problems.push(
            Problem::error(Code::DefinitionUnreadable, "the file's name is not UTF-8")
                .at(Place::file(&path.join(name)))
                .hint("Rename it: the file name without its extension is the sidecar's name."),
        );
    }
    folder.candidates.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Some(folder))
}

type BadNames = Vec<std::ffi::OsString>;

impl Folder {
    fn workspace(
        &mut self,
        path: &Path,
        given_as: Layer,
        Inside { root: root_path, relative }: &Inside,
        budget: &ReadingBudget,
    ) -> Result<BadNames, Problem> {
        let failed = |error: io::Error| unlisted(given_as, path, &error);
        let root = Arc::new(Dir::open_ambient_dir(root_path, ambient_authority()).map_err(failed)?);
        let entries = if relative.as_os_str().is_empty() { root.entries() } else { root.read_dir(relative) };
        let mut bad = BadNames::new();
        for entry in entries.map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            budget.take_entry().map_err(|exceeded| Problem::from(exceeded).at(Place::file(path)))?;
            match definition_stem(&name) {
                Stem::None => {}
                Stem::NotText => bad.push(name),
                Stem::Named(stem) => self.candidates.push(Candidate {
                    path: path.join(&name),
                    stem,
                    layer: Layer::Workspace,
                    access: Access::Beneath {
                        root: Arc::clone(&root),
                        root_path: root_path.to_owned(),
                        relative: relative.join(&name),
                    },
                }),
            }
        }
        Ok(bad)
    }

    fn trusted(
        &mut self,
        path: &Path,
        given_as: Layer,
        trees: &WorkingTrees,
        budget: &ReadingBudget,
    ) -> Result<BadNames, Problem> {
        let failed = |error: io::Error| unlisted(given_as, path, &error);
        let mut bad = BadNames::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            budget.take_entry().map_err(|exceeded| Problem::from(exceeded).at(Place::file(path)))?;
            let name = entry.file_name();
            let stem = match definition_stem(&name) {
                Stem::None => continue,
                Stem::NotText => {
                    bad.push(name);
                    continue;
                }
                Stem::Named(stem) => stem,
            };
            let file = path.join(&name);
            let mut candidate = Candidate { path: file, stem, layer: self.layer, access: Access::Trusted };
            let is_symlink = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_symlink || trees.is_mounted(&self.resolved.join(&name)) {
                self.follow(&mut candidate, trees);
            }
            self.candidates.push(candidate);
        }
        if !self.candidates.is_empty()
            && let Some(open) = writable_by_anyone(&self.resolved)
        {
            let message = format!(
                "the {given_as} layer is trusted, but anyone on this machine can write to {}",
                open.display()
            );
            let hint = format!("Run `{}` after you have checked what it contains.", chmod("o-w", &open));
            self.problems.push(unusable(path, message).hint(hint));
        }
        Ok(bad)
    }

    /// Trust follows location, for single files too: one that lies in the workspace is the workspace's.
    fn follow(&mut self, candidate: &mut Candidate, trees: &WorkingTrees) {
        let Ok(resolved) = candidate.path.canonicalize() else {
            return;
        };
        if let Some(Inside { root, relative }) = trees.locate(&resolved) {
            if let Ok(dir) = Dir::open_ambient_dir(&root, ambient_authority()) {
                candidate.layer = Layer::Workspace;
                candidate.access = Access::Beneath { root: Arc::new(dir), root_path: root, relative };
            }
            return;
        }
        if let Some(open) = resolved.parent().and_then(replaceable_by_anyone) {
            let message = format!(
                "the file is a symlink to a place that anyone on this machine can write to: {}",
                open.display()
            );
            let hint = "Put the file itself into the layer.";
            self.problems.push(unusable(&candidate.path, message).hint(hint));
        }
    }
}

enum Stem {
    None,
    NotText,
    Named(String),
}

/// The sidecar's name of a file. Hidden files and editors' backups are passed over.
fn definition_stem(name: &std::ffi::OsStr) -> Stem {
    let file = Path::new(name);
    let known = file.extension().is_some_and(|end| end == "toml" || end == "yaml" || end == "yml");
    if !known || name.as_encoded_bytes().starts_with(b".") {
        return Stem::None;
    }
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some(stem) => Stem::Named(stem.to_owned()),
        None => Stem::NotText,
    }
}

/// The directory itself where everybody may add files to it (a sticky bit does not hinder that), else a parent
/// in which everybody may replace it.
fn writable_by_anyone(directory: &Path) -> Option<PathBuf> {
    let open =
        |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS_WRITE != 0);
    if open(directory) {
        return Some(directory.to_owned());
    }
    directory.parent().and_then(replaceable_by_anyone)
}

/// The nearest directory of a path whose entries everybody may replace.
fn replaceable_by_anyone(directory: &Path) -> Option<PathBuf> {
    let open = |metadata: &Metadata| metadata.mode() & OTHERS_WRITE != 0 && metadata.mode() & STICKY == 0;
    let mut ancestors = directory.ancestors();
    ancestors.find(|path| std::fs::metadata(path).is_ok_and(|metadata| open(&metadata))).map(Path::to_owned)
}

fn unusable(path: &Path, message: impl Into<String>) -> Problem {
    Problem::error(Code::LayerUnusable, message).at(Place::file(path))
}

fn unlisted(given_as: Layer, path: &Path, error: &io::Error) -> Problem {
    if let Some(problem) = process_limits::problem(error) {
        return problem;
    }
    unusable(path, format!("the {given_as} layer cannot be listed: {error}"))
        .hint("Check the path and its permissions, or name another folder.")
}
