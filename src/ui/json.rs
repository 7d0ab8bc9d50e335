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
        // In one piece: launches beside each other may write to one file. A full disk must not end a launch.
        let _ = self.0.write_all((line(at, event) + "\n").as_bytes());
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
        let mut sink = JsonSink(Box::new(Pieces(Arc::clone(&pieces))));
        for _ in 0..2 {
            sink.event(Duration::ZERO, &Event::NetworkCreated("net"));
        }
        let pieces = pieces.lock().expect("pieces");
        assert_eq!(pieces.len(), 2);
        assert!(pieces.iter().all(|piece| piece.ends_with(b"}\n")));
    }
}
