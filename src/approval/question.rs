//! The text of a question: a statement as lines of a terminal that nothing in a definition can forge.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::fitting::{DIGITS, cells, shortened, wrapped};
use super::statement::{Change, Kept, Statement};
use crate::definition::Rank;
use crate::probe::denial::Denied;
use crate::report::escape::escape;

/// How many changed lines are named at once.
const MOST_CHANGES: usize = 10;
/// The most rows that a statement takes: with what stands around it, two screens of 24 lines.
const MOST_ROWS: usize = 36;
/// The most columns of a value before it is shortened.
const LONGEST_VALUE: usize = 240;
/// The most columns of a path before it is shortened.
const LONGEST_PATH: usize = 160;
/// The most columns of a label before it is shortened.
const LONGEST_LABEL: usize = 48;
/// Stands between a yes and the grants that it denies.
const WITHOUT: &str = " without ";
/// Answers that are typed to any question.
const REFLEXES: [&str; 18] = [
    "y", "ye", "yes", "yeah", "yep", "n", "no", "ok", "okay", "j", "ja", "o", "oui", "s", "si", "d", "da",
    "true",
];

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
    /// The command that prints all of it.
    pub command: String,
    /// What would be started.
    pub statement: Statement,
    /// The names of the grants that can be denied alone.
    pub grants: Vec<String>,
    /// An earlier approval, of what is not the same any more.
    pub earlier: Option<Earlier>,
}

/// An approval of another state of the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// When.
    pub approved_at: String,
    /// The other worktree in which it was approved; `None` if it was in this workspace.
    pub worktree: Option<String>,
    /// The names of the grants that were denied then.
    pub denied: Vec<String>,
    /// Which lines changed; empty where the difference is in nothing that is shown.
    pub changes: Vec<Change>,
}

/// A line of a question: what it does to what was approved, what it is about, and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    mark: char,
    label: String,
    text: String,
}

impl Earlier {
    /// What changed, in one clause.
    #[must_use]
    pub fn in_words(&self) -> String {
        let named =
            self.changes.iter().take(MOST_CHANGES).map(|change| shortened(&change.label, LONGEST_LABEL));
        let named = named.collect::<Vec<_>>().join(", ");
        match self.changes.len() {
            0 => "something that farrier does not use".to_owned(),
            count if count <= MOST_CHANGES => named,
            count => format!("{named} and {} more", count - MOST_CHANGES),
        }
    }
}

impl Question {
    /// What would be started, for a terminal of this width, on one or two screens: what gives it power first, long
    /// values shortened. Of what was approved before, only what changed, as it was and as it is.
    #[must_use]
    pub fn statement(&self, columns: usize) -> String {
        let path = |path: &str| shortened(path, LONGEST_PATH);
        let (workspace, name, file) = (path(&self.workspace), path(&self.name), path(&self.file));
        let declared = format!("The workspace {workspace} {} the sidecar `{name}` in {file}.", self.verb);
        let mut text = format!("{}\n", wrapped(&declared, columns));
        match &self.earlier {
            None => text.push_str("You have not approved it yet:\n"),
            Some(earlier) => {
                let (approved_at, changes) = (path(&earlier.approved_at), earlier.in_words());
                let worktree = earlier.worktree.as_ref().map(|worktree| format!(" in {}", path(worktree)));
                let worktree = worktree.unwrap_or_default();
                let denied = shortened(&earlier.denied.join(", "), LONGEST_VALUE);
                let without = if denied.is_empty() { denied } else { format!(" without {denied}") };
                let told = format!(
                    "It has changed since it was approved on {approved_at}{worktree}{without}: {changes}."
                );
                let _ = writeln!(text, "{}", wrapped(&told, columns));
            }
        }
        let (rows, unchanged) = self.rows();
        let mut whole = write_rows(&rows, columns, &mut text);
        if unchanged > 0 {
            whole = false;
            let lines = if unchanged == 1 { "1 line is" } else { &format!("{unchanged} lines are") };
            let _ = writeln!(text, "{}", wrapped(&format!("  {lines} as approved."), columns));
        }
        if !self.grants.is_empty() {
            let grants = shortened(&self.grants.join(", "), LONGEST_VALUE);
            let answer = format!("{}{WITHOUT}", self.yes());
            let denying = format!("  To deny single grants, answer `{answer}GRANT, …`: {grants}");
            let _ = writeln!(text, "{}", wrapped(&denying, columns));
        }
        let _ = writeln!(text, "  hash  {}", self.hash);
        if !whole {
            let shown = format!("  Run `{}` to see all of it.", self.command);
            let _ = writeln!(text, "{}", wrapped(&shown, columns));
        }
        text
    }

    /// The lines to show, and how many are left out because they were approved.
    pub(super) fn rows(&self) -> (Vec<Row>, usize) {
        let changes = self.earlier.as_ref().map_or(&[] as &[_], |earlier| &earlier.changes);
        let (mut rows, mut unchanged) = (Vec::new(), 0);
        let mut row = |mark, label: &str, text: &Option<String>| {
            rows.extend(text.clone().map(|text| Row { mark, label: label.to_owned(), text }));
        };
        for line in &self.statement.lines {
            // What is of this moment was not approved, and nobody should have to remember what has power over the machine.
            let always = changes.is_empty() || line.kept == Kept::Nothing || line.rank == Rank::Machine;
            match changes.iter().find(|change| change.label == line.label) {
                Some(change) => {
                    row('-', &change.label, &change.approved);
                    row('+', &change.label, &change.now);
                }
                None if always => row(' ', &line.label, &Some(line.text.clone())),
                None => unchanged += 1,
            }
        }
        for change in changes.iter().filter(|change| change.now.is_none()) {
            row('-', &change.label, &change.approved);
        }
        (rows, unchanged)
    }

    /// What an answer approves: the denied grants, or `None` if it is no clear yes.
    ///
    /// # Errors
    /// A denied grant that the question does not have.
    pub fn denied_by(&self, answer: &str) -> Option<Result<Denied, String>> {
        let (yes, denied) = match answer.split_once(WITHOUT) {
            // A name may contain this word.
            Some(_) if self.is_yes(answer) => (answer, None),
            Some((yes, denied)) => (yes, Some(Denied::split(denied))),
            None => (answer, None),
        };
        // Whoever denies nothing behind the word has not finished the answer.
        if !self.is_yes(yes) || denied.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        Some(Denied::of(denied.unwrap_or_default(), &self.grants))
    }

    /// The shortest answer that is yes.
    fn yes(&self) -> String {
        if self.statement.controls_machine { self.confirmation() } else { "y".to_owned() }
    }

    /// Whether an answer is yes. What could control the machine wants its name.
    #[must_use]
    pub fn is_yes(&self, answer: &str) -> bool {
        if self.statement.controls_machine {
            answer == self.confirmation()
        } else {
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
        }
    }

    /// What has to be typed for what could control the machine: nothing that anybody types without reading.
    fn confirmation(&self) -> String {
        if REFLEXES.iter().any(|reflex| self.name.eq_ignore_ascii_case(reflex)) {
            format!("approve {}", self.name)
        } else {
            self.name.clone()
        }
    }

    /// The line at whose end the answer is typed.
    #[must_use]
    pub fn prompt(&self) -> String {
        if !self.statement.controls_machine {
            let name = shortened(&self.name, LONGEST_PATH);
            return format!("Approve `{name}` until any of this changes? [y/N] ");
        }
        // File systems keep names short, and all of it has to be typed.
        let wanted = escape(&self.confirmation());
        if self.confirmation() == self.name {
            format!("It would control this machine. To approve it, type its name, {wanted}: ")
        } else {
            format!("It would control this machine. To approve it, type `{wanted}`: ")
        }
    }
}

/// Appends the lines; false where something of them is left out.
fn write_rows(lines: &[Row], columns: usize, text: &mut String) -> bool {
    let labels: Vec<String> = lines.iter().map(|line| shortened(&line.label, LONGEST_LABEL)).collect();
    let width = labels.iter().map(|label| cells(label)).max().unwrap_or(0).min(24);
    let (mut rows, mut whole) = (0, true);
    for (at, (line, label)) in lines.iter().zip(&labels).enumerate() {
        let gap = " ".repeat(width.saturating_sub(cells(label)));
        let value = shortened(&line.text, LONGEST_VALUE);
        whole &= value == escape(&line.text) && *label == escape(&line.label);
        let row = wrapped(&format!("{} {label}{gap}  {value}", line.mark), columns);
        rows += row.lines().count();
        if rows > MOST_ROWS {
            let _ = writeln!(text, "{}", wrapped(&left_out(&lines[at..]), columns));
            return false;
        }
        let _ = writeln!(text, "{row}");
    }
    whole
}

/// The end of a statement that is too long, in one line.
fn left_out(lines: &[Row]) -> String {
    let mut hasher = Sha256::new();
    for line in lines {
        // Each with its length, so that no two run together into one.
        for part in [&String::from(line.mark), &line.label, &line.text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let digest = hex::encode(hasher.finalize());
    let count = lines.len();
    format!("  … and {count} more lines, sha256 {}…", &digest[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::statement::Line;

    fn question(value: &str, controls_machine: bool) -> Question {
        let line = |label: &str, text: &str| Line {
            label: label.into(),
            text: text.into(),
            kept: Kept::Words,
            rank: Rank::Usual,
        };
        Question {
            name: "db".into(),
            workspace: "/w".into(),
            verb: "declares",
            file: "/w/db.toml".into(),
            hash: "a".repeat(64),
            command: "farrier approve".into(),
            statement: Statement { lines: vec![line("image", "x"), line("env A", value)], controls_machine },
            grants: vec!["dial=self".into(), "exec=[\"a, b\"]".into(), "logs".into()],
            earlier: None,
        }
    }

    #[test]
    fn no_content_begins_a_line_or_moves_the_cursor() {
        let hostile = format!("\x1b[2J\u{202e}\n  image  good\r{}image  good", " ".repeat(200));
        let plain = question(&hostile, false);
        let change =
            Change { label: "env A".into(), approved: Some(hostile.clone()), now: Some(hostile.clone()) };
        let gone = Change { label: hostile.clone(), approved: Some(hostile.clone()), now: None };
        let worktree = Some(hostile.clone());
        let (approved_at, denied) = (hostile.clone(), vec![hostile.clone()]);
        let earlier = Earlier { approved_at, worktree, denied, changes: vec![change, gone] };
        let changed = Question {
            earlier: Some(earlier),
            file: hostile.clone(),
            grants: vec![hostile.clone()],
            ..plain.clone()
        };
        for text in [plain.statement(40), changed.statement(40)] {
            assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text}");
            for line in text.lines().filter(|line| !line.starts_with("  hash  ")) {
                assert!(cells(line) < 40, "{line}");
                let ours = [
                    "The workspace",
                    "You have not",
                    "It has changed",
                    "  image",
                    "  env A",
                    "- ",
                    "+ env A",
                    "  1 line is as approved.",
                    "  |     ",
                    "  Run `",
                    "  To deny single grants",
                ];
                assert!(ours.iter().any(|begin| line.starts_with(begin)), "{line}");
            }
        }
    }

    #[test]
    fn only_what_changed_is_asked_about() {
        let mut question = question("two", false);
        question.statement.lines.push(Line {
            label: "container".into(),
            text: "it is recreated".into(),
            kept: Kept::Nothing,
            rank: Rank::Container,
        });
        let change = |label: &str, approved: Option<&str>, now: Option<&str>| Change {
            label: label.into(),
            approved: approved.map(str::to_owned),
            now: now.map(str::to_owned),
        };
        let changes = vec![change("env A", Some("one"), Some("two")), change("user", Some("me"), None)];
        let approved_at = "2026-01-01T00:00:00Z".to_owned();
        let denied = vec!["logs".to_owned()];
        let earlier = Earlier { approved_at: approved_at.clone(), worktree: None, denied, changes };
        let shown = Question { earlier: Some(earlier), ..question.clone() }.statement(100);
        let lines: Vec<&str> = shown.lines().skip(1).collect();
        assert_eq!(
            lines[..6],
            [
                "It has changed since it was approved on 2026-01-01T00:00:00Z without logs: env A, user.",
                "- env A      one",
                "+ env A      two",
                "  container  it is recreated",
                "- user       me",
                "  1 line is as approved.",
            ],
            "{shown}"
        );
        let (worktree, changes) = (Some("/w2".to_owned()), Vec::new());
        let earlier = Earlier { approved_at, worktree, denied: Vec::new(), changes };
        let shown = Question { earlier: Some(earlier), ..question }.statement(200);
        assert!(
            shown.contains("2026-01-01T00:00:00Z in /w2: something that farrier does not use."),
            "{shown}"
        );
        assert!(shown.contains("  image      x\n") && shown.contains("  env A      two\n"), "{shown}");
    }

    #[test]
    fn a_yes_may_deny_single_grants() {
        for (answer, plain, socket) in [
            ("y", Some(""), None),
            ("db", None, Some("")),
            ("y without logs", Some("logs"), None),
            ("yes without exec=[\"a, b\"], dial", Some("dial, exec=[\"a, b\"]"), None),
            ("db without logs", None, Some("logs")),
            ("n without logs", None, None),
            ("y without ", None, None),
            ("y without ,", None, None),
            ("y without", None, None),
            ("y, without logs", None, None),
            ("without logs", None, None),
        ] {
            for (controls_machine, expected) in [(false, plain), (true, socket)] {
                let denied = question("", controls_machine).denied_by(answer);
                let denied = denied.map(|denied| denied.expect(answer).to_string());
                assert_eq!(denied.as_deref(), expected, "{answer}");
            }
        }
        for (answer, unknown) in [("y without log", "log"), ("y without logs, dial=self:81", "dial=self:81")]
        {
            assert_eq!(question("", false).denied_by(answer), Some(Err(unknown.to_owned())));
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
