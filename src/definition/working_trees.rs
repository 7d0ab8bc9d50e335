//! What is being worked on: whoever writes to a checkout decides what lies in it, so that no layer in it is trusted.

mod git;
mod mounts;
mod repository;

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use self::mounts::Mounts;
pub use self::repository::{RepositoryPlace, repository_place};

/// The folders that are being worked on.
#[derive(Clone, Debug, Default)]
pub struct WorkingTrees {
    trees: Vec<Tree>,
    /// Read once they are needed.
    mounts: OnceLock<Mounts>,
}

/// One folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tree {
    /// Resolved.
    root: PathBuf,
    identity: Identity,
}

/// Device and inode, which a folder has by whatever name.
type Identity = (u64, u64);

/// Where a path lies in a working tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The tree, or a folder in it.
    pub root: PathBuf,
    /// The path from there.
    pub relative: PathBuf,
}

impl WorkingTrees {
    /// These folders, as far as they exist.
    #[must_use]
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let tree = |folder: PathBuf| {
            let root = folder.canonicalize().ok()?;
            Some(Tree { identity: identity(&root)?, root })
        };
        let mut trees: Vec<Tree> = folders.into_iter().filter_map(tree).collect();
        trees.sort();
        trees.dedup();
        Self { trees, mounts: OnceLock::new() }
    }

    /// The checkouts that a resolved folder lies in, and the other worktrees of their repositories. The home directory
    /// counts only if it is the nearest one or of the same repository: it may be a checkout of the user's own
    /// configuration, and everything lies in it.
    #[must_use]
    pub fn around(folder: &Path, home: Option<&Path>) -> Self {
        let mut checkouts = git::checkouts(folder);
        let nearest = checkouts.next();
        let outer = checkouts.filter(|found| home.is_none_or(|home| !home.starts_with(found)));
        let around: Vec<&Path> = nearest.into_iter().chain(outer).collect();
        let related: Vec<PathBuf> = around.iter().flat_map(|checkout| git::worktrees(checkout)).collect();
        Self::of(around.into_iter().map(Path::to_owned).chain(related))
    }

    /// These and others.
    #[must_use]
    pub fn and(self, others: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::of(self.trees.into_iter().map(|tree| tree.root).chain(others))
    }

    /// The roots.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.trees.iter().map(|tree| tree.root.as_path())
    }

    /// Where a resolved path lies in one of them; `None` if in none. Names do not decide: a tree that is mounted in a
    /// second place, whole or in part, is the same tree there.
    #[must_use]
    pub fn locate(&self, resolved: &Path) -> Option<Inside> {
        if self.trees.is_empty() {
            return None;
        }
        self.by_name(resolved).or_else(|| self.as_written(resolved)).or_else(|| self.by_mount(resolved))
    }

    /// The tree that a path is written to lie in, wherever it leads.
    #[must_use]
    pub fn as_written(&self, path: &Path) -> Option<Inside> {
        let absolute = without_parents(&std::path::absolute(path).ok()?);
        let is_root = |folder: &&Path| {
            let found = identity(folder);
            found.is_some_and(|found| self.trees.iter().any(|tree| tree.identity == found))
        };
        let root = absolute.ancestors().find(is_root)?;
        Some(Inside { root: root.to_owned(), relative: absolute.strip_prefix(root).ok()?.to_owned() })
    }

    /// Whether a resolved file is one that is mounted there.
    #[must_use]
    pub fn is_mounted(&self, resolved: &Path) -> bool {
        !self.trees.is_empty() && self.mounts().has_point(resolved)
    }

    fn mounts(&self) -> &Mounts {
        self.mounts.get_or_init(Mounts::read)
    }

    /// In the innermost of several.
    fn by_name(&self, resolved: &Path) -> Option<Inside> {
        let inside = self.roots().filter_map(|root| {
            let relative = resolved.strip_prefix(root).ok()?.to_owned();
            Some(Inside { root: root.to_owned(), relative })
        });
        inside.min_by_key(|inside| inside.relative.components().count())
    }

    fn by_mount(&self, resolved: &Path) -> Option<Inside> {
        let mounts = self.mounts();
        let place = mounts.place(resolved)?;
        // What is mounted in a tree is part of it.
        let mounted = self.roots().flat_map(|root| mounts.points_beneath(root));
        let (root, relative) = self.roots().chain(mounted).find_map(|root| {
            let relative = place.within(&mounts.place(root)?)?;
            Some((root.to_owned(), relative))
        })?;
        if identity(&root.join(&relative)) == identity(resolved) {
            return Some(Inside { root, relative });
        }
        // Something else is mounted over it in the tree.
        let folder = if resolved.is_dir() { resolved } else { resolved.parent()? };
        let relative = resolved.strip_prefix(folder).ok()?.to_owned();
        Some(Inside { root: folder.to_owned(), relative })
    }
}

/// A path without the `..` that lead out of folders as one reads them. Behind a symlink, `..` leads to where somebody else
/// says, and stays.
fn without_parents(absolute: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        let is_folder = || plain.symlink_metadata().is_ok_and(|found| found.is_dir());
        if part == Component::ParentDir && plain.file_name().is_some() && is_folder() {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with these files; one that ends in `/` is a folder.
    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                fs::create_dir_all(&path).expect("a folder");
            } else {
                fs::write(&path, text.replace("ROOT", &root.display().to_string())).expect("a file");
            }
        }
        (folder, root)
    }

    fn around(root: &Path, folder: &str, home: &str) -> Vec<String> {
        let trees = WorkingTrees::around(&root.join(folder), Some(&root.join(home)));
        trees.roots().map(|tree| tree.strip_prefix(root).expect("beneath").display().to_string()).collect()
    }

    #[test]
    fn a_path_with_parents_lies_where_it_leads_unless_a_symlink_decides_it() {
        let (_folder, root) = world(&[("work/.git/HEAD", ""), ("work/src/", ""), ("own/deep/", "")]);
        std::os::unix::fs::symlink(root.join("own/deep"), root.join("work/link")).expect("a symlink");
        let trees = WorkingTrees::around(&root.join("work"), None);
        for (path, expected) in [
            ("work/src/../../own", None),
            ("work/../own", None),
            ("own/../work/src", Some("src")),
            ("work/src/..", Some("")),
            ("work/link/../../own", Some("link/../../own")),
            ("work/link", Some("link")),
        ] {
            let found = trees.as_written(&root.join(path)).map(|inside| inside.relative);
            assert_eq!(found, expected.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn all_checkouts_around_a_folder_and_their_worktrees_are_worked_on() {
        let (_folder, root) = world(&[
            ("home/main/.git/worktrees/one/gitdir", "ROOT/home/one/.git\n"),
            ("home/main/.git/worktrees/one/commondir", "../..\n"),
            ("home/main/.git/worktrees/gone/gitdir", "ROOT/home/gone/.git\n"),
            ("home/main/src/", ""),
            ("home/one/.git", "gitdir: ROOT/home/main/.git/worktrees/one\n"),
            ("home/one/src/", ""),
            ("home/super/.git/modules/inner/HEAD", ""),
            ("home/super/inner/.git", "gitdir: ../.git/modules/inner\n"),
            ("home/bare/worktrees/two/gitdir", "ROOT/home/two/.git\n"),
            ("home/bare/worktrees/two/commondir", "../..\n"),
            ("home/bare/worktrees/three/gitdir", "ROOT/home/three/.git\n"),
            ("home/two/.git", "gitdir: ROOT/home/bare/worktrees/two\n"),
            ("home/three/", ""),
            ("home/broken/.git", "nonsense"),
            ("home/mercurial/.hg/", ""),
            ("home/mercurial/src/", ""),
            ("home/jujutsu/.jj/", ""),
            ("home/plain/", ""),
            ("dotfiles/.git/HEAD", ""),
            ("dotfiles/project/.git/HEAD", ""),
            ("dotfiles/.git/modules/sub/HEAD", ""),
            ("dotfiles/sub/.git", "gitdir: ../.git/modules/sub\n"),
            ("dotfiles/notes/", ""),
        ]);
        for (folder, home, expected) in [
            ("home/main/src", "home", vec!["home/main", "home/one"]),
            ("home/one/src", "home", vec!["home/main", "home/one"]),
            ("home/super/inner", "home", vec!["home/super", "home/super/inner"]),
            ("home/two", "home", vec!["home/three", "home/two"]),
            ("home/broken", "home", vec!["home/broken"]),
            ("home/mercurial/src", "home", vec!["home/mercurial"]),
            ("home/jujutsu", "home", vec!["home/jujutsu"]),
            ("home/plain", "home", vec![]),
            ("dotfiles", "dotfiles", vec!["dotfiles"]),
            ("dotfiles/notes", "dotfiles", vec!["dotfiles"]),
            ("dotfiles/project", "dotfiles", vec!["dotfiles/project"]),
            ("dotfiles/sub", "dotfiles", vec!["dotfiles", "dotfiles/sub"]),
            ("dotfiles/project", "home", vec!["dotfiles", "dotfiles/project"]),
        ] {
            assert_eq!(around(&root, folder, home), expected, "{folder}");
        }
    }

    #[test]
    fn a_path_lies_in_the_innermost_tree() {
        let (_folder, root) = world(&[("outer/inner/deep/", ""), ("other/", "")]);
        let trees = WorkingTrees::of([root.join("outer"), root.join("outer/inner"), root.join("gone")]);
        let inside = |path: &str| trees.locate(&root.join(path));
        let at = |tree: &str, relative: &str| {
            Some(Inside { root: root.join(tree), relative: PathBuf::from(relative) })
        };
        assert_eq!(inside("outer/inner/deep"), at("outer/inner", "deep"));
        assert_eq!(inside("outer/x"), at("outer", "x"));
        assert_eq!(inside("outer"), at("outer", ""));
        assert_eq!(inside("other"), None);
        assert_eq!(WorkingTrees::default().locate(&root), None);
    }
}
