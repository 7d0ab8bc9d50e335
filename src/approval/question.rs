//! The text of a question: a statement as lines of a terminal that nothing in a definition can forge.

use std::fmt::Write;

use super::statement::Statement;
use crate::definition::escape;

/// How many changed lines are named at once.
const MOST_CHANGES: usize = 10;

/// What is asked about one sidecar.
#[derive(Clone, Debug)]
pub struct Question {
    /// The sidecar.
    pub name: String,
    /// The workspace.
    pub workspace: String,
    /// What it does with the sidecar: `declares` or `disables`.
    pub verb: &'static str,
    /// The definition's file.
    pub file: String,
    /// What would be approved.
    pub hash: String,
    /// What would be started.
    pub statement: Statement,
    /// An earlier approval, of what is not the same any more.
    pub earlier: Option<Earlier>,
}

/// An approval of another state of the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// When.
    pub approved_at: String,
    /// Which lines changed; empty where the difference is in nothing that is shown.
    pub changes: Vec<String>,
}

impl Earlier {
    /// What changed, in one clause.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.changes.as_slice() {
            [] => "something that farrier does not use".to_owned(),
            changes if changes.len() <= MOST_CHANGES => changes.join(", "),
            changes => {
                let more = changes.len() - MOST_CHANGES;
                format!("{} and {more} more", changes[..MOST_CHANGES].join(", "))
            }
        }
    }
}

impl Question {
    /// Everything that would be started, for a terminal of this width; lines that changed are marked.
    #[must_use]
    pub fn statement(&self, columns: usize) -> String {
        let declared = format!(
            "The workspace {} {} the sidecar `{}` in {}.",
            self.workspace, self.verb, self.name, self.file
        );
        let mut text = format!("{}\n", wrapped(&declared, columns));
        match &self.earlier {
            None => text.push_str("Nobody has approved it. It is:\n"),
            Some(earlier) => {
                let (approved_at, changes) = (&earlier.approved_at, earlier.in_words());
                let told =
                    format!("It has changed since it was approved on {approved_at}: {changes}. It is now:");
                let _ = writeln!(text, "{}", wrapped(&told, columns));
            }
        }
        let lines = &self.statement.lines;
        let width = lines.iter().map(|line| cells(&escape(&line.label))).max().unwrap_or(0).min(24);
        for line in lines {
            let changed = self.earlier.as_ref().is_some_and(|earlier| earlier.changes.contains(&line.label));
            let label = escape(&line.label);
            let gap = " ".repeat(width.saturating_sub(cells(&label)));
            let mark = if changed { '*' } else { ' ' };
            let _ = writeln!(
                text,
                "{}",
                wrapped(&format!("{mark} {label}{gap}  {}", escape(&line.text)), columns)
            );
        }
        let _ = writeln!(text, "  hash  {}", self.hash);
        text
    }

    /// Whether an answer is yes. What gets the engine's socket wants its name.
    #[must_use]
    pub fn is_yes(&self, answer: &str) -> bool {
        if self.statement.has_socket {
            answer == self.name
        } else {
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
        }
    }

    /// The line at whose end the answer is typed.
    #[must_use]
    pub fn prompt(&self) -> String {
        let name = escape(&self.name);
        if self.statement.has_socket {
            format!("It would control this machine. To approve it, type its name, {name}: ")
        } else {
            format!("Approve `{name}` until any of this changes? [y/N] ")
        }
    }
}

/// How many columns a text takes at most: what is not ASCII may be twice as wide.
fn cells(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

/// Escapes a line, and breaks it before the terminal does, so that no content stands at the beginning of a line.
fn wrapped(line: &str, columns: usize) -> String {
    const FURTHER: &str = "\n  |     ";
    let columns = columns.max(20);
    let (mut text, mut used) = (String::new(), 0);
    for character in escape(line).chars() {
        let width = if character.is_ascii() { 1 } else { 2 };
        if used + width >= columns {
            text.push_str(FURTHER);
            used = FURTHER.len() - 1;
        }
        text.push(character);
        used += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::statement::{Kept, Line};

    fn question(value: &str, has_socket: bool) -> Question {
        let line =
            |label: &str, text: &str| Line { label: label.into(), text: text.into(), kept: Kept::Words };
        Question {
            name: "db".into(),
            workspace: "/w".into(),
            verb: "declares",
            file: "/w/db.toml".into(),
            hash: "a".repeat(64),
            statement: Statement { lines: vec![line("image", "x"), line("env A", value)], has_socket },
            earlier: None,
        }
    }

    #[test]
    fn no_content_begins_a_line_or_moves_the_cursor() {
        let hostile = format!("\x1b[2J\u{202e}\n  image  good\r{}image  good", " ".repeat(200));
        let plain = question(&hostile, false);
        let earlier = Earlier { approved_at: hostile.clone(), changes: vec![hostile.clone()] };
        let changed = Question { earlier: Some(earlier), file: hostile.clone(), ..plain.clone() };
        for text in [plain.statement(40), changed.statement(40)] {
            assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text}");
            for line in text.lines().filter(|line| !line.starts_with("  hash  ")) {
                assert!(line.len() < 40, "{line}");
                let ours = ["The workspace", "Nobody", "It has changed", "  image", "  env A", "  |     "];
                assert!(ours.iter().any(|begin| line.starts_with(begin)), "{line}");
            }
            assert_eq!(text.lines().filter(|line| line.starts_with("  image")).count(), 1, "{text}");
        }
    }

    #[test]
    fn only_a_clear_yes_is_yes() {
        for (answer, plain, socket) in [
            ("y", true, false),
            ("Y", true, false),
            ("yes", true, false),
            ("YES", true, false),
            ("", false, false),
            ("n", false, false),
            ("yess", false, false),
            ("db", false, true),
            ("DB", false, false),
        ] {
            assert_eq!(question("", false).is_yes(answer), plain, "{answer}");
            assert_eq!(question("", true).is_yes(answer), socket, "{answer}");
        }
    }
}
