//! farrier's own files and folders: whose they are, who may use them, and what lies in them.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Check;
use crate::report::shell::{chmod, command_line};
use crate::system::bounded_file;
use crate::system::lock::{self, LockFolder};

const NO_HOME: &str = "there is no home directory to store them in";
const SET_HOME: &str = "Set HOME.";
/// The largest file of approvals that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The folder with compiled probes.
pub(super) fn cache(folder: Option<&Path>) -> Check {
    const NAME: &str = "cache";
    let Some(folder) = folder else {
        return Check::broken(NAME, format!("compiled probes are not cached: {NO_HOME}"), SET_HOME);
    };
    let entries = folder.join("components");
    for path in [folder, &entries] {
        match private(NAME, path) {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Check::well(NAME, format!("the first launch creates {}", path.display()));
            }
            Err(check) => return check,
        }
    }
    let sizes: Vec<u64> = std::fs::read_dir(&entries)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok().map(|found| found.len()))
        .collect();
    let kibibytes = sizes.iter().sum::<u64>() >> 10;
    let count = if sizes.len() == 1 {
        "1 compiled probe".to_owned()
    } else {
        format!("{} compiled probes", sizes.len())
    };
    Check::well(NAME, format!("{} holds {count}, {kibibytes} KiB", entries.display()))
}

/// The folder with what cannot be made again.
pub(super) fn state(folder: Option<&Path>) -> Check {
    const NAME: &str = "state";
    let Some(folder) = folder else {
        return Check::broken(
            NAME,
            format!("approvals and launch times are not stored: {NO_HOME}"),
            SET_HOME,
        );
    };
    match private(NAME, folder) {
        Ok(Some(_)) => {}
        Ok(None) => return Check::well(NAME, format!("the first launch creates {}", folder.display())),
        Err(check) => return check,
    }
    let key = folder.join("cache.key");
    if let Ok(found) = std::fs::symlink_metadata(&key)
        && let Some(check) = readable_by_others(NAME, &key, &found)
    {
        return check;
    }
    Check::well(NAME, format!("{} is writable", folder.display()))
}

/// The file with approvals of workspace definitions.
pub(super) fn approvals(file: Option<&Path>) -> Check {
    const NAME: &str = "approvals";
    let Some(file) = file else {
        return Check::broken(NAME, format!("approvals are not stored: {NO_HOME}"), SET_HOME);
    };
    let shown = file.display();
    let found = match std::fs::symlink_metadata(file) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::well(NAME, format!("none yet ({shown})"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return in_no_folder(NAME, file),
        Err(error) => {
            return Check::broken(NAME, format!("cannot inspect {shown}: {error}"), "Check its permissions.");
        }
    };
    if !found.is_file() {
        return Check::broken(NAME, format!("{shown} is not a regular file"), format!("Move {shown} away."));
    }
    if let Some(check) = readable_by_others(NAME, file, &found) {
        return check;
    }
    let text = bounded_file::read(file, MOST_BYTES).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| {
        serde_json::from_slice::<serde_json::Value>(&text).map_err(|error| format!("it is not JSON: {error}"))
    });
    match parsed {
        Ok(_) => Check::well(NAME, format!("{shown} can be read")),
        Err(error) => Check::broken(
            NAME,
            format!("{shown} cannot be used: {error}"),
            format!("Move {shown} away, and approve again what you trust."),
        ),
    }
}

/// The folder with locks, which all users of the host share.
pub(super) fn locks(engine: Option<&str>) -> Check {
    const NAME: &str = "locks";
    let folder = lock::folder();
    match LockFolder::open(engine.filter(|id| !id.is_empty()).unwrap_or("unknown")) {
        Err(problem) => Check::problem(NAME, &problem),
        Ok(_) if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() => Check::broken(
            NAME,
            format!("this user cannot write to {}", folder.display()),
            format!("Open it to all users with `{}`.", chmod("1777", folder)),
        ),
        Ok(_) => Check::well(NAME, format!("{} is writable", folder.display())),
    }
}

/// Looks at a folder that only this user may change; none where it can be made at need.
fn private(name: &'static str, path: &Path) -> Result<Option<Metadata>, Check> {
    let shown = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match path.ancestors().skip(1).find(|parent| parent.exists()) {
                Some(parent) if access(parent, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
                    Err(Check::broken(
                        name,
                        format!("cannot create {shown}: {} is not writable", parent.display()),
                        format!("Let this user write to {}.", parent.display()),
                    ))
                }
                _ => Ok(None),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(in_no_folder(name, path)),
        Err(error) => {
            return Err(Check::broken(
                name,
                format!("cannot inspect {shown}: {error}"),
                "Check its permissions.",
            ));
        }
    };
    let owner = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Err(Check::broken(name, format!("{shown} is not a folder"), format!("Move {shown} away.")));
    }
    if found.uid() != owner {
        let chown = command_line(&["chown", &owner.to_string()], &[&path.to_string_lossy()], &[]);
        let fix = format!("Give it to this user with `{chown}`, or remove it.");
        return Err(Check::broken(name, format!("{shown} belongs to the user {}", found.uid()), fix));
    }
    if found.mode() & 0o022 != 0 {
        let fix = format!("Remove other users' access with `{}`.", chmod("700", path));
        return Err(Check::broken(name, format!("others can write to {shown}"), fix));
    }
    if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let fix = format!("Make it writable with `{}`.", chmod("700", path));
        return Err(Check::broken(name, format!("{shown} is not writable"), fix));
    }
    Ok(Some(found))
}

/// A part of the path is a file, as with `HOME=/dev/null`.
fn in_no_folder(name: &'static str, path: &Path) -> Check {
    let shown = path.display();
    let file = path.ancestors().find(|part| part.exists()).unwrap_or(path).display();
    Check::broken(name, format!("cannot create {shown}: {file} is not a folder"), SET_HOME)
}

fn readable_by_others(name: &'static str, file: &Path, found: &Metadata) -> Option<Check> {
    let shown = file.display();
    (found.mode() & 0o077 != 0).then(|| {
        Check::broken(
            name,
            format!("others can access {shown}"),
            format!("Remove other users' access with `{}`.", chmod("600", file)),
        )
    })
}
