//! Files that are read whole: regular ones that are no larger than they may be. Opening one never waits, as a named pipe would
//! make it, and reading one ends, as a device would not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Reads a file of at most so many bytes.
///
/// # Errors
/// As the operating system has it, or that the file is not regular or larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(open(path, OFlags::NONBLOCK)?, most)
}

/// Reads a file that nobody named: a link in its place may lead to what its author must not see.
///
/// # Errors
/// As the operating system has it, or that the file is a link, is not regular, or is larger.
pub fn read_unlinked(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    match open(path, OFlags::NONBLOCK | OFlags::NOFOLLOW) {
        Err(_) if path.is_symlink() => Err(io::Error::other("it is a link")),
        opened => whole(opened?, most),
    }
}

/// Reads a file of at most so many bytes as text.
///
/// # Errors
/// As the operating system has it, or that the file is not regular, larger, or not UTF-8.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    if found.len() <= most {
        // It may grow meanwhile.
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if found.len() > most || bytes.len() as u64 > most {
        return Err(io::Error::other(match most >> 20 {
            0 => format!("it is larger than {} KiB", most >> 10),
            mebibytes => format!("it is larger than {mebibytes} MiB"),
        }));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test")]

    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn what_has_no_end_or_no_bound_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), vec![b'x'; 2048]).expect("a file");
        std::fs::write(at("bytes"), [0xff]).expect("a file");
        mkfifoat(CWD, at("pipe"), Mode::RUSR).expect("a pipe");
        symlink(at("file"), at("link")).expect("a link");
        let why = |result: io::Result<Vec<u8>>| result.expect_err("refused").to_string();
        assert_eq!(read(&at("file"), 2048).expect("the file").len(), 2048);
        assert_eq!(read(&at("link"), 2048).expect("the file").len(), 2048);
        assert_eq!(read_unlinked(&at("file"), 2048).expect("the file").len(), 2048);
        assert_eq!(why(read(&at("file"), 2047)), "it is larger than 1 KiB");
        assert_eq!(why(read(Path::new("/dev/zero"), 2048)), "it is not a regular file");
        assert_eq!(why(read(&at("pipe"), 2048)), "it is not a regular file");
        assert_eq!(why(read(folder.path(), 2048)), "it is not a regular file");
        assert_eq!(why(read_unlinked(&at("link"), 2048)), "it is a link");
        assert_eq!(read(&at("absent"), 1).expect_err("absent").kind(), io::ErrorKind::NotFound);
        assert_eq!(text(&at("bytes"), 1).expect_err("no text").to_string(), "it is not UTF-8 text");
    }
}
