//! The log of one run as numbered lines, read as a stream: bounded in memory, not in lines.
//!
//! The stream stays open from poll to poll, so that the engine reads its files once. Of what came, a window is kept that
//! moves on as the reader does: a reader that was cut short finds the same lines again.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::limits::{LOG_LINE_BYTES, LOG_PAGE_BYTES, LOG_PAGE_LINES};
use crate::engine::{EngineResult, Logs, OutputRequest, Written};

/// How long after a line another one is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// One run's log.
#[derive(Default)]
pub struct NumberedLog(Mutex<Option<Window>>);

/// Lines of a stream that is read on.
struct Window {
    stream: BoxStream<'static, EngineResult<Written>>,
    has_begun: bool,
    has_ended: bool,
    /// The number of the first line.
    first: u64,
    lines: VecDeque<String>,
    /// What the lines take.
    bytes: usize,
    /// Lines whose end has not come yet, of standard output and of standard error.
    unfinished: [Unfinished; 2],
}

#[derive(Default)]
struct Unfinished {
    bytes: Vec<u8>,
    /// It had reached its limit and was taken; the rest is left out.
    is_cut: bool,
}

impl NumberedLog {
    /// The lines from number `first` on, at most `most` of them, as far as they come within `limit`; none if the container
    /// has not written so far yet. Lines that have passed are read from a new stream.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn read(
        &self,
        logs: &dyn Logs,
        (instance, since): (&str, &str),
        first: u64,
        most: usize,
        limit: Duration,
    ) -> EngineResult<Vec<String>> {
        let until = Instant::now() + limit;
        let mut kept = self.0.lock().await;
        let window = match &mut *kept {
            Some(window) if window.first <= first => window,
            other => {
                let request = OutputRequest { since: since.to_owned(), lines: None, follow: true };
                let Ok(stream) = timeout_at(until, logs.output(instance, &request)).await else {
                    return Ok(Vec::new());
                };
                other.insert(Window::of(stream?))
            }
        };
        let filled = window.fill(first, until).await;
        let lines = window.page(most);
        // A stream that ended or failed is opened again for what follows: the engine may have restarted.
        if filled.is_err() || (window.has_ended && lines.is_empty()) {
            *kept = None;
        }
        filled.map(|()| lines)
    }
}

impl Window {
    fn of(stream: BoxStream<'static, EngineResult<Written>>) -> Self {
        Self {
            stream,
            has_begun: false,
            has_ended: false,
            first: 0,
            lines: VecDeque::new(),
            bytes: 0,
            unfinished: Default::default(),
        }
    }

    /// Moves on to the line `first`, and reads until a page is full or nothing more comes.
    async fn fill(&mut self, first: u64, until: Instant) -> EngineResult<()> {
        loop {
            self.forget_before(first);
            let is_full = self.bytes >= LOG_PAGE_BYTES || self.lines.len() >= LOG_PAGE_LINES;
            // Asked here too: a stream that always has something is never waited for.
            let now = Instant::now();
            if is_full || self.has_ended || now >= until {
                return Ok(());
            }
            let patience = if self.has_begun { until.min(now + PAUSE) } else { until };
            match timeout_at(patience, self.stream.next()).await {
                Ok(Some(written)) => self.take(&written?),
                Ok(None) => self.has_ended = true,
                Err(_) => return Ok(()),
            }
        }
    }

    fn forget_before(&mut self, first: u64) {
        while self.first < first {
            let Some(line) = self.lines.pop_front() else { return };
            self.bytes -= line.len();
            self.first += 1;
        }
    }

    /// Takes in what was written at once, which is mostly one line.
    fn take(&mut self, written: &Written) {
        self.has_begun = true;
        let unfinished = &mut self.unfinished[usize::from(written.is_error)];
        for piece in written.bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let ends = text.len() < piece.len();
            if !unfinished.is_cut {
                let room = LOG_LINE_BYTES - unfinished.bytes.len();
                unfinished.bytes.extend(text.iter().take(room));
                if ends || text.len() > room {
                    let bytes = std::mem::take(&mut unfinished.bytes);
                    let line =
                        String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
                    self.bytes += line.len();
                    self.lines.push_back(line);
                }
                unfinished.is_cut = text.len() > room;
            }
            unfinished.is_cut &= !ends;
        }
    }

    /// What is given out at once. The lines stay until the next ones are asked for.
    fn page(&self, most: usize) -> Vec<String> {
        let mut bytes = 0;
        let within = |line: &&String| {
            let has_room = bytes < LOG_PAGE_BYTES;
            bytes += line.len();
            has_room
        };
        self.lines.iter().take(most.min(LOG_PAGE_LINES)).take_while(within).cloned().collect()
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn window() -> Window {
        Window::of(futures_util::stream::pending().boxed())
    }

    fn write(window: &mut Window, is_error: bool, text: &str) -> Vec<String> {
        let before = window.lines.len();
        window.take(&Written { is_error, at: Timestamp::UNIX_EPOCH, bytes: text.as_bytes().to_vec() });
        window.lines.iter().skip(before).cloned().collect()
    }

    #[test]
    fn lines_are_put_together_by_stream_and_cut() {
        let mut window = window();
        let long = "x".repeat(LOG_LINE_BYTES);
        let rows: [(bool, &str, &[&str]); 10] = [
            (false, "one\n", &["one"]),
            (false, "tw", &[]),
            (true, "error\r\n", &["error"]),
            (false, "o\nthree\n\n", &["two", "three", ""]),
            (false, &long, &[]),
            (false, "y", &[&long]),
            (false, &long, &[]),
            (false, "rest\nnext\n", &["next"]),
            (false, &format!("{long}\n"), &[&long]),
            (false, &format!("{long}y\nz\n"), &[&long, "z"]),
        ];
        for (is_error, text, expected) in rows {
            let found = write(&mut window, is_error, text);
            assert!(found == expected, "{} bytes: {:?}", text.len(), found.iter().map(String::len));
        }
    }

    #[test]
    fn the_window_moves_on_with_its_reader() {
        let mut window = window();
        write(&mut window, false, "0\n1\n2\n3\n");
        assert_eq!(window.page(2), ["0", "1"]);
        assert_eq!(window.page(9), ["0", "1", "2", "3"], "they stay until the next are asked for");
        window.forget_before(3);
        assert_eq!((window.page(9), window.bytes), (vec!["3".to_owned()], 1));
        window.forget_before(9);
        assert_eq!((window.first, window.bytes), (4, 0), "it does not run ahead of what was written");
    }

    #[tokio::test]
    async fn a_flood_is_kept_up_to_a_page_and_read_for_a_while() {
        let flood = |text: String| {
            let written = Written { is_error: false, at: Timestamp::UNIX_EPOCH, bytes: text.into_bytes() };
            Window::of(futures_util::stream::repeat_with(move || Ok(written.clone())).boxed())
        };
        let far = || Instant::now() + Duration::from_secs(60);
        for first in [0, 5_000] {
            let mut window = flood(format!("{}\n", "x".repeat(1_000)));
            window.fill(first, far()).await.expect("lines");
            assert_eq!(window.first, first);
            assert!((LOG_PAGE_BYTES..LOG_PAGE_BYTES + 1_000).contains(&window.bytes), "{}", window.bytes);
        }
        let mut empty = flood("\n".to_owned());
        empty.fill(0, far()).await.expect("lines");
        assert_eq!(empty.lines.len(), LOG_PAGE_LINES, "empty lines take room too");
        let mut endless = flood("x".repeat(1_000));
        endless.fill(0, Instant::now() + Duration::from_millis(20)).await.expect("its time ends it");
        assert!(endless.bytes <= LOG_LINE_BYTES && endless.unfinished[0].bytes.len() <= LOG_LINE_BYTES);
    }
}
