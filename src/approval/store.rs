//! The file with the approvals: written as a whole, by one process at a time, and never emptied by accident.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::working_trees::WorkingTrees;
use crate::preparation::settings::checkout_of;
use crate::report::elapsed::limit;
use crate::report::error::{Code, Problem};
use crate::report::shell::{chmod, command_line};
use crate::system::private_files::{create_private_folders, private_temporary_file};
use crate::system::writers::changeable_by_others;

/// What the file says it is.
const FORMAT: &str = "farrier-approvals";
/// The form of the file; another one is not read.
const VERSION: u32 = 1;
/// No honest file is larger.
const MOST_BYTES: u64 = 64 << 20;
/// Others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// How long another process may hold the lock, which takes milliseconds for a change.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often the lock is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// One approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The workspace's resolved path; `bytes:` and hex where that is not text.
    pub workspace: String,
    /// The sidecar's name.
    pub sidecar: String,
    /// What was approved.
    pub hash: String,
    /// When, as RFC 3339 has it, in UTC.
    pub approved_at: String,
    /// What makes the digests in the statement no digests of passwords alone.
    pub salt: String,
    /// What was shown: labels with words or digests.
    pub statement: Vec<(String, String)>,
    /// The repository that the workspace was a worktree of; `None` if nothing proved one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// The names of the grants that were denied with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
    /// Whether it stays in force beside later ones of the same sidecar.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

/// A workspace's place in a repository. Paths are written as that of a workspace is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The folder that all of its worktrees share.
    pub common: String,
    /// The workspace's path in its worktree; empty if it is the worktree.
    pub within: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    approvals: Vec<Entry>,
}

/// What the file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Approvals.
    Approvals(Vec<Entry>),
    /// Something else, for this reason.
    Damaged(String),
}

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

fn unusable(message: String) -> Problem {
    Problem::error(Code::StateUnusable, message)
}

impl Store {
    /// Names the file; it need not exist. One that lies in what is being worked on would let the workspace approve itself; one
    /// that was `named` may lie in no other checkout either.
    ///
    /// # Errors
    /// When there is no place for it, or none that only this user writes to.
    pub fn open(path: Option<&Path>, named: bool, trees: &WorkingTrees) -> Result<Self, Problem> {
        const HINT: &str = "With `--approvals`, name a file of your own outside any workspace.";
        const OWN_CHECKOUT: &str =
            "Or add `--no-workspace`, if that whole checkout is your own configuration.";
        let Some(path) = path else {
            let message = "there is no home directory to store approvals in".to_owned();
            return Err(unusable(message).hint("Set HOME, or name a file with `--approvals`."));
        };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (folder, existing) = resolved_folder(&absolute);
        let leaves = folder.components().any(|part| part == Component::ParentDir);
        let Some(name) = absolute.file_name().filter(|_| !leaves) else {
            let message = format!("{} is not a file that can store approvals", path.display());
            return Err(unusable(message).hint(HINT));
        };
        if let Some(inside) = trees.locate(&folder) {
            let (path, root) = (path.display(), inside.root.display());
            let message =
                format!("the approvals file {path} is in the workspace {root}, to which its approvals apply");
            let problem = unusable(message).hint(HINT);
            // Nobody chose the place: the home directory is the checkout.
            return Err(if named { problem } else { problem.hint(OWN_CHECKOUT) });
        }
        if let Some(checkout) = checkout_of(&folder).filter(|_| named) {
            let message =
                format!("the approvals file {} is in the checkout {}", path.display(), checkout.display());
            return Err(unusable(message).hint(HINT));
        }
        if !existing.is_dir() {
            let message =
                format!("{} cannot hold approvals: {} is not a folder", path.display(), existing.display());
            return Err(unusable(message).hint("Set HOME to a folder that you own.").hint(HINT));
        }
        if let Some((changeable, whose)) = changeable_by_others(&existing) {
            let changeable = changeable.as_path();
            let message =
                format!("{} can replace the approvals in {}", whose.subject(), changeable.display());
            return Err(unusable(message).hint(whose.remedy(changeable)).hint(HINT));
        }
        Ok(Self { path: folder.join(name) })
    }

    /// All approvals. A damaged file counts as none, which is said.
    ///
    /// # Errors
    /// When the file is not farrier's own, or not this user's alone.
    pub fn read(&self) -> Result<(Vec<Entry>, Option<Problem>), Problem> {
        Ok(match self.content()? {
            Content::Approvals(entries) => (entries, None),
            Content::Damaged(reason) => {
                let message = format!("the approvals file {} is damaged: {reason}", self.path.display());
                let warning =
                    Problem::warning(Code::StateUnusable, format!("{message}; farrier ignores its content"));
                let hint = "Approve again; farrier then keeps the damaged file under another name.";
                (Vec::new(), Some(warning.hint(hint)))
            }
        })
    }

    /// Changes the approvals; gives a warning where a damaged file was kept aside.
    ///
    /// # Errors
    /// When the file cannot be written, is not farrier's own, or not this user's alone.
    pub fn change(&self, change: impl FnOnce(&mut Vec<Entry>)) -> Result<Option<Problem>, Problem> {
        let _lock = self.lock()?;
        let (mut entries, warning) = match self.content()? {
            Content::Approvals(entries) => (entries, None),
            Content::Damaged(reason) => {
                let kept = self.set_aside().map_err(|error| self.cannot("be kept aside", &error))?;
                let message = format!("the approvals file {} was damaged: {reason}", self.path.display());
                let hint =
                    format!("farrier kept it as {}, and asks for its approvals again.", kept.display());
                (Vec::new(), Some(Problem::warning(Code::StateUnusable, message).hint(hint)))
            }
        };
        change(&mut entries);
        self.write(entries).map_err(|error| self.cannot("be written", &error))?;
        Ok(warning)
    }

    /// Checks that a change could be written now, before a person is asked for one.
    ///
    /// # Errors
    /// If the file cannot be locked.
    pub fn check_lock(&self) -> Result<(), Problem> {
        self.lock().map(drop)
    }

    fn cannot(&self, what: &str, error: &io::Error) -> Problem {
        unusable(format!("the approvals file {} cannot {what}: {error}", self.path.display()))
            .hint("Check who owns its folder and that its disk is not full, or name another file with `--approvals`.")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(ending);
        self.path.with_file_name(name)
    }

    /// The file itself is replaced at each change, so that its lock is a file of its own. Others hold it for a moment
    /// only; somebody who does not give it back is not waited for.
    fn lock(&self) -> Result<File, Problem> {
        let cannot = |error: io::Error| self.cannot("be locked", &error);
        if let Some(folder) = self.path.parent() {
            create_private_folders(folder).map_err(cannot)?;
        }
        // A pipe is not waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let path = self.beside(".lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path);
        if let Some(found) = std::fs::symlink_metadata(&path).ok().filter(|found| !found.is_file()) {
            let remove = if found.is_dir() { "rmdir" } else { "rm" };
            return Err(self.not_locked(&path, "is not a regular file", "Remove it with", &[remove]));
        }
        let file = opened.map_err(cannot)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let held = format!("has been held by another process for {}", limit(LOCK_WAIT));
                    return Err(self.not_locked(&path, &held, "Find that process with", &["fuser", "-v"]));
                }
            }
        }
    }

    /// The lock is unusable for a reason that a command on its file addresses.
    fn not_locked(&self, lock: &Path, reason: &str, purpose: &str, command: &[&str]) -> Problem {
        let (approvals, shown) = (self.path.display(), lock.display());
        let command = command_line(command, &[&lock.to_string_lossy()], &[]);
        unusable(format!("the approvals file {approvals} cannot be locked: {shown} {reason}"))
            .hint(format!("{purpose} `{command}`, and run farrier again."))
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let names = (0_u32..).map(|count| match count {
            0 => self.beside(&format!(".damaged-{now}")),
            count => self.beside(&format!(".damaged-{now}-{count}")),
        });
        for name in names {
            // Unlike a rename, a link never replaces what is there.
            match std::fs::hard_link(&self.path, &name) {
                Ok(()) => return std::fs::remove_file(&self.path).map(|()| name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn write(&self, approvals: Vec<Entry>) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = private_temporary_file(folder)?;
        file.write_all(&written(approvals)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }

    fn content(&self) -> Result<Content, Problem> {
        let shown = self.path.display();
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Content::Approvals(Vec::new()));
            }
            Err(_) if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink()) => {
                let message = format!("the approvals file {shown} is a symlink");
                return Err(unusable(message).hint("Name the file that it leads to with `--approvals`."));
            }
            Err(error) => return Err(self.cannot("be read", &error)),
        };
        let found = file.metadata().map_err(|error| self.cannot("be read", &error))?;
        if !found.is_file() {
            return Err(unusable(format!("{shown} is not a file that can store approvals"))
                .hint("Name another file with `--approvals`."));
        }
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own && found.uid() != 0 {
            return Err(unusable(format!("the approvals file {shown} belongs to another user"))
                .hint("Name a file of your own with `--approvals`."));
        }
        if found.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(unusable(format!("others can write to the approvals file {shown}"))
                .hint(format!("Check its content, then run `{}`.", chmod("600", &self.path))));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| self.cannot("be read", &error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Ok(Content::Damaged(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
        }
        self.parse(&bytes)
    }

    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Content, Problem> {
        let shown = self.path.display();
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            Err(error) => return Ok(Content::Damaged(error.to_string())),
        };
        if is_python(&value) {
            let message = format!("{shown} holds approvals of the Python launcher, which are not trusted");
            return Err(unusable(message)
                .hint("farrier leaves it unchanged. With `--approvals`, name another file, or omit that option.")
                .hint(
                    "Approve the workspace's sidecars again, at a launch or with `farrier approve`.",
                ));
        }
        if let Some(version) = value["version"].as_u64().filter(|version| *version > u64::from(VERSION)) {
            let message = format!(
                "the approvals file {shown} has version {version}, written by a later version of farrier"
            );
            return Err(unusable(message).hint("Use that farrier, or name another file with `--approvals`."));
        }
        Ok(match serde_json::from_value::<Document>(value) {
            Ok(document) if document.format == FORMAT && document.version == VERSION => {
                Content::Approvals(document.approvals)
            }
            Ok(_) => Content::Damaged("it is not marked as an approvals file".to_owned()),
            Err(error) => Content::Damaged(error.to_string()),
        })
    }
}

/// The file's bytes with these approvals.
pub(super) fn written(mut approvals: Vec<Entry>) -> io::Result<Vec<u8>> {
    approvals.sort_by(|one, other| {
        let key = |entry: &Entry| (entry.workspace.clone(), entry.sidecar.clone(), entry.approved_at.clone());
        key(one).cmp(&key(other))
    });
    let document = Document { format: FORMAT.to_owned(), version: VERSION, approvals };
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The Python launcher kept an object of objects: workspace, name, hash.
fn is_python(value: &Value) -> bool {
    let Value::Object(workspaces) = value else { return false };
    let is_hashes =
        |names: &Value| names.as_object().is_some_and(|names| names.values().all(Value::is_string));
    !workspaces.contains_key("format") && workspaces.values().all(is_hashes)
}

/// The folder of a path with links resolved as far as it exists, and the part that does.
fn resolved_folder(path: &Path) -> (PathBuf, PathBuf) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    for ancestor in folder.ancestors() {
        if let Ok(resolved) = ancestor.canonicalize() {
            let rest = folder.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return (resolved.join(rest), resolved);
        }
    }
    (folder.to_owned(), folder.to_owned())
}
