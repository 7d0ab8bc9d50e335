//! Live lines on a terminal's standard error: one per sidecar, redrawn while the launch waits, gone when the harness
//! starts but for one line. What must stay is written above them.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;

use self::board::Board;
use self::progress::Progress;
use super::plain::{PlainSink, Verbosity};
use crate::event::{Event, Sink};
use crate::report::error::Code;

mod board;
mod progress;

/// Between two drawings, and before the first: a launch that takes less shows its last line only.
const REDRAW: Duration = Duration::from_millis(100);

/// Draws live lines.
pub struct LiveSink {
    plain: PlainSink,
    verbosity: Verbosity,
    shared: Arc<Mutex<Shared>>,
    drawing: Option<Drawing>,
}

/// What the thread that redraws works with.
struct Shared {
    progress: Progress,
    board: Board,
}

/// The thread that redraws. It ends when `stop` is dropped.
struct Drawing {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl LiveSink {
    /// Whether a terminal can show live lines: one that moves its cursor.
    #[must_use]
    pub fn is_possible() -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        !dumb && Term::stderr().is_term()
    }

    /// A sink of this verbosity; lines that stay are coloured or not.
    #[must_use]
    pub fn new(verbosity: Verbosity, color: bool) -> Self {
        let shared = Shared { progress: Progress::default(), board: Board::stderr() };
        let plain = PlainSink::new(verbosity, color);
        Self { plain, verbosity, shared: Arc::new(Mutex::new(shared)), drawing: None }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what stays, above the lines.
    fn keep(&mut self, event: &Event<'_>) {
        if let Some(text) = self.plain.text(event) {
            // A closed standard error must not end a launch.
            let _ = self.shared().board.keep(&text);
        }
    }

    /// Takes the lines away for good; the thread has ended then.
    fn clear(&mut self) {
        if let Some(Drawing { stop, thread }) = self.drawing.take() {
            drop(stop);
            let _ = thread.join();
            let _ = self.shared().board.clear();
        }
    }

    fn summary(&mut self, at: Duration) {
        let mut shared = self.shared();
        let summary = shared.progress.summary(at, shared.board.columns());
        let _ = shared.board.keep(&format!("{summary}\n"));
    }
}

impl Drop for LiveSink {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Sink for LiveSink {
    fn event(&mut self, at: Duration, event: &Event<'_>) {
        self.shared().progress.note(at, event);
        match event {
            Event::Planned(_) | Event::WaitingForLaunch { .. } if self.drawing.is_none() => {
                self.drawing = draw(&self.shared, at);
            }
            Event::AllReady => {
                self.clear();
                self.summary(at);
            }
            Event::NotReady(_) | Event::HarnessStarting => {
                self.clear();
                self.keep(event);
            }
            Event::Problem(problem) => {
                // Nothing that stands against a launch comes before its end, and an interrupt is one.
                if problem.is_error() || problem.code == Code::Interrupted {
                    self.clear();
                }
                self.keep(event);
            }
            Event::SidecarEnded(_)
            | Event::HarnessEnded { .. }
            | Event::WaitingForNetwork { .. }
            | Event::Reachable { .. } => {
                self.keep(event);
            }
            Event::Answered { .. } | Event::Traced { .. } | Event::Used { .. }
                if self.verbosity > Verbosity::Normal =>
            {
                self.keep(event);
            }
            _ => {}
        }
        if let Event::Planned(plan) = event
            && plan.is_about_data()
        {
            self.keep(event);
        }
    }
}

/// Starts the thread; `begun` is the time since the launch began.
fn draw(shared: &Arc<Mutex<Shared>>, begun: Duration) -> Option<Drawing> {
    let (stop, stopped) = channel::<()>();
    let (shared, since) = (Arc::clone(shared), Instant::now());
    let thread = std::thread::Builder::new().name("live-lines".to_owned()).spawn(move || {
        while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (columns, rows) = (shared.board.columns(), shared.board.rows());
            let lines = shared.progress.lines(begun + since.elapsed(), columns, rows);
            let _ = shared.board.draw(&lines);
        }
    });
    Some(Drawing { stop, thread: thread.ok()? })
}

/// What live lines say of an event holds nothing that a terminal would act on, and is no wider than the terminal.
#[cfg(any(test, fuzzing))]
pub(super) fn assert_lines(event: &Event<'_>) {
    for columns in [10, 40, 80] {
        let mut progress = Progress::default();
        progress.note(Duration::ZERO, event);
        let now = Duration::from_secs(4);
        for line in progress.lines(now, columns, 24).iter().chain([&progress.summary(now, columns)]) {
            assert!(console::measure_text_width(line) <= columns, "{line:?}");
            crate::fuzzing::assert_shown(line);
        }
    }
}
