//! How a change of an instance wakes whoever watches: each watcher has a named pipe in one folder, and who changes an instance
//! writes the instance's id into all of them.
//!
//! inotify would do the same, but closing it waits for the kernel to settle (8 to 20 ms, at the end of each launch).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::processes::awaited;
use super::store::is_id;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 10;
/// So many unread bytes that others may not have fitted: a pipe holds 4 KiB at least (pipe(7)).
const FULL_BYTES: usize = 2 << 10;

/// What a watcher learned.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// These instances changed; one may be named several times.
    Of(Vec<String>),
    /// So many that some may be missing.
    Overflow,
}

/// A watcher's pipe, which disappears with it.
#[derive(Debug)]
pub struct Watcher {
    pipe: AsyncFd<OwnedFd>,
    path: PathBuf,
}

impl Watcher {
    /// Watches from now on.
    ///
    /// # Errors
    /// If the folder is not there or cannot be written to.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let mut token = [0; 8];
        getrandom::fill(&mut token).map_err(io::Error::other)?;
        let token = hex::encode(token);
        // Nobody takes it for one that is left behind before it is open.
        let hidden = folder.join(format!(".{token}"));
        mknodat(CWD, &hidden, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Also for writing: a pipe without a writer would be at its end.
        let opened = open(&hidden, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        let path = folder.join(&token);
        let begun = opened.map_err(io::Error::from).and_then(|pipe| {
            std::fs::rename(&hidden, &path)?;
            awaited(pipe)
        });
        if begun.is_err() {
            let _ = std::fs::remove_file(&hidden);
            let _ = std::fs::remove_file(&path);
        }
        Ok(Self { pipe: begun?, path })
    }

    /// Waits until somebody tells something.
    pub async fn told(&self) -> io::Result<Told> {
        loop {
            let mut ready = self.pipe.readable().await?;
            let mut bytes = Vec::new();
            let mut buffer = [0; READ_BYTES];
            loop {
                match rustix::io::read(self.pipe.get_ref().as_fd(), &mut buffer) {
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                    Err(Errno::AGAIN) => break ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
                if bytes.len() >= FULL_BYTES {
                    return Ok(Told::Overflow);
                }
            }
            let lines = String::from_utf8_lossy(&bytes);
            let ids: Vec<String> = lines.lines().filter(|id| is_id(id)).map(str::to_owned).collect();
            if !ids.is_empty() {
                return Ok(Told::Of(ids));
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Tells all watchers that this instance changed. Who is not woken looks a little later.
pub fn tell(folder: &Path, id: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let is_pipe = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_fifo());
    let is_hidden = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in entries.flatten().filter(|entry| is_pipe(entry) && !is_hidden(entry)) {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match open(entry.path(), flags, Mode::empty()) {
            // Its reader, if it is full, looks at everything.
            Ok(pipe) => drop(rustix::io::write(pipe, format!("{id}\n").as_bytes())),
            // Its reader was killed.
            Err(Errno::NXIO) => drop(std::fs::remove_file(entry.path())),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    #[tokio::test]
    async fn every_watcher_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let watchers: Vec<_> = (0..3).map(|_| Watcher::begin(folder.path()).expect("it begins")).collect();
        tell(folder.path(), ID);
        tell(folder.path(), OTHER);
        for watcher in &watchers {
            assert_eq!(watcher.told().await.expect("told"), Told::Of(vec![ID.to_owned(), OTHER.to_owned()]));
        }
        drop(watchers);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[tokio::test]
    async fn one_that_reads_nothing_for_long_learns_that_it_missed_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let watcher = Watcher::begin(folder.path()).expect("it begins");
        // More than fits in any pipe.
        for _ in 0..5_000 {
            tell(folder.path(), ID);
        }
        assert_eq!(watcher.told().await.expect("told"), Told::Overflow);
    }

    #[tokio::test]
    async fn what_a_killed_watcher_left_is_removed_and_what_is_no_watcher_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = folder.path().join("left");
        mknodat(CWD, &left, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let file = folder.path().join("file");
        std::fs::write(&file, "as it was").expect("a file");
        let watcher = Watcher::begin(folder.path()).expect("it begins");
        tell(folder.path(), ID);
        assert!(!left.exists());
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "as it was");
        // What is no id is no news.
        tell(folder.path(), "../..");
        tell(folder.path(), OTHER);
        assert_eq!(watcher.told().await.expect("told"), Told::Of(vec![ID.to_owned(), OTHER.to_owned()]));
    }
}
