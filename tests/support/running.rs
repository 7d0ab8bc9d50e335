//! A program while it runs, and what came of it.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process, kill_process_group};

pub use rustix::process::Signal;

/// How often the end of the program is looked for.
const LOOK: Duration = Duration::from_millis(2);
/// How long its output may stay open behind it.
const LINGER: Duration = Duration::from_mins(2);

/// A program while it runs. Dropped before its end, its whole process group is killed.
pub struct Running {
    child: Child,
    input: Input,
    stdout: Stream,
    stderr: Stream,
    line: String,
    started: Instant,
    timeout: Duration,
    ended: bool,
}

/// Where the program reads from.
pub enum Input {
    Closed,
    Pipe(ChildStdin),
    Terminal(File),
}

impl Running {
    pub(super) fn new(
        child: Child,
        input: Input,
        stdout: Stream,
        stderr: Stream,
        line: String,
        timeout: Duration,
    ) -> Self {
        Self { child, input, stdout, stderr, line, started: Instant::now(), timeout, ended: false }
    }

    /// Its process id, which is its group's too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone, as `kill` does.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.line));
    }

    /// Sends a signal to its process group, as a terminal does.
    pub fn signal_group(&self, signal: Signal) {
        let sent = kill_process_group(self.pid(), signal);
        sent.unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.line));
    }

    /// Writes to its stdin or types on its terminal.
    pub fn type_text(&mut self, text: &str) {
        let written = match &mut self.input {
            Input::Closed => panic!("{} has no stdin", self.line),
            Input::Pipe(pipe) => pipe.write_all(text.as_bytes()).and_then(|()| pipe.flush()),
            Input::Terminal(file) => file.write_all(text.as_bytes()),
        };
        written.unwrap_or_else(|error| panic!("cannot write to {}: {error}", self.line));
    }

    /// Ends its stdin; on a terminal this is Ctrl-D.
    pub fn close_stdin(&mut self) {
        match &self.input {
            Input::Terminal(_) => self.type_text("\u{4}"),
            Input::Pipe(_) | Input::Closed => self.input = Input::Closed,
        }
    }

    /// Its terminal, which can be asked for its settings also after the program's end.
    pub fn terminal(&self) -> File {
        match &self.input {
            Input::Terminal(file) => file.try_clone().expect("a file descriptor is free"),
            Input::Pipe(_) | Input::Closed => panic!("{} has no terminal", self.line),
        }
    }

    /// Waits until stdout, or what a terminal shows, contains the text.
    pub fn wait_for_stdout(&self, text: &str) {
        self.wait_for("stdout", &self.stdout, text);
    }

    /// Waits until stderr contains the text.
    pub fn wait_for_stderr(&self, text: &str) {
        self.wait_for("stderr", &self.stderr, text);
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Whether it ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for its end, and for the end of its output.
    pub fn wait(mut self) -> Outcome {
        if let Input::Pipe(_) = self.input {
            self.input = Input::Closed;
        }
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if self.started.elapsed() > self.timeout {
                self.fail(&format!("still ran after {:?}", self.timeout));
            }
            thread::sleep(LOOK);
        };
        let elapsed = self.started.elapsed();
        if !(self.stdout.wait_closed(LINGER) && self.stderr.wait_closed(LINGER)) {
            self.fail(&format!("ended ({status}), but left a process behind that holds its output"));
        }
        self.ended = true;
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        Outcome { status, stdout, stderr, elapsed, line: self.line.clone() }
    }

    fn wait_for(&self, name: &str, stream: &Stream, text: &str) {
        let left = self.timeout.saturating_sub(self.started.elapsed());
        if !stream.wait_for(text.as_bytes(), left) {
            self.fail(&format!("never wrote {text:?} to {name}"));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{} {what}\n--- stdout\n{}\n--- stderr\n{}", self.line, self.stdout(), self.stderr());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // The leader may have ended already while others of its group have not.
            let _ = kill_process_group(self.pid(), Signal::KILL);
            drop(self.child.wait());
        }
    }
}

/// What a program wrote, while a thread of its own goes on reading.
#[derive(Clone, Default)]
pub struct Stream(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Stream {
    /// Reads to the end, in the background.
    pub(super) fn read(mut source: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let filled = stream.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            // A terminal reports its last user's end as an error.
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                filled.state().bytes.extend_from_slice(&buffer[..length]);
                filled.0.1.notify_all();
            }
            filled.state().closed = true;
            filled.0.1.notify_all();
        });
        stream
    }

    /// One that is closed from the start.
    pub(super) fn empty() -> Self {
        Self::read(std::io::empty())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    fn wait_closed(&self, limit: Duration) -> bool {
        self.wait_while(limit, |state| !state.closed).closed
    }

    fn wait_for(&self, text: &[u8], limit: Duration) -> bool {
        let found = |state: &State| state.bytes.windows(text.len().max(1)).any(|part| part == text);
        let state = self.wait_while(limit, |state| !found(state) && !state.closed);
        found(&state)
    }

    fn wait_while(&self, limit: Duration, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.0.1.wait_timeout_while(self.state(), limit, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What came of a program. Its text form is all of it, for snapshots.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub elapsed: Duration,
    line: String,
}

impl Outcome {
    /// The exit code; none where a signal ended the process itself.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Fails the test, and shows everything, unless the exit code is this one.
    #[track_caller]
    pub fn assert_code(self, expected: i32) -> Self {
        assert_eq!(self.code(), Some(expected), "{} took {:?}\n{self}", self.line, self.elapsed);
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => writeln!(formatter, "exit code {code}")?,
            (None, signal) => writeln!(formatter, "ended by signal {}", signal.unwrap_or_default())?,
        }
        for (name, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            write!(formatter, "--- {name}\n{text}{end}")?;
        }
        Ok(())
    }
}
