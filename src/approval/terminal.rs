//! Asking a person: on the controlling terminal, never on standard input, which may be anybody's.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{QueueSelector, tcflush, tcgetwinsize};

/// Where the controlling terminal of a process is found.
const TERMINAL: &str = "/dev/tty";
/// Longer answers are no.
const LONGEST_ANSWER: u64 = 4096;
/// The width where the terminal does not tell.
const COLUMNS: usize = 80;

/// The controlling terminal.
pub struct Terminal(File);

impl Terminal {
    /// Opens it; fails where this process has none.
    ///
    /// # Errors
    /// As the operating system has it.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(TERMINAL).map(Self)
    }

    /// How many columns it has.
    #[must_use]
    pub fn columns(&self) -> usize {
        let size = tcgetwinsize(&self.0).map(|size| usize::from(size.ws_col)).unwrap_or_default();
        if size == 0 { COLUMNS } else { size }
    }

    /// Writes a text and a prompt, at whose end the answer is typed, and reads a line; none where the input ended.
    /// What was typed before the prompt is no answer.
    ///
    /// # Errors
    /// As the operating system has it.
    pub fn ask(&self, text: &str, prompt: &str) -> io::Result<Option<String>> {
        let mut terminal = &self.0;
        terminal.write_all(text.as_bytes())?;
        tcflush(&self.0, QueueSelector::IFlush)?;
        terminal.write_all(prompt.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        let mut input = terminal.take(LONGEST_ANSWER);
        loop {
            match input.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte == *b"\n" => {
                    return Ok(String::from_utf8(answer).ok().map(|answer| answer.trim().to_owned()));
                }
                Ok(_) => answer.extend_from_slice(&byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Ctrl-D leaves the cursor where it was.
        terminal.write_all(b"\n")?;
        Ok(None)
    }
}
