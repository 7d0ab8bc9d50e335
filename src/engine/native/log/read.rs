//! Reading a log: its newest lines, and what is added to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::older;

/// Bytes that are read first; twice as many each time that they were not enough.
const CHUNK: u64 = 64 << 10;
/// Bytes of what was added that are read at once.
const MOST_ADDED: u64 = 1 << 20;

/// One line that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, as it is noted.
    pub time: String,
    /// Whether to standard error.
    pub is_error: bool,
    /// Without its end.
    pub text: Vec<u8>,
    /// Whether its end was written.
    pub is_whole: bool,
}

/// A moment in the form that a log has; `None` if nothing is that old.
pub fn parse_since(since: &str) -> Option<String> {
    Some(super::moment(since.parse().ok()?))
}

/// The newest lines of a log, oldest first; since a moment, if there is one. What comes after `end` in the newer file is
/// somebody else's.
pub fn newest(path: &Path, since: Option<&str>, lines: usize, end: Option<u64>) -> Vec<Line> {
    let mut found = tail(path, since, lines, end);
    if found.len() < lines
        && found.first().is_none_or(|first| since.is_none_or(|since| first.time.as_str() >= since))
    {
        let mut before = tail(&older(path), since, lines - found.len(), None);
        before.append(&mut found);
        found = before;
    }
    found.retain(|line| since.is_none_or(|since| line.time.as_str() >= since));
    found
}

/// The newest lines of one file, and maybe some that are older than the moment.
fn tail(path: &Path, since: Option<&str>, lines: usize, end: Option<u64>) -> Vec<Line> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let size = file.metadata().map_or(0, |found| found.len());
    let size = end.map_or(size, |end| size.min(end));
    let mut chunk = CHUNK;
    loop {
        let from = size.saturating_sub(chunk);
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| file.by_ref().take(size - from).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        // The first entry may have lost its beginning.
        let begin = if from == 0 {
            0
        } else {
            bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
        };
        let mut found = joined(bytes.get(begin..).unwrap_or_default());
        let reaches_back =
            since.is_some_and(|since| found.first().is_some_and(|first| first.time.as_str() < since));
        // The first line may have lost its first parts.
        if from == 0 || found.len() > lines || reaches_back {
            let surplus = found.len().saturating_sub(lines);
            found.drain(..surplus);
            return found;
        }
        chunk *= 2;
    }
}

/// The lines of entries, parts put together.
fn joined(bytes: &[u8]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut begun: [Option<usize>; 2] = [None, None];
    for entry in bytes.split(|byte| *byte == b'\n').filter_map(entry) {
        let open = &mut begun[usize::from(entry.is_error)];
        let is_whole = entry.is_whole;
        let begun = open.and_then(|index| lines.get_mut(index).map(|line| (index, line)));
        let at = if let Some((index, line)) = begun {
            line.text.extend_from_slice(&entry.text);
            line.is_whole = is_whole;
            index
        } else {
            lines.push(entry);
            lines.len() - 1
        };
        *open = (!is_whole).then_some(at);
    }
    lines
}

fn entry(bytes: &[u8]) -> Option<Line> {
    let mut parts = bytes.splitn(4, |byte| *byte == b' ');
    let mut text = || String::from_utf8(parts.next()?.to_vec()).ok();
    let (time, stream, mark) = (text()?, text()?, text()?);
    Some(Line { time, is_error: stream == "stderr", text: parts.next()?.to_vec(), is_whole: mark == "F" })
}

/// Reads what is added to a log, from its end on when this was made.
pub struct Follower {
    path: PathBuf,
    file: Option<File>,
    /// What was read of an entry whose end is not written yet.
    begun: Vec<u8>,
}

impl Follower {
    /// From the end of what is there now.
    pub fn new(path: &Path) -> Self {
        let end = |mut file: File| file.seek(SeekFrom::End(0)).map(|_| file);
        Self { path: path.to_owned(), file: File::open(path).and_then(end).ok(), begun: Vec::new() }
    }

    /// Where that is.
    pub fn position(&mut self) -> u64 {
        self.file.as_mut().and_then(|file| file.stream_position().ok()).unwrap_or(0)
    }

    /// What was added since; parts of lines stay parts.
    pub fn added(&mut self) -> io::Result<Vec<Line>> {
        let mut bytes = std::mem::take(&mut self.begun);
        if let Some(file) = &mut self.file {
            file.by_ref().take(MOST_ADDED).read_to_end(&mut bytes)?;
        }
        let is_same = match (&self.file, std::fs::metadata(&self.path)) {
            (Some(file), Ok(named)) => file.metadata()?.ino() == named.ino(),
            (None, Ok(_)) => false,
            (_, Err(_)) => true,
        };
        if !is_same {
            // What was added to the old file before it got its new name was read above, or is read now.
            if let Some(file) = &mut self.file {
                file.read_to_end(&mut bytes)?;
            }
            let mut file = File::open(&self.path)?;
            file.by_ref().take(MOST_ADDED).read_to_end(&mut bytes)?;
            self.file = Some(file);
        }
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.begun = bytes.split_off(end);
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::log::LogWriter;

    #[test]
    fn what_is_added_is_read_once_also_over_the_end_of_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = LogWriter::create(&path).expect("a log");
        log.write(false, b"before\n");
        let mut follower = Follower::new(&path);
        let mut texts = || -> Vec<String> {
            let added = follower.added().expect("read");
            added.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
        };
        assert!(texts().is_empty());
        log.write(true, b"one\ntwo\n");
        assert_eq!(texts(), ["one", "two"]);
        log.write(false, b"three\n");
        log.rotate();
        log.write(false, b"four\n");
        assert_eq!(texts(), ["three", "four"]);
        assert!(texts().is_empty());
    }

    #[test]
    fn lines_before_a_moment_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(older(&path), "2001-01-01T00:00:00.000000001Z stdout F a\n").expect("written");
        let text = "2001-01-01T00:00:00.000000002Z stdout F b\nnonsense\n2001-01-01T00:00:00.000000003Z stderr F c\n";
        std::fs::write(&path, text).expect("written");
        let found = |since: &str| -> String {
            let since = parse_since(since);
            newest(&path, since.as_deref(), 10, None).iter().map(|line| char::from(line.text[0])).collect()
        };
        assert_eq!(found(""), "abc");
        assert_eq!(found("2001-01-01T00:00:00.000000002Z"), "bc");
        assert_eq!(found("2001-01-01T00:00:00.000000003Z"), "c");
        assert_eq!(found("2002-01-01T00:00:00Z"), "");
    }
}
