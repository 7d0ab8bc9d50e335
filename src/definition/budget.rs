//! What reading definitions, and the components and folders that they name, may take in all.
//!
//! Everything is read before anybody is asked, so that the question can show it, and a checkout may hold anything: each
//! file and folder has a limit of its own, and all of them together have this one.

use std::io::{self, Read};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::report::elapsed::limit;
use crate::report::error::{Code, Problem};

/// Bytes of all files: a dozen components of Python, which are the largest, have 450 MB.
const BYTES: u64 = 512 << 20;
/// Files, and entries of folders.
const ENTRIES: u64 = 50_000;
/// By the clock, from the first file on: a slow machine takes a second for a component of Python.
const TIME: Duration = Duration::from_mins(1);

/// What is left of the limits; shared by everything that one command reads.
#[derive(Debug)]
pub struct ReadingBudget {
    bytes: AtomicU64,
    entries: AtomicU64,
    time: Duration,
    begun: OnceLock<Instant>,
}

/// One of the limits is reached. Nothing more is read then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "reading it would exceed the limit for all definitions, probes and granted folders together: {} MiB, {ENTRIES} \
     files and folder entries, {}", BYTES >> 20, limit(TIME)
)]
pub struct Exceeded;

impl Default for ReadingBudget {
    fn default() -> Self {
        Self::of(BYTES, ENTRIES, TIME)
    }
}

impl ReadingBudget {
    fn of(bytes: u64, entries: u64, time: Duration) -> Self {
        Self { bytes: bytes.into(), entries: entries.into(), time, begun: OnceLock::new() }
    }

    /// Takes a file of this size; one that is refused is not to be read.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn take_file(&self, bytes: u64) -> Result<(), Exceeded> {
        self.take(bytes, 1)
    }

    /// Takes an entry of a folder.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn take_entry(&self) -> Result<(), Exceeded> {
        self.take(0, 1)
    }

    /// Reads a file that was taken, as long as there is time: one may come from a file system that a program makes up,
    /// byte by byte. A single read that never ends cannot be given up, because the kernel lets no process end during it.
    pub fn timed<'b, R: Read + 'b>(&'b self, file: R) -> impl Read + use<'b, R> {
        Timed { budget: self, file }
    }

    fn has_time(&self) -> bool {
        self.begun.get_or_init(Instant::now).elapsed() < self.time
    }

    fn take(&self, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        let has_time = self.has_time();
        let is_left = |left: &AtomicU64, taken: u64| {
            let order = Ordering::Relaxed;
            left.fetch_update(order, order, |left| left.checked_sub(taken)).is_ok()
        };
        if has_time && is_left(&self.entries, entries) && is_left(&self.bytes, bytes) {
            return Ok(());
        }
        // What comes later is not read either, however small: what was left out is not a matter of order.
        self.entries.store(0, Ordering::Relaxed);
        Err(Exceeded)
    }
}

/// A file that is read within the time of a budget.
struct Timed<'b, R> {
    budget: &'b ReadingBudget,
    file: R,
}

impl<R: Read> Read for Timed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget.has_time() { self.file.read(buffer) } else { Err(io::Error::other(Exceeded)) }
    }
}

impl Exceeded {
    /// Whether an error of reading is this one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::error(Code::ReadingLimit, exceeded.to_string())
            .hint("Move files that are not definitions, and files that no probe needs, out of these folders.")
            .hint("Or omit the workspace's definitions with `--no-workspace`.")
    }
}

/// Keeps the first of the problems which say that a limit is reached: everything after it says the same.
pub fn tell_once(problems: &mut Vec<Problem>) {
    let mut is_told = false;
    problems.retain(|problem| problem.code != Code::ReadingLimit || !std::mem::replace(&mut is_told, true));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that never ends, and after whose first bytes the time is over.
    struct Endless<'b>(&'b ReadingBudget);

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            while self.0.has_time() {
                std::thread::yield_now();
            }
            buffer.fill(b'#');
            Ok(buffer.len().min(1))
        }
    }

    #[test]
    fn a_file_that_comes_byte_by_byte_is_not_read_to_its_end() {
        let budget = ReadingBudget::of(1 << 20, 1, Duration::from_millis(20));
        assert_eq!(budget.take_file(1 << 20), Ok(()));
        let mut bytes = Vec::new();
        let error = budget.timed(Endless(&budget)).read_to_end(&mut bytes).expect_err("it never ends");
        assert_eq!((Exceeded::of(&error), bytes.as_slice()), (Some(Exceeded), &b"#"[..]));
        assert_eq!(Exceeded::of(&io::Error::other("another one")), None);
    }

    #[test]
    fn each_limit_ends_reading_for_good() {
        let hour = Duration::from_hours(1);
        for (name, budget, taken) in [
            ("bytes", ReadingBudget::of(10, 100, hour), [(10, true), (1, false), (0, false)]),
            ("files", ReadingBudget::of(10, 2, hour), [(1, true), (1, true), (0, false)]),
            ("time", ReadingBudget::of(10, 100, Duration::ZERO), [(0, false), (0, false), (0, false)]),
        ] {
            for (bytes, expected) in taken {
                assert_eq!(budget.take_file(bytes).is_ok(), expected, "{name}");
            }
            assert_eq!(budget.take_entry().is_ok(), name == "never", "{name}");
        }
    }
}
