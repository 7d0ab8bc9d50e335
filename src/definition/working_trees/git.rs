//! Checkouts of git, where `.git` is a folder or a file that names one, of Mercurial and of Jujutsu.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) const GIT: &str = ".git";
/// What the root of a checkout holds.
const MARKS: [&str; 3] = [GIT, ".hg", ".jj"];
/// No file that names a folder is longer.
const LONGEST: u64 = 8192;
/// No repository has more worktrees that anybody works in.
const MOST_WORKTREES: usize = 1000;

/// The checkouts that a folder lies in, from the nearest one; `/` is none.
pub fn checkouts(folder: &Path) -> impl Iterator<Item = &Path> {
    let is_checkout = |folder: &Path| MARKS.iter().any(|mark| folder.join(mark).exists());
    let found = folder.ancestors().filter(move |ancestor| is_checkout(ancestor));
    found.filter(|ancestor| ancestor.parent().is_some())
}

/// The worktrees of a checkout's git repository, and the checkout that it is a submodule of; `/` is none.
pub fn worktrees(checkout: &Path) -> Vec<PathBuf> {
    let Some(own) = git_folder(checkout) else { return Vec::new() };
    let common = named_in(&own.join("commondir"), &own).unwrap_or_else(|| own.clone());
    let named_git =
        |folder: &Path| folder.ancestors().find(|ancestor| ancestor.ends_with(GIT)).map(Path::to_owned);
    let mut found = Vec::new();
    for folder in [Some(common.clone()), named_git(&own), named_git(&common)].into_iter().flatten() {
        if folder.ends_with(GIT) {
            found.extend(folder.parent().map(Path::to_owned));
        }
        let entries = std::fs::read_dir(folder.join("worktrees")).into_iter().flatten().flatten();
        let linked = entries.take(MOST_WORKTREES).filter_map(|entry| {
            let git = named_in(&entry.path().join("gitdir"), &entry.path())?;
            Some(git.parent()?.to_owned())
        });
        found.extend(linked);
    }
    found.retain(|worktree| worktree.parent().is_some());
    found
}

fn git_folder(checkout: &Path) -> Option<PathBuf> {
    let git = checkout.join(GIT);
    let folder = if git.is_dir() { git } else { named_in(&git, checkout)? };
    folder.canonicalize().ok()
}

/// The path that a file holds, alone or behind `gitdir:`; a relative one begins at this folder.
pub(super) fn named_in(file: &Path, folder: &Path) -> Option<PathBuf> {
    // What is no file is not waited for.
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(file).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?;
    Some(folder.join(line.strip_prefix("gitdir:").unwrap_or(line).trim()))
        .map(|path| path.canonicalize().unwrap_or(path))
}
