//! The limits that this process was started with (`ulimit`): enough is checked before anything is changed, and a failure
//! that a limit caused names the limit instead of whatever was being done.

use std::thread::JoinHandle;
use std::{io, thread};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::report::error::{Code, Problem};

/// Files that a command has open at once besides those of its sidecars: the standard streams, the runtime's, the
/// terminal, events, and connections to the engine. A launch of one sidecar needs 16.
const OPEN_FILES: u64 = 13;
/// Files for each sidecar: its lock or its mark, a connection to the engine, a dial.
const OPEN_FILES_OF_A_SIDECAR: u64 = 3;
/// How many files a process that forwards connections may have open: as many as Docker allows a container's, if this user may.
const MOST_OPEN_FILES: u64 = 1_048_576;
/// Address space that a launch takes besides its sidecars' components, in bytes.
const ADDRESS_SPACE: u64 = 256 << 20;
/// Address space that compiling a component takes for each byte of it.
const ADDRESS_SPACE_OF_A_BYTE: u64 = 16;

/// Threads that a launch needs at once besides those that compile: two clocks of guests, the live lines, one that waits for
/// a lock, an answer or a credential helper, one for signals, and the harness.
const THREADS: usize = 6;
/// The stack of a thread that does nothing.
const SPARE_STACK: usize = 64 << 10;

/// Says which limit an error of the operating system is about; `None` if it is about none.
#[must_use]
pub fn reason(error: &io::Error) -> Option<String> {
    let errno = Errno::from_io_error(error)?;
    let told = |what: &str, resource: Resource, option: &str| {
        let limit = getrlimit(resource).current;
        let limit = limit.map(|limit| format!(" (`ulimit -{option}`: {})", in_units(resource, limit)));
        format!("{what}{}", limit.unwrap_or_default())
    };
    match errno {
        Errno::MFILE => Some(told("this process has reached its limit on open files", Resource::Nofile, "n")),
        Errno::NFILE => Some("the system has reached its limit on open files".to_owned()),
        Errno::FBIG => {
            Some(told("a file would exceed this process's limit on file size", Resource::Fsize, "f"))
        }
        Errno::NOMEM => Some(told("the system gives this process no more memory", Resource::As, "v")),
        _ => None,
    }
}

/// As [`reason`], of a text that quotes the operating system: between it and the error lie crates that keep only text.
#[must_use]
pub fn reason_in(text: &str) -> Option<String> {
    let quoted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].into_iter().map(io::Error::from);
    quoted.into_iter().find(|error| text.contains(&error.to_string())).and_then(|error| reason(&error))
}

/// In the units of `ulimit`.
fn in_units(resource: Resource, limit: u64) -> u64 {
    match resource {
        Resource::As | Resource::Fsize => limit >> 10,
        _ => limit,
    }
}

/// The problem if an error is about a limit.
#[must_use]
pub fn problem(error: &io::Error) -> Option<Problem> {
    reason(error).map(|reason| reached(&reason))
}

/// A limit that is reached, in the words of [`reason`].
#[must_use]
pub fn reached(reason: &str) -> Problem {
    Problem::error(Code::StateUnusable, reason).hint(RAISE)
}

/// What to do about each limit.
const RAISE: &str = "Raise the limit (`ulimit -a` lists all of them), or give the container or service more.";

/// Names the limits because of which the system gives no thread: it answers alike for all of them.
#[must_use]
pub fn no_thread(error: &io::Error) -> io::Error {
    let told = |resource: Resource, option: &str, unit: &str| {
        getrlimit(resource)
            .current
            .map(|limit| format!("`ulimit -{option}` is {}{unit}", in_units(resource, limit)))
    };
    let limits = [told(Resource::Nproc, "u", ""), told(Resource::As, "v", " KiB")];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let limits = if limits.is_empty() { String::new() } else { format!(" ({})", limits.join(", ")) };
    io::Error::new(error.kind(), format!("the system gives this process no more threads{limits}"))
}

/// Refuses to begin what the limits cannot carry: with too few files or too little memory it would fail at a place that
/// has nothing to do with it. `components` are the sizes of the sidecars' components, in bytes.
///
/// # Errors
/// When a limit is too low; it names the limit and what is needed.
pub fn check(sidecars: usize, components: u64) -> Result<(), Problem> {
    open_files(sidecars)?;
    address_space(components)
}

/// As [`check`], for memory only.
fn address_space(components: u64) -> Result<(), Problem> {
    let Some(limit) = getrlimit(Resource::As).current else { return Ok(()) };
    let needed = ADDRESS_SPACE.saturating_add(components.saturating_mul(ADDRESS_SPACE_OF_A_BYTE));
    if limit >= needed {
        return Ok(());
    }
    let message = format!(
        "this process may use {} MiB of address space (`ulimit -v`), and {} MiB are needed",
        limit >> 20,
        needed.div_ceil(1 << 20)
    );
    Err(Problem::error(Code::StateUnusable, message)
        .hint(format!("Run `ulimit -v {}` or `ulimit -v unlimited` first.", needed >> 10)))
}

/// As [`check`], for threads, of which `compiled` are for components that are compiled at once. Nothing tells how many there
/// may be, so that this starts them: it takes a good half of a millisecond, and a launch that changes nothing does without.
///
/// # Errors
/// When there are too few; it names the limits, and how many are needed.
pub fn threads(compiled: usize) -> Result<(), Problem> {
    let needed = THREADS.saturating_add(compiled);
    SpareThreads::start(needed).map(drop).map_err(|error| {
        let error = no_thread(&error);
        reached(&format!("{error}, and a launch of these sidecars needs {needed} more"))
    })
}

/// Threads that do nothing, and end when this is dropped: as long as they are there, the system has so many to give. No
/// number tells it: several limits bound them, of which some are a user's or a container's and count others' threads too.
pub struct SpareThreads(Vec<JoinHandle<()>>);

impl SpareThreads {
    /// Keeps as many as a launch needs besides those that compile.
    ///
    /// # Errors
    /// When the system does not give them.
    pub fn for_launch() -> io::Result<Self> {
        Self::start(THREADS)
    }

    fn start(count: usize) -> io::Result<Self> {
        let mut spare = Self(Vec::new());
        for _ in 0..count {
            let thread = thread::Builder::new().name("spare".to_owned()).stack_size(SPARE_STACK);
            spare.0.push(thread.spawn(thread::park)?);
        }
        Ok(spare)
    }
}

impl Drop for SpareThreads {
    fn drop(&mut self) {
        self.0.iter().for_each(|spare| spare.thread().unpark());
        self.0.drain(..).for_each(|spare| drop(spare.join()));
    }
}

/// As [`check`], for files only.
///
/// # Errors
/// When too few files may be open.
pub fn open_files(sidecars: usize) -> Result<(), Problem> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    let of_sidecars = OPEN_FILES_OF_A_SIDECAR.saturating_mul(u64::try_from(sidecars).unwrap_or(u64::MAX));
    let needed = OPEN_FILES.saturating_add(of_sidecars);
    if limit >= needed {
        return Ok(());
    }
    let for_whom = match sidecars {
        0 => String::new(),
        1 => " for one sidecar".to_owned(),
        many => format!(" for {many} sidecars"),
    };
    let message =
        format!("this process may have {limit} files open (`ulimit -n`), and {needed} are needed{for_whom}");
    Err(Problem::error(Code::StateUnusable, message)
        .hint(format!("Run `ulimit -n {}` first.", needed.max(1024))))
}

/// Lets this process, and what it starts, have as many files open as it may. Each connection that is forwarded has one or two.
pub fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    let Some(current) = now.current else { return };
    let mut most = now.maximum.map_or(MOST_OPEN_FILES, |most| most.min(MOST_OPEN_FILES));
    // A system may allow a process fewer than it says; macOS does.
    while most > current {
        let wanted = Rlimit { current: Some(most), maximum: now.maximum };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            break;
        }
        most /= 2;
    }
}

/// Lets a write that would make a file too large fail, as any other write fails, instead of ending the program. The
/// harness is not affected: a program begins with the system's own handling of signals.
pub fn survive_large_files() {
    if !limits_files() || open_files(0).is_err() {
        return;
    }
    // Who listens to a signal is not ended by it; the handler stays when the runtime is gone.
    if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
        let _entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    }
}

/// Whether the address space is limited, in which nothing may be reserved that is not used.
#[must_use]
pub fn limits_address_space() -> bool {
    getrlimit(Resource::As).current.is_some()
}

/// Whether the size of files is limited; for the kernel, memory that is shared by a file descriptor is one.
#[must_use]
pub fn limits_files() -> bool {
    getrlimit(Resource::Fsize).current.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_limits_have_a_reason() {
        for (errno, part) in [
            (Errno::MFILE, Some("limit on open files")),
            (Errno::NFILE, Some("limit on open files")),
            (Errno::FBIG, Some("limit on file size")),
            (Errno::NOMEM, Some("memory")),
            (Errno::NOENT, None),
            (Errno::AGAIN, None),
        ] {
            let reason = reason(&io::Error::from(errno));
            assert_eq!(reason.is_some(), part.is_some(), "{errno:?}");
            assert!(reason.unwrap_or_default().contains(part.unwrap_or_default()), "{errno:?}");
        }
    }

    #[test]
    fn more_sidecars_need_more_files() {
        open_files(1).expect("tests run with more");
        let problem = open_files(usize::MAX).expect_err("nobody may have so many");
        assert!(problem.message.contains("ulimit -n"), "{problem}");
    }
}
