//! How a sidecar ended while the harness ran.

use super::cause::Cause;

/// A sidecar that ended while the harness ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarEnd {
    /// Its name.
    pub sidecar: String,
    /// Its container's name.
    pub container: String,
    /// Its exit code; `None` if the container is gone, or runs again already.
    pub exit_code: Option<i64>,
    /// The signal that ended it, as far as the exit code tells: `SIGKILL`.
    pub signal: Option<String>,
    /// Whether it runs again.
    pub runs_again: bool,
    /// Whether another farrier command stopped it: `farrier down --force`.
    pub by_farrier: bool,
    /// Why it ended; `None` if the engine did not tell.
    pub cause: Option<Cause>,
    /// Its newest log lines, the oldest first, shortened.
    pub log: Vec<String>,
}

impl SidecarEnd {
    /// Everything in one sentence, which may hold text of others.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!("{} ended while the harness ran", self.sidecar);
        match (&self.cause, self.exit_code) {
            _ if self.by_farrier => text.push_str(": another farrier command stopped it"),
            (Some(cause @ Cause::Exited { .. }), _) | (Some(cause), None) => {
                text.push_str(&format!(": {}", cause.sentence()));
            }
            (Some(cause), Some(code)) => text.push_str(&format!(": {} (exit code {code})", cause.sentence())),
            (None, Some(code)) => text.push_str(&format!(" (exit code {code})")),
            (None, None) => {}
        }
        if self.runs_again {
            text.push_str("; it is running again");
        }
        if let Some(words) = self.log.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()) {
            text.push_str(&format!("; last log line: {}", shortened(words, 200)));
        }
        text
    }
}

/// The text, cut to so many characters.
#[must_use]
pub fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
