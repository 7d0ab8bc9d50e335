//! What an instance writes, in the form that Kubernetes' runtimes keep logs in: a line each, with its moment, its stream,
//! and `F` for a whole line or `P` for a part of one. Two files of a bounded size: the older one goes when the newer one is
//! full.

mod read;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::state::moment;

pub use read::{Follower, Line, newest, parse_since};

/// How large the newer file may become. Both together are twice as large.
const MOST_BYTES: u64 = 8 << 20;
/// Bytes of a line that are written at once; a longer line is written in parts.
const LONGEST_PART: usize = 16 << 10;

/// Where the older file of a log is.
fn older(path: &Path) -> PathBuf {
    path.with_extension("1")
}

/// Writes an instance's log.
pub struct LogWriter {
    path: PathBuf,
    /// `None` if the file cannot be written.
    file: Option<File>,
    written: u64,
    most: u64,
    /// The newest moment in it. No later line has an earlier one, also if the clock was set back: whoever reads what was written
    /// since a moment misses nothing.
    newest: String,
    /// What was written to each stream since the end of its last line.
    begun: [Vec<u8>; 2],
}

impl LogWriter {
    /// Begins a log, or goes on with it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        // A run before this one may have written to it.
        let written = file.metadata()?.len();
        let before = newest(path, None, 1, None).pop();
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            written,
            most: MOST_BYTES,
            newest: before.map(|line| line.time).unwrap_or_default(),
            begun: Default::default(),
        })
    }

    /// The present moment, later than what another run wrote before.
    pub fn begin_run(&mut self) -> String {
        let before = self.newest.parse::<jiff::Timestamp>().ok();
        let after = before.and_then(|before| before.checked_add(jiff::SignedDuration::from_nanos(1)).ok());
        self.newest = moment(jiff::Timestamp::now().max(after.unwrap_or(jiff::Timestamp::MIN)));
        self.newest.clone()
    }

    fn now(&mut self) -> &str {
        let now = moment(jiff::Timestamp::now());
        if now > self.newest {
            self.newest = now;
        }
        &self.newest
    }

    /// Takes in what was written to a stream. What cannot be kept is lost: the program must not wait for a disk that is
    /// full.
    pub fn write(&mut self, is_error: bool, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.begun[usize::from(is_error)]);
            line.extend_from_slice(piece);
            while line.len() > LONGEST_PART && line.get(LONGEST_PART) != Some(&b'\n') {
                let rest = line.split_off(LONGEST_PART);
                self.entry(is_error, false, &line);
                line = rest;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                self.entry(is_error, true, &line);
            } else {
                self.begun[usize::from(is_error)] = line;
            }
        }
    }

    /// Writes lines that were begun, and never ended.
    pub fn finish(&mut self) {
        for is_error in [false, true] {
            let line = std::mem::take(&mut self.begun[usize::from(is_error)]);
            if !line.is_empty() {
                self.entry(is_error, false, &line);
            }
        }
    }

    fn entry(&mut self, is_error: bool, is_whole: bool, text: &[u8]) {
        let stream = if is_error { "stderr" } else { "stdout" };
        let mark = if is_whole { 'F' } else { 'P' };
        let mut entry = format!("{} {stream} {mark} ", self.now()).into_bytes();
        entry.extend_from_slice(text);
        entry.push(b'\n');
        if self.written + entry.len() as u64 > self.most && self.written > 0 {
            self.rotate();
        }
        let written = self.file.as_mut().is_some_and(|file| file.write_all(&entry).is_ok());
        if written {
            self.written += entry.len() as u64;
        }
    }

    fn rotate(&mut self) {
        if std::fs::rename(&self.path, older(&self.path)).is_ok() {
            self.file = open(&self.path).ok();
            self.written = 0;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(most: u64, pieces: &[(bool, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = LogWriter::create(&path).expect("a log");
        log.most = most;
        for (is_error, bytes) in pieces {
            log.write(*is_error, bytes);
        }
        log.finish();
        (folder, path)
    }

    fn lines(path: &Path, count: usize) -> Vec<String> {
        newest(path, None, count, None)
            .iter()
            .map(|line| String::from_utf8_lossy(&line.text).into_owned())
            .collect()
    }

    #[test]
    fn after_the_clock_was_set_back_nothing_is_missed_and_nothing_of_an_earlier_run_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        // A run while the clock was far ahead.
        let ahead = moment("2999-01-01T00:00:00Z".parse().expect("a moment"));
        std::fs::write(&path, format!("{ahead} stdout F of the run before\n")).expect("written");
        let mut log = LogWriter::create(&path).expect("a log");
        let since = log.begin_run();
        log.write(false, b"of this run\n");
        let found = newest(&path, Some(&since), 10, None);
        let texts: Vec<&[u8]> = found.iter().map(|line| line.text.as_slice()).collect();
        assert_eq!(texts, [b"of this run".as_slice()]);
        assert!(found.iter().all(|line| line.time > ahead));
    }

    #[test]
    fn lines_are_kept_whole_however_they_were_written() {
        let (_folder, path) = written(
            MOST_BYTES,
            &[(false, b"on"), (true, b"err\n"), (false, b"e\ntwo\n\n"), (false, b"open")],
        );
        assert_eq!(lines(&path, 10), ["err", "one", "two", "", "open"]);
        assert_eq!(lines(&path, 2), ["", "open"]);
        let streams: Vec<bool> = newest(&path, None, 10, None).iter().map(|line| line.is_error).collect();
        assert_eq!(streams, [true, false, false, false, false]);
    }

    #[test]
    fn a_long_line_is_one_line_again() {
        let long = "x".repeat(3 * LONGEST_PART + 7);
        let (_folder, path) = written(MOST_BYTES, &[(false, format!("{long}\nnext\n").as_bytes())]);
        assert_eq!(lines(&path, 10), [long, "next".to_owned()]);
    }

    #[test]
    fn a_log_does_not_grow_for_ever_and_the_newest_lines_stay() {
        let line = format!("{}\n", "y".repeat(90));
        let pieces: Vec<(bool, &[u8])> = (0..1000).map(|_| (false, line.as_bytes())).collect();
        let (_folder, path) = written(4096, &pieces);
        let size = |path: &Path| std::fs::metadata(path).expect("a file").len();
        assert!(size(&path) <= 4096 && size(&older(&path)) <= 4096);
        assert!((30..100).contains(&lines(&path, 1000).len()));
    }
}
