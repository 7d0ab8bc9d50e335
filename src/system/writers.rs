//! Who, besides this user and root, may change a folder: whoever may, can replace the files in it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::report::shell::{chmod, command_line};
use crate::system::private_files::is_roots;

/// Everybody may write to a folder.
const WRITABLE_BY_ALL: u32 = 0o002;
/// A folder's group may write to it.
const WRITABLE_BY_GROUP: u32 = 0o020;
/// In a folder only a file's owner may replace it.
const STICKY: u32 = 0o1000;

/// Somebody who may change a folder, besides this user and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Every user of this machine.
    All,
    /// The members of the group with this ID.
    Group(u32),
    /// The user with this ID.
    Owner(u32),
}

impl Writer {
    /// Names them, as the subject of a sentence.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::All => "anyone on this machine".to_owned(),
            Self::Group(group) => format!("group {group}"),
            Self::Owner(owner) => format!("user {owner}"),
        }
    }

    /// The next step that takes the folder from them.
    #[must_use]
    pub fn remedy(&self, folder: &Path) -> String {
        match self {
            Self::All => format!("Run `{}`.", chmod("o-w", folder)),
            Self::Group(_) => format!("Run `{}`.", chmod("g-w", folder)),
            Self::Owner(_) => {
                let user = rustix::process::geteuid().as_raw().to_string();
                let chown = command_line(&["chown", &user], &[&folder.to_string_lossy()], &[]);
                format!("Run `{chown}` as root.")
            }
        }
    }
}

/// The nearest of a folder and its parents in which somebody else may replace what this user owns. Trusted are root, its
/// group, and a group with the user's own number: many systems give each user such a group. A primary group with another
/// number may be everybody's, as `users` and `staff` are.
#[must_use]
pub fn changeable_by_others(folder: &Path) -> Option<(PathBuf, Writer)> {
    let user = rustix::process::geteuid().as_raw();
    folder.ancestors().find_map(|folder| {
        let found = std::fs::metadata(folder).ok()?;
        let is_open = |bits: u32| found.mode() & bits != 0 && found.mode() & STICKY == 0;
        let writer = if is_open(WRITABLE_BY_ALL) {
            Writer::All
        } else if is_open(WRITABLE_BY_GROUP) && ![0, user].contains(&found.gid()) {
            Writer::Group(found.gid())
        } else if found.uid() != user && !is_roots(&found) {
            Writer::Owner(found.uid())
        } else {
            return None;
        };
        Some((folder.to_owned(), writer))
    })
}
