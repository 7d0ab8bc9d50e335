//! The file that events are written to: never read by others, and never waited for.
//!
//! It may be a pipe or a terminal whose reader is slow or stops. What does not fit now is kept until the next write, so
//! that a reader that goes on misses nothing; one that does not costs a bounded amount of memory and of time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// What is kept for a reader at most, in bytes: thousands of launches' events.
const MOST_BYTES: usize = 4 << 20;
/// How long the end of a launch waits for a reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that is opened for appending, and what was not written yet.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    kept: Vec<u8>,
}

impl EventFile {
    /// Opens or creates it; a new one is this user's alone.
    ///
    /// # Errors
    /// When it cannot be opened, or is a pipe that nobody reads.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(flags).open(path);
        let file = opened.map_err(|error| {
            let is_pipe = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
            if is_pipe && Errno::from_io_error(&error) == Some(Errno::NXIO) {
                return io::Error::new(error.kind(), "it is a pipe that nobody reads");
            }
            error
        })?;
        Ok(Self { file, kept: Vec::new() })
    }

    /// Writes of what is kept what the reader takes now.
    fn write_kept(&mut self) -> io::Result<()> {
        while !self.kept.is_empty() {
            match self.file.write(&self.kept) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.kept.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Write for EventFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.kept.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other("their reader has stopped reading"));
        }
        self.kept.extend_from_slice(bytes);
        self.write_kept()?;
        Ok(bytes.len())
    }

    /// Waits for a slow reader, for a bounded time.
    fn flush(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.write_kept()?;
            let left = end.saturating_duration_since(Instant::now());
            if self.kept.is_empty() {
                return Ok(());
            }
            if left.is_zero() {
                return Err(io::Error::other("their reader has stopped reading"));
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pipe(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .expect("a pipe");
        path
    }

    fn reader(path: &Path) -> File {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path).expect("a reader")
    }

    #[test]
    fn a_new_file_is_this_users_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events");
        drop(EventFile::open(&path).expect("a file"));
        assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = EventFile::open(&pipe(&folder)).expect_err("nobody reads");
        assert!(error.to_string().contains("nobody reads"), "{error}");
    }

    #[test]
    fn a_slow_reader_misses_nothing_and_one_that_stops_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = pipe(&folder);
        let mut reader = reader(&path);
        let mut file = EventFile::open(&path).expect("a file");
        let line = [b'x'; 1 << 10];
        for _ in 0..(1 << 10) {
            file.write_all(&line).expect("kept");
        }
        let mut read = 0;
        while read < 1 << 20 {
            read += reader.read(&mut vec![0; 1 << 16]).expect("something");
            file.write_kept().expect("the rest");
        }
        file.flush().expect("everything is read");
        let stopped = (0..2 * (MOST_BYTES >> 10)).find_map(|_| file.write_all(&line).err());
        assert!(stopped.expect("it is given up").to_string().contains("stopped"));
        assert!(file.flush().is_err());
    }
}
