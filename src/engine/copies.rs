//! Copies of files of the workspace, which containers mount in place of the files themselves: an engine looks for a path
//! at each start of a container, when somebody may have put a link there.
//!
//! A copy belongs to the containers that mount it, on whatever engine. Each has a mark, a file with the digests of its copies,
//! and a copy goes with the last mark that names it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::definition::COPIES;
use crate::definition::model::Mount;
use crate::engine::Engine;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};
use crate::system::digest::sha256_hex;
use crate::system::folders::own_folders;
use crate::system::private_files::{private_folder, private_temporary_file};

/// Whoever runs in the container reads it; on this host, its folder keeps others out.
const READABLE: u32 = 0o444;
/// The marks of each engine's containers, beside the copies.
const MARKS: &str = "bound-by";
/// Held while copies and marks change.
const LOCK: &str = "bound.lock";
/// How long a container may take from its mark to its creation, which pulls nothing any more.
const BEING_MADE: Duration = Duration::from_secs(3600);

/// The copies that containers of one engine mount.
pub(super) struct Copies {
    state: PathBuf,
    /// The folder with the marks of this engine's containers.
    marks: PathBuf,
}

impl Copies {
    fn new(state: PathBuf, engine: &str) -> Self {
        // An engine's id may hold anything.
        let marks = state.join(MARKS).join(&sha256_hex(engine)[..32]);
        Self { state, marks }
    }

    /// Those of the engine with this id; `None` if there is no place for any.
    fn of(engine: &str) -> Option<Self> {
        Some(Self::new(own_folders().1?, engine))
    }

    /// Marks the copies that a sidecar's container is about to mount beside those that it mounts already, and writes them as far
    /// as they are not there.
    fn write(&self, container: &str, copies: &[(&Path, &[u8])]) -> io::Result<()> {
        let _lock = self.lock()?;
        let names = copies.iter().filter_map(|(path, _)| digest_of(path));
        let marked: BTreeSet<String> = read(&self.marks.join(container)).into_iter().chain(names).collect();
        private_folder(&self.marks)?;
        let mut mark = private_temporary_file(&self.marks)?;
        for digest in &marked {
            writeln!(mark, "{digest}")?;
        }
        mark.persist(self.marks.join(container))?;
        copies.iter().try_for_each(|(path, content)| written(path, content))
    }

    /// Removes what a container does not mount any more.
    fn keep(&self, container: &str, digests: &BTreeSet<String>) -> io::Result<()> {
        let path = self.marks.join(container);
        if !path.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let (dropped, kept): (Vec<String>, Vec<String>) =
            read(&path).into_iter().partition(|digest| !digests.contains(digest));
        if kept.is_empty() {
            std::fs::remove_file(&path)?;
        } else if !dropped.is_empty() {
            let mut mark = private_temporary_file(&self.marks)?;
            kept.iter().try_for_each(|digest| writeln!(mark, "{digest}"))?;
            mark.persist(&path)?;
        }
        self.remove_unmarked(&dropped);
        Ok(())
    }

    /// Removes what no mark names. Other copies may be an older farrier's, which made no marks.
    fn remove_unmarked(&self, digests: &[String]) {
        let folders = std::fs::read_dir(self.state.join(MARKS)).into_iter().flatten().flatten();
        let marks =
            folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let marked: BTreeSet<String> = marks.flat_map(|mark| read(&mark.path())).collect();
        for digest in digests.iter().filter(|digest| !marked.contains(*digest)) {
            // What cannot be removed stays, and harms nobody.
            let _ = std::fs::remove_file(self.state.join(COPIES).join(digest));
        }
    }

    /// Removes the marks of containers that are gone, besides those that may be about to be made.
    fn sweep(&self, containers: &BTreeSet<String>, being_made: Duration) {
        for mark in std::fs::read_dir(&self.marks).into_iter().flatten().flatten() {
            let age = mark.metadata().and_then(|found| found.modified()).map(|since| since.elapsed());
            let is_old = age.is_ok_and(|age| age.is_ok_and(|age| age >= being_made));
            let name = mark.file_name().to_string_lossy().into_owned();
            // One whose creation was interrupted has a longer name.
            if is_old && !containers.iter().any(|container| container.starts_with(&name)) {
                let _ = self.keep(&name, &BTreeSet::new());
            }
        }
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.state.join(LOCK);
        private_folder(&self.state)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

/// The copies that a sidecar's container mounts.
fn copies_of(sidecar: &Sidecar) -> Vec<(&Path, &[u8])> {
    let mounts = sidecar.definition.container.mounts.iter();
    let copies = mounts.filter_map(|mount| match mount {
        Mount::Bind { bound: Some(bound), .. } => Some((bound.path.as_path(), bound.copy.as_deref()?)),
        _ => None,
    });
    copies.collect()
}

/// A copy's name is its content's digest, by which a mark names it.
fn digest_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

/// The digests of a mark.
fn read(mark: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(mark).unwrap_or_default();
    // Whatever else stands there is no name of a copy.
    let is_digest = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.lines().filter(is_digest).map(str::to_owned).collect()
}

/// Writes the copies that a sidecar's container is about to mount.
///
/// # Errors
/// If one cannot be written, or the engine does not tell its id.
pub(super) async fn write(engine: &dyn Engine, sidecar: &Sidecar) -> Result<(), Problem> {
    let copies = copies_of(sidecar);
    let Some((first, _)) = copies.first() else { return Ok(()) };
    let unwritten = |error: &dyn std::fmt::Display| {
        let message = format!("a copy of a file that the container mounts cannot be written: {error}");
        let folder = first.parent().unwrap_or(first).display();
        Problem::error(Code::StateUnusable, message).hint(format!("Check the folder {folder}."))
    };
    let id = engine.info().await.map_err(|error| unwritten(&error))?.id;
    let Some(kept) = Copies::of(&id) else { return Err(unwritten(&"there is no home directory")) };
    kept.write(&sidecar.container, &copies).map_err(|error| unwritten(&error))
}

/// Removes the copies that the container which a sidecar's new one replaced had, and the new one has not.
pub(super) async fn settle(engine: &dyn Engine, sidecar: &Sidecar) {
    let digests = copies_of(sidecar).into_iter().filter_map(|(path, _)| digest_of(path)).collect();
    keep(engine, &sidecar.container, &digests).await;
}

/// Removes the copies of a container that is gone.
pub(crate) async fn release(engine: &dyn Engine, container: &str) {
    keep(engine, container, &BTreeSet::new()).await;
}

/// Removes the copies of containers that somebody removed without farrier.
pub(crate) async fn sweep(engine: &dyn Engine) {
    if let Some(copies) = marked(engine).await
        && let Ok(found) = engine.inventory(&[]).await
    {
        let containers = found.into_iter().map(|(found, _)| found.instance.name).collect();
        copies.sweep(&containers, BEING_MADE);
    }
}

/// A failure leaves them to the next sweep.
async fn keep(engine: &dyn Engine, container: &str, digests: &BTreeSet<String>) {
    if let Some(copies) = marked(engine).await {
        let _ = copies.keep(container, digests);
    }
}

/// The engine's copies; `None` if no container of any engine has one, which costs no call.
async fn marked(engine: &dyn Engine) -> Option<Copies> {
    if !own_folders().1?.join(MARKS).exists() {
        return None;
    }
    Copies::of(&engine.info().await.ok()?.id)
}

/// What is there is what would be written, because of its name.
fn written(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_folder(folder)?;
    if std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_file() && found.len() == content.len() as u64)
    {
        return Ok(());
    }
    let mut file = private_temporary_file(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(READABLE))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_with_the_last_container_that_mounts_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let engine = |id: &str| Copies::new(state.clone(), id);
        let path = |content: &str| state.join(COPIES).join(sha256_hex(content));
        let write = |copies: &Copies, container: &str, contents: &[&str]| {
            let paths: Vec<PathBuf> = contents.iter().map(|content| path(content)).collect();
            let copied: Vec<(&Path, &[u8])> =
                paths.iter().map(PathBuf::as_path).zip(contents.iter().copied().map(str::as_bytes)).collect();
            copies.write(container, &copied).expect("written");
        };
        let keep = |copies: &Copies, container: &str, contents: &[&str]| {
            let digests = contents.iter().map(sha256_hex).collect();
            copies.keep(container, &digests).expect("kept");
        };
        let there = |content: &str| path(content).exists();
        let (docker, native) = (engine("docker"), engine("native"));
        write(&docker, "one", &["a", "b"]);
        write(&native, "one", &["a"]);
        // A recreation that fails keeps what the old container mounts.
        write(&docker, "one", &["c"]);
        assert!(there("a") && there("b") && there("c"));
        keep(&docker, "one", &["c"]);
        assert!(there("a") && !there("b") && there("c"), "another engine's container has it");
        docker.sweep(&BTreeSet::new(), BEING_MADE);
        assert!(there("c"), "it may be about to be made");
        native.sweep(&BTreeSet::from(["one".to_owned()]), Duration::ZERO);
        assert!(there("a"), "the container is there");
        native.sweep(&BTreeSet::new(), Duration::ZERO);
        keep(&docker, "one", &[]);
        assert!(!there("a") && !there("c"));
        // A copy of an older farrier has no mark.
        written(&path("old"), b"old").expect("written");
        write(&docker, "two", &["d"]);
        keep(&docker, "two", &[]);
        assert!(there("old") && !there("d"));
    }
}
