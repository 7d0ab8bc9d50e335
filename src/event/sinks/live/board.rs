//! Lines at the end of what a terminal shows, drawn over and taken away again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use console::{Term, measure_text_width};

use crate::system::job_control::has_terminal;

/// Where live lines are drawn. Its cursor stays on the line below them, so that what the terminal itself echoes
/// (`^C`) stands there and goes with them.
pub(super) struct Board {
    term: Term,
    /// How wide each drawn line is.
    drawn: Vec<usize>,
    /// Whether farrier was continued after a stop: others have written to the terminal since.
    was_continued: Arc<AtomicBool>,
}

impl Board {
    /// An empty one on standard error.
    pub(super) fn stderr() -> Self {
        let was_continued = Arc::default();
        // Without it, lines that were drawn before a stop are taken away where they no longer stand.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGCONT, Arc::clone(&was_continued));
        Self { term: Term::buffered_stderr(), drawn: Vec::new(), was_continued }
    }

    /// Columns that a line may take, now: a terminal may be resized at any moment. The last one stays free, since
    /// some terminals wrap there.
    pub(super) fn columns(&self) -> usize {
        usize::from(self.term.size().1).saturating_sub(1).max(10)
    }

    /// Lines that there is room for, beside the cursor's.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.term.size().0).saturating_sub(1).max(1)
    }

    /// Draws these instead of the ones before, unless the terminal is another job's now.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        self.take_away()?;
        if is_of_others() {
            return Ok(());
        }
        for line in lines {
            self.term.write_line(line)?;
        }
        self.drawn = lines.iter().map(|line| measure_text_width(line)).collect();
        self.term.flush()
    }

    /// Writes text that stays where the lines were; they are gone until they are drawn again.
    pub(super) fn keep(&mut self, text: &str) -> io::Result<()> {
        self.take_away()?;
        self.term.write_str(text)?;
        self.term.flush()
    }

    /// Takes the lines away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.take_away()?;
        self.term.flush()
    }

    fn take_away(&mut self) -> io::Result<()> {
        // The shell wrote below lines of a job that it stopped or sent to the background; they stay where they are.
        if self.was_continued.swap(false, Ordering::Relaxed) || is_of_others() {
            self.drawn.clear();
        }
        if self.drawn.is_empty() {
            return Ok(());
        }
        let columns = usize::from(self.term.size().1).max(1);
        // What was drawn on a wider terminal has wrapped.
        let rows = self.drawn.drain(..).map(|width| width.div_ceil(columns).max(1)).sum();
        self.term.clear_line()?;
        self.term.clear_last_lines(rows)
    }
}

/// Whether farrier runs in the background of its terminal.
fn is_of_others() -> bool {
    has_terminal(io::stderr()) == Some(false)
}
