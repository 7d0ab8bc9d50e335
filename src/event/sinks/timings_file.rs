//! Where the start-up went, in a file: written when all are ready, and after each failure.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use crate::event::timings::history::History;
use crate::event::timings::{Timings, page, trace_events};
use crate::event::{Event, Sink};
use crate::report::error::{Code, Problem};
use crate::system::process_limits;

/// What the file has.
#[derive(Debug)]
pub enum Form {
    /// A page for a browser, beside the launches of this history.
    Page(Option<History>),
    /// Trace events.
    Trace,
}

/// Keeps the times of one launch in a file.
pub struct TimingsFile {
    path: PathBuf,
    form: Form,
    timings: Timings,
    lost: Option<Problem>,
}

impl TimingsFile {
    /// Makes sure that the file can be written; what it has stays until something is known.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn open(path: &Path, form: Form) -> io::Result<Self> {
        open(path)?;
        Ok(Self { path: path.to_owned(), form, timings: Timings::default(), lost: None })
    }

    fn write(&self, now: Duration) -> io::Result<()> {
        let text = match &self.form {
            Form::Page(history) => {
                page::page(&self.timings, &history.as_ref().map(History::past).unwrap_or_default(), now)
            }
            Form::Trace => trace_events::trace(&self.timings, now),
        };
        let mut file = open(&self.path)?;
        file.set_len(0)?;
        file.write_all(text.as_bytes())
    }
}

/// A new file is this user's alone: it has names and answers of what somebody works on. Only a regular one can be written
/// again.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

impl Sink for TimingsFile {
    fn event(&mut self, at: Duration, event: &Event<'_>) {
        self.timings.note(at, event);
        let is_due = match event {
            Event::AllReady | Event::NotReady(_) => true,
            // Of a launch that ended early, what is known by then.
            Event::Problem(problem) => problem.is_error() && self.timings.all_ready.is_none(),
            _ => false,
        };
        if !is_due || self.timings.sidecars.is_empty() {
            return;
        }
        if let Err(error) = self.write(at) {
            let reason = process_limits::reason(&error).unwrap_or_else(|| error.to_string());
            let message = format!("cannot write {}: {reason}", self.path.display());
            self.lost =
                Some(Problem::warning(Code::StateUnusable, message).hint("The launch continues without it."));
        }
    }

    fn lost(&mut self) -> Option<Problem> {
        self.lost.take()
    }
}
