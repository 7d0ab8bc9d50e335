//! The file of a policy: opened once, and used only if nobody but this user and root can have written it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::definition::working_trees::WorkingTrees;
use crate::report::error::{Code, Place, Problem, Source};
use crate::report::shell::{chmod, command_line};
use crate::system::private_files::is_roots;
use crate::system::writers::changeable_by_others;

/// No honest policy is larger.
const MOST_BYTES: u64 = 1 << 20;
/// Others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A policy that cannot be used. As long as there is one, farrier starts nothing.
fn unusable(path: &Path, reason: &str) -> Problem {
    let message = format!(
        "the policy {} {reason}, so farrier does not know what it permits, and starts nothing",
        path.display()
    );
    Problem::error(Code::PolicyUnusable, message).at(Place::file(path))
}

/// The text of a policy; `None` if there is no such file. The same conditions hold as for the file with approvals.
///
/// # Errors
/// If it cannot be read, is no regular file, or somebody else can have written it: a workspace, another user.
pub(super) fn read(path: &Path, trees: &dyn Fn() -> WorkingTrees) -> Result<Option<Arc<Source>>, Problem> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // With `HOME=/dev/null`, as services have it, there is no folder for it.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(_) if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) => {
            return Err(unusable(path, "is a symlink").hint("Put the file itself in its place."));
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    check_writers(path, &file, trees)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unusable(path, "is larger than 1 MiB").hint("Shorten it: a policy has a few lines."));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| unusable(path, "is not UTF-8 text").hint("Save it as UTF-8 text."))?;
    Ok(Some(Arc::new(Source { path: path.to_owned(), text })))
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    unusable(path, &format!("cannot be read ({error})"))
        .hint("Check who owns it and its folder: you need permission to read it.")
}

/// Checks that only this user and root can have written the file, and can replace it.
fn check_writers(path: &Path, file: &File, trees: &dyn Fn() -> WorkingTrees) -> Result<(), Problem> {
    let found = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !found.is_file() {
        return Err(unusable(path, "is not a regular file").hint("Put a file in its place, or remove it."));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user && !is_roots(&found) {
        let chown = command_line(&["chown", &user.to_string()], &[&path.to_string_lossy()], &[]);
        return Err(unusable(path, "belongs to another user")
            .hint(format!("Check its content, then run `{chown}` as root.")));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        let chmod = chmod("go-w", path);
        return Err(unusable(path, "can be written by other users")
            .hint(format!("Check its content, then run `{chmod}`.")));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder = folder.canonicalize().map_err(|error| unreadable(path, &error))?;
    if let Some((changeable, writer)) = changeable_by_others(&folder) {
        let reason = format!("can be replaced by {} in {}", writer.subject(), changeable.display());
        return Err(unusable(path, &reason).hint(writer.remedy(&changeable)));
    }
    if let Some(inside) = trees().locate(&folder) {
        let reason = format!("is in the workspace {}, which it bounds", inside.root.display());
        return Err(unusable(path, &reason)
            .hint("Keep it outside of every checkout.")
            .hint("Or add `--no-workspace`, if that whole checkout is your own configuration."));
    }
    Ok(())
}
