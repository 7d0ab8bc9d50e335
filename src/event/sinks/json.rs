//! Events as newline-delimited JSON.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::event_file::EventFile;
use crate::event::record::Line;
use crate::event::{Event, SCHEMA, Sink};
use crate::report::elapsed::milliseconds;
use crate::report::error::{Code, Problem};
use crate::report::escape::escape_json;
use crate::system::process_limits;

/// Writes each event as one line.
pub struct JsonSink {
    /// Gone after the first line that could not be written.
    output: Option<Box<dyn Write + Send>>,
    lost: Option<Problem>,
}

impl JsonSink {
    /// Appends to a file; `-` is standard error.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let output: Box<dyn Write + Send> =
            if path == Path::new("-") { Box::new(io::stderr()) } else { Box::new(EventFile::open(path)?) };
        Ok(Self { output: Some(output), lost: None })
    }
}

impl Sink for JsonSink {
    fn event(&mut self, at: Duration, event: &Event<'_>) {
        let Some(output) = &mut self.output else { return };
        // In one piece: launches beside each other may write to one file.
        let written = output.write_all((line(at, event) + "\n").as_bytes());
        // Others may want to see it before the harness runs, which may take hours.
        let is_last = matches!(event, Event::HarnessStarting);
        let written = written.and_then(|()| if is_last { output.flush() } else { Ok(()) });
        // A full disk must not end a launch; a reader that left knows about it.
        if let Err(error) = written {
            self.output = None;
            if error.kind() != io::ErrorKind::BrokenPipe {
                let reason = process_limits::reason(&error).unwrap_or_else(|| error.to_string());
                let message = format!("events are no longer written: {reason}");
                let hint = "The launch continues. Free disk space for the events, or read them while they are written.";
                self.lost = Some(Problem::warning(Code::StateUnusable, message).hint(hint));
            }
        }
    }

    fn lost(&mut self) -> Option<Problem> {
        self.lost.take()
    }
}

impl Drop for JsonSink {
    fn drop(&mut self) {
        let _ = self.output.as_mut().map(Write::flush);
    }
}

/// An event as a line, without its end.
pub(super) fn line(at: Duration, event: &Event<'_>) -> String {
    let line = Line { schema: SCHEMA, at_ms: milliseconds(at), record: event.into() };
    serde_json::to_string(&line).map(|line| escape_json(&line)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("pieces").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_written_in_one_piece_so_that_launches_may_share_a_file() {
        let pieces = Arc::default();
        let mut sink = JsonSink { output: Some(Box::new(Pieces(Arc::clone(&pieces)))), lost: None };
        for _ in 0..2 {
            sink.event(Duration::ZERO, &Event::NetworkCreated("net"));
        }
        let pieces = pieces.lock().expect("pieces");
        assert_eq!(pieces.len(), 2);
        assert!(pieces.iter().all(|piece| piece.ends_with(b"}\n")));
    }
}
