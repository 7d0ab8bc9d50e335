//! A file that pins what is approved, for machines that nobody answers on.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::Subject;
use crate::definition::working_trees::WorkingTrees;
use crate::preparation::settings::resolved;
use crate::probe::denial::Denied;
use crate::report::error::{Code, Problem};
use crate::system::bounded_file;

/// What the file says it is.
const FORMAT: &str = "farrier-approval-lock";
/// The form of the file; another one is not read.
const VERSION: u32 = 1;
/// No honest file is larger.
const MOST_BYTES: u64 = 16 << 20;
/// Everybody may write.
const WRITABLE_BY_ALL: u32 = 0o002;
/// Names standard input.
pub const STANDARD_INPUT: &str = "-";

/// Hashes by what a workspace does with a sidecar, and the sidecar's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pins: BTreeMap<(String, String), Pinned>,
}

/// What a lock approves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pinned {
    hash: String,
    denied: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    approvals: Vec<Pin>,
}

/// One hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    sidecar: String,
    /// `declares` or `disables`.
    workspace: String,
    hash: String,
    /// The names of the grants that the approval denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied: Vec<String>,
}

fn unusable(message: String) -> Problem {
    Problem::error(Code::ApprovalLockUnusable, message)
}

fn cannot(path: &Path, what: &str, error: &io::Error) -> Problem {
    unusable(format!("the lock {} cannot be {what}: {error}", path.display()))
        .hint("Check the path, and who may use the file and its folder.")
}

impl Lock {
    /// Pins a subject as it is.
    pub fn pin(&mut self, subject: &impl Subject) {
        let pinned = Pinned { hash: subject.hash(), denied: Vec::from(&subject.denied()) };
        self.pins.insert(key(subject), pinned);
    }

    /// What it denies of a subject's grants.
    #[must_use]
    pub fn denied(&self, subject: &impl Subject) -> Denied {
        Denied::from(self.pins.get(&key(subject)).map(|pinned| pinned.denied.clone()).unwrap_or_default())
    }

    /// How many subjects it pins.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pins.len()
    }

    /// Whether it pins nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty()
    }

    /// What differs between what it pins and what there is, by name; `None` if that is the same.
    pub fn difference(&self, subject: &impl Subject) -> Option<Problem> {
        let (name, told, hash) = (subject.name(), subject.told(), subject.hash());
        let message = match self.pins.get(&key(subject)) {
            Some(pinned) if pinned.hash.eq_ignore_ascii_case(&hash) => return None,
            Some(pinned) => format!("{told} with the hash {hash}, but the lock pins {}", pinned.hash),
            None => format!("{told}, but the lock does not pin it"),
        };
        Some(
            Problem::error(Code::ApprovalMismatch, message)
                .at(subject.place())
                .of(name)
                .hint("Find out what has changed since the lock was written; `farrier approve` shows the current definition.")
                .hint("If you trust it, approve it on a machine with a terminal, and write the lock again: `farrier approve --lock FILE`."),
        )
    }

    /// What it pins that the workspace does not have any more, besides these.
    #[must_use]
    pub fn missing(&self, has: impl Fn(&str, &str) -> bool) -> Vec<Problem> {
        let gone = self.pins.keys().filter(|(verb, name)| !has(verb, name));
        let problem = |(verb, name): &(String, String)| {
            let what = if verb == "disables" { "disable" } else { "declare" };
            let message = format!("the lock pins `{name}`, but the workspace does not {what} it");
            Problem::error(Code::ApprovalMismatch, message).of(name).hint(
                "Find out where the definition went, or write the lock again: `farrier approve --lock FILE`.",
            )
        };
        gone.map(problem).collect()
    }

    /// Reads a lock. One that lies in what is being worked on would let the workspace approve itself.
    ///
    /// # Errors
    /// When the file is in the workspace, is no lock, or others decide what it says.
    pub fn read(path: &Path, trees: &WorkingTrees) -> Result<Self, Problem> {
        let mut bytes = Vec::new();
        if path.as_os_str() == STANDARD_INPUT {
            let input = io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes);
            input.map_err(|error| cannot(path, "read", &error))?;
            return Self::parse(path, &bytes);
        }
        let found = resolved(path);
        if let Some(inside) = trees.locate(&found) {
            let (lock, root) = (path.display(), inside.root.display());
            return Err(unusable(format!(
                "the lock {lock} is in the workspace {root}, whose definitions it would approve"
            ))
            .hint("Take it from a commit that you trust, for example the branch that pull requests are merged into: `git show origin/main:FILE | farrier approve --from-lock -`.")
            .hint("Or keep the lock outside of the workspace."));
        }
        let file =
            OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(&found);
        let mut file = file.map_err(|error| cannot(path, "read", &error))?;
        let is_others = |found: &Metadata| {
            let own = rustix::process::geteuid().as_raw();
            found.is_file()
                && ((found.uid() != own && found.uid() != 0) || found.mode() & WRITABLE_BY_ALL != 0)
        };
        if file.metadata().is_ok_and(|found| is_others(&found)) {
            return Err(unusable(format!("another user can write to the lock {}", path.display()))
                .hint("Copy it to a file of your own, after checking its content."));
        }
        Read::by_ref(&mut file)
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot(path, "read", &error))?;
        Self::parse(path, &bytes)
    }

    /// Reads the text of a lock.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        let shown = path.display();
        let no_lock = |reason: String| {
            unusable(format!("{shown} is not an approvals lock file: {reason}"))
                .hint("`farrier approve --lock FILE` writes one.")
        };
        if bytes.len() as u64 > MOST_BYTES {
            return Err(no_lock(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|error| no_lock(error.to_string()))?;
        if document.format != FORMAT {
            return Err(no_lock("it is not marked as one".to_owned()));
        }
        if document.version != VERSION {
            return Err(no_lock(format!(
                "it has version {}, and this version of farrier reads {VERSION}",
                document.version
            )));
        }
        let mut lock = Self::default();
        for Pin { sidecar, workspace, hash, denied } in document.approvals {
            if let Some(double) = lock.pins.insert((workspace, sidecar.clone()), Pinned { hash, denied }) {
                return Err(no_lock(format!("it pins `{sidecar}` twice, once as {}", double.hash)));
            }
        }
        Ok(lock)
    }

    /// Writes a lock whole, in place of an earlier one.
    ///
    /// # Errors
    /// When another file has the name, or nothing can be written.
    pub fn write(&self, path: &Path) -> Result<(), Problem> {
        match bounded_file::read(path, MOST_BYTES) {
            Ok(bytes) => {
                Self::parse(path, &bytes).map_err(|problem| {
                    problem.hint("farrier replaces only locks. Name another file, or remove this one.")
                })?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(path, "written", &error)),
        }
        self.replace(path).map_err(|error| cannot(path, "written", &error))
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = NamedTempFile::new_in(folder)?;
        // It is for others: it holds nothing secret.
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(&self.text()?)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        let pins = self.pins.iter().map(|((workspace, sidecar), Pinned { hash, denied })| Pin {
            sidecar: sidecar.clone(),
            workspace: workspace.clone(),
            hash: hash.clone(),
            denied: denied.clone(),
        });
        let document = Document { format: FORMAT.to_owned(), version: VERSION, approvals: pins.collect() };
        let mut bytes = serde_json::to_vec_pretty(&document)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn key(subject: &impl Subject) -> (String, String) {
    (subject.verb().to_owned(), subject.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut lock = Lock::default();
        for (verb, hash, denied) in [("declares", "aa", vec!["logs".to_owned()]), ("disables", "bb", vec![])]
        {
            let pinned = Pinned { hash: hash.to_owned(), denied };
            lock.pins.insert((verb.to_owned(), "db".to_owned()), pinned);
        }
        let text = lock.text().expect("text");
        assert_eq!(Lock::parse(Path::new("x"), &text), Ok(lock));
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        for (text, told) in [
            ("", "EOF"),
            ("[]", "not an approvals lock"),
            ("{\"format\": \"else\", \"version\": 1, \"approvals\": []}", "not marked"),
            ("{\"format\": \"farrier-approval-lock\", \"version\": 2, \"approvals\": []}", "version 2"),
            (
                "{\"format\": \"farrier-approval-lock\", \"version\": 1, \"approvals\": [], \"all\": true}",
                "all",
            ),
            (
                "{\"format\": \"farrier-approval-lock\", \"version\": 1, \"approvals\": [\
                 {\"sidecar\": \"db\", \"workspace\": \"declares\", \"hash\": \"aa\"},\
                 {\"sidecar\": \"db\", \"workspace\": \"declares\", \"hash\": \"bb\"}]}",
                "twice",
            ),
        ] {
            let problem = Lock::parse(Path::new("x"), text.as_bytes()).expect_err(text);
            assert_eq!(problem.code, Code::ApprovalLockUnusable, "{text}");
            assert!(problem.message.contains(told), "{text}: {}", problem.message);
        }
    }
}
