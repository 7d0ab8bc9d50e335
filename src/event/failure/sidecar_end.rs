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
        if self.cause == Some(Cause::StoppedByOthers) {
            // What its program said last is not why, and whoever removes it at that moment takes the log away.
            return text;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_told_only_of_a_program_that_ended_by_itself() {
        let end = |by_farrier, cause| SidecarEnd {
            sidecar: "db".to_owned(),
            container: "farrier-db".to_owned(),
            exit_code: None,
            signal: None,
            runs_again: false,
            by_farrier,
            cause,
            log: vec!["last words".to_owned(), " ".to_owned()],
        };
        let ended = |end: SidecarEnd| end.sentence().replace("db ended while the harness ran", "…");
        assert_eq!(ended(end(true, Some(Cause::StoppedByOthers))), "…: another farrier command stopped it");
        let by_somebody = ended(end(false, Some(Cause::StoppedByOthers)));
        assert!(!by_somebody.contains("last log line"), "{by_somebody}");
        assert_eq!(
            ended(end(false, Some(Cause::Exited { code: 3 }))),
            "…: its program ended with exit code 3; last log line: last words"
        );
    }
}
