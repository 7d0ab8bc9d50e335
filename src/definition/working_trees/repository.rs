//! The git repository that a folder belongs to, as far as the repository says so, too.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::git::{GIT, checkouts, named_in};

/// A folder's place in a repository, which the same folder has in each of its worktrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPlace {
    /// The folder that all worktrees of the repository share, resolved.
    pub common: PathBuf,
    /// The path of the folder in its worktree.
    pub within: PathBuf,
}

/// Where a resolved folder is in a repository of this user; `None` if nothing proves it. Whoever writes to a folder
/// lets its `.git` name any repository, so this counts only if that repository lists the folder among its worktrees.
#[must_use]
pub fn repository_place(folder: &Path) -> Option<RepositoryPlace> {
    let checkout = checkouts(folder).next()?;
    let git = checkout.join(GIT);
    // A link could lead to another repository.
    let found = git.symlink_metadata().ok()?;
    let common = if found.is_dir() {
        // With this file in it, git would take another folder.
        git.join("commondir").symlink_metadata().is_err().then_some(git)?
    } else {
        found.is_file().then(|| common_of_linked(&git, checkout))??
    };
    let is_own = common.metadata().is_ok_and(|found| is_users(&found));
    let within = folder.strip_prefix(checkout).ok()?.to_owned();
    is_own.then_some(RepositoryPlace { common, within })
}

/// The common folder of a worktree that `git worktree add` made.
fn common_of_linked(git: &Path, checkout: &Path) -> Option<PathBuf> {
    let listed = named_in(git, checkout)?;
    let worktrees = listed.parent().filter(|folder| folder.ends_with("worktrees"))?;
    let common = worktrees.parent()?;
    let points_back = named_in(&listed.join("gitdir"), &listed).is_some_and(|named| named == git);
    let is_listed = named_in(&listed.join("commondir"), &listed).is_some_and(|named| named == common);
    let is_own = listed.metadata().is_ok_and(|found| is_users(&found));
    (points_back && is_listed && is_own).then(|| common.to_owned())
}

fn is_users(found: &Metadata) -> bool {
    found.is_dir() && (found.uid() == rustix::process::geteuid().as_raw() || found.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A checkout `main` with a linked worktree `one`, as git makes them.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        write(&root, "main/.git/HEAD", "");
        write(&root, "main/.git/worktrees/one/gitdir", "ROOT/one/.git\n");
        write(&root, "main/.git/worktrees/one/commondir", "../..\n");
        write(&root, "one/.git", "gitdir: ROOT/main/.git/worktrees/one\n");
        write(&root, "one/deep/file", "");
        (folder, root)
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text.replace("ROOT", &root.display().to_string())).expect("a file");
    }

    fn common(root: &Path, folder: &str) -> Option<String> {
        let found = repository_place(&root.join(folder))?.common;
        Some(found.strip_prefix(root).expect("beneath").display().to_string())
    }

    #[test]
    fn worktrees_of_one_repository_have_one_place() {
        let (_folder, root) = world();
        std::fs::create_dir_all(root.join("main/deep")).expect("a folder");
        assert_eq!(repository_place(&root.join("one")), repository_place(&root.join("main")));
        assert_eq!(repository_place(&root.join("one/deep")), repository_place(&root.join("main/deep")));
        assert_ne!(repository_place(&root.join("one/deep")), repository_place(&root.join("one")));
        assert_eq!(common(&root, "one").as_deref(), Some("main/.git"));
    }

    #[test]
    fn a_folder_that_claims_another_s_repository_has_none() {
        let (_folder, root) = world();
        let expect_none = |folder: &str, what: &str| assert_eq!(common(&root, folder), None, "{what}");

        write(&root, "thief/.git", "gitdir: ROOT/main/.git/worktrees/one\n");
        expect_none("thief", "the repository lists another folder");
        write(&root, "pointer/.git", "gitdir: ROOT/main/.git\n");
        expect_none("pointer", "it names the common folder");
        for (name, target) in [("link", "main/.git"), ("link-to-file", "one/.git")] {
            std::fs::create_dir_all(root.join(name)).expect("a folder");
            symlink(root.join(target), root.join(name).join(".git")).expect("a link");
            expect_none(name, "its `.git` is a link");
        }
        write(&root, "folder/.git/commondir", "ROOT/main/.git\n");
        expect_none("folder", "its `.git` is a folder that names the common one");
        write(&root, "own/.git", "gitdir: ROOT/own/fake/worktrees/x\n");
        write(&root, "own/fake/worktrees/x/gitdir", "ROOT/own/.git\n");
        write(&root, "own/fake/worktrees/x/commondir", "ROOT/main/.git\n");
        expect_none("own", "it brings the other side along");
        // Where the list is a link into the folder, what is listed is not in the repository.
        write(&root, "list/.git", "gitdir: ROOT/list/repository/worktrees/x\n");
        write(&root, "list/real/worktrees/x/gitdir", "ROOT/list/.git\n");
        write(&root, "list/real/worktrees/x/commondir", "ROOT/main/.git\n");
        symlink(root.join("list/real"), root.join("list/repository")).expect("a link");
        expect_none("list", "its list is a link");
        write(&root, "module/.git", "gitdir: ROOT/main/.git/modules/module\n");
        write(&root, "main/.git/modules/module/HEAD", "");
        expect_none("module", "it is a submodule");
        write(&root, "plain/file", "");
        expect_none("plain", "it is no checkout");
    }
}
