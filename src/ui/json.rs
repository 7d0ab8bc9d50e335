//! Events as newline-delimited JSON.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::definition::escape_json;
use crate::elapsed::milliseconds;
use crate::event::record::Line;
use crate::event::{Event, SCHEMA, Sink};

/// Writes each event as one line.
pub struct JsonSink(Box<dyn Write + Send>);

impl JsonSink {
    /// Appends to a file; `-` is standard error.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self(Box::new(io::stderr())));
        }
        Ok(Self(Box::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }
}

impl Sink for JsonSink {
    fn event(&mut self, at: Duration, event: &Event<'_>) {
        // A full disk must not end a launch.
        let _ = writeln!(self.0, "{}", line(at, event));
    }
}

/// An event as a line, without its end.
pub(super) fn line(at: Duration, event: &Event<'_>) -> String {
    let line = Line { schema: SCHEMA, at_ms: milliseconds(at), record: event.into() };
    serde_json::to_string(&line).map(|line| escape_json(&line)).unwrap_or_default()
}
