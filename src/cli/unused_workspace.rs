//! A `.farrier` folder near the working directory whose sidecars take no part: without a word, a launch would only look
//! as if it had none.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::options::LayerOptions;
use crate::cli::settings::workspace_root;
use crate::report::error::{Code, Place, Problem};

/// The folder of everything that is farrier's in a workspace.
const FOLDER: &str = ".farrier";
/// The folder of definitions in it.
const SIDECARS: &str = "sidecars";
/// The Python launcher's name for the folder.
const FORMER: &str = "tongs";
/// How many entries of a folder are looked at.
const MOST_ENTRIES: usize = 1_000;

/// The warnings about folders that look as if they were meant, and are not used. None if an option says which
/// definitions are meant.
#[must_use]
pub fn warnings(layers: &LayerOptions) -> Vec<Problem> {
    if layers.no_workspace || layers.workspace_dir.is_some() {
        return Vec::new();
    }
    let root = workspace_root(layers);
    let here = std::env::current_dir().unwrap_or_default();
    let Some(root) = root else { return outside(&here).into_iter().collect() };
    let is_named = layers.workspace.as_ref().is_some_and(|path| !path.is_empty());
    let below = if is_named {
        None
    } else {
        here.ancestors().take_while(|folder| **folder != *root).find_map(farrier_of)
    };
    let below = below.map(|folder| {
        let message = format!("{} is not used: the workspace is {}", folder.display(), root.display());
        let meant = folder.parent().unwrap_or(&folder);
        unused(&folder, message).hint(format!(
            "Move the definitions to {}, or add `--workspace {}`.",
            root.join(FOLDER).join(SIDECARS).display(),
            quoted(meant)
        ))
    });
    below.into_iter().chain(misplaced(&root.join(FOLDER))).collect()
}

/// The folder of a directory that is no part of a checkout. Further up, only the user's own count.
fn outside(here: &Path) -> Option<Problem> {
    let home = std::env::var_os("HOME").and_then(|home| std::fs::canonicalize(home).ok());
    let user = rustix::process::geteuid().as_raw();
    let is_own = |folder: &Path| std::fs::metadata(folder).is_ok_and(|found| found.uid() == user);
    let is_home = |folder: &Path| Some(folder) == home.as_deref();
    let above = here.ancestors().skip(1).take_while(|folder| !is_home(folder));
    let above = above.filter_map(farrier_of).find(|folder| is_own(folder));
    let folder = farrier_of(here).or(above)?;
    let meant = folder.parent().unwrap_or(&folder);
    let shown = folder.display();
    Some(if is_home(meant) {
        let message = format!("{shown} is not used: the home directory is not a workspace by itself");
        unused(&folder, message)
            .hint("Move the definitions to `~/.config/farrier/sidecars`, for all workspaces.")
    } else {
        let message = format!("{shown} is not used: no folder above it is a checkout with a `.git`");
        unused(&folder, message).hint(format!(
            "Add `--workspace {}`, or run `git init` there. If you want no workspace, add `--no-workspace`.",
            quoted(meant)
        ))
    })
}

/// The folder in this one, if it holds definitions, or what looks as if it were some.
fn farrier_of(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(FOLDER)).filter(|folder| {
        entries(&folder.join(SIDECARS)).any(|path| is_definition(&path)) || misplaced(folder).is_some()
    })
}

/// The first entries of a folder, up to a limit; empty if the folder cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(MOST_ENTRIES);
    entries.filter_map(Result::ok).map(|entry| entry.path())
}

/// Definitions that stand beside the folder where they belong, or in one with a similar name.
fn misplaced(folder: &Path) -> Option<Problem> {
    let mut found: Vec<PathBuf> = entries(folder).filter(|path| is_misplaced(path)).collect();
    found.sort();
    let first = found.first()?;
    let more = match found.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let belongs = folder.join(SIDECARS);
    let message =
        format!("{}{more} is not used: definitions belong in {}", first.display(), belongs.display());
    Some(unused(first, message).hint(if first.is_dir() {
        format!("Rename it: `mv {} {}`.", quoted(first), quoted(&belongs))
    } else {
        format!(
            "Move it: `mkdir -p {belongs} && mv {} {belongs}/`.",
            quoted(first),
            belongs = quoted(&belongs)
        )
    }))
}

fn is_misplaced(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    if path.is_dir() {
        let lower = name.to_lowercase();
        let is_near = lower.len() <= 16 && strsim::osa_distance(&lower, SIDECARS) <= 2;
        return name != SIDECARS && (is_near || lower == FORMER);
    }
    is_definition(path)
}

fn is_definition(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
    let has_ending = path.extension().is_some_and(|end| end == "toml" || end == "yaml" || end == "yml");
    has_ending && !is_hidden && path.is_file()
}

fn unused(path: &Path, message: String) -> Problem {
    Problem::warning(Code::WorkspaceUnused, message).at(Place::file(path))
}

/// The path, quoted for a shell if necessary.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), |quoted| quoted.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_definitions_in_the_wrong_place_is_told() {
        for (entry, is_folder, expected) in [
            ("db.toml", false, true),
            ("db.yml", false, true),
            ("notes.md", false, false),
            (".hidden.toml", false, false),
            ("sidecar", true, true),
            ("Sidecars", true, true),
            ("side-cars", true, true),
            ("tongs", true, true),
            ("sidecars", true, false),
            ("probes", true, false),
            ("cache", true, false),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(entry);
            if is_folder {
                std::fs::create_dir(&path).expect("a folder");
            } else {
                std::fs::write(&path, "").expect("a file");
            }
            assert_eq!(misplaced(folder.path()).is_some(), expected, "{entry}");
        }
    }

    #[test]
    fn a_folder_without_definitions_is_none_that_was_meant() {
        for (entry, expected) in [
            ("cache/db.toml", false),
            ("sidecars/notes.md", false),
            ("sidecars/db.yaml", true),
            ("sidecar/db.toml", true),
            ("db.toml", true),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(folder.path().join(FOLDER)).expect("a folder");
            assert_eq!(farrier_of(folder.path()), None, "an empty one");
            let path = folder.path().join(FOLDER).join(entry);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, "").expect("a file");
            assert_eq!(farrier_of(folder.path()).is_some(), expected, "{entry}");
        }
    }
}
