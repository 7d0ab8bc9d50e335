//! What every part of the decoder uses: typed access to a tree that reports what is wrong and goes on.

mod foreign;
mod pairs;
mod quantity;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub use self::pairs::Pair;
use super::node::{Entry, Node, Scalar, ScalarKind, Value};
use crate::report::error::{Code, Place, Problem, Source};

/// Collects the problems of one file.
pub struct Reader<'a> {
    source: &'a Arc<Source>,
    sidecar: &'a str,
    /// Whether an unknown key is an error, since this is a scenario.
    is_scenario: bool,
    problems: Vec<Problem>,
    places: BTreeMap<String, Place>,
}

/// A table with its path in the definition.
#[derive(Clone, Copy)]
pub struct Table<'n> {
    entries: &'n [Entry],
    /// Where the table stands.
    pub span: &'n Range<usize>,
}

impl<'n> Table<'n> {
    /// A table as it stands, whatever is wrong with it; `None` if it is none.
    pub fn of(node: &'n Node) -> Option<Self> {
        match &node.value {
            Value::Table(entries) => Some(Self { entries, span: &node.span }),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Where a key stands; the table itself where it is absent.
    pub fn key_span(&self, key: &str) -> &'n Range<usize> {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.span, |entry| &entry.key_span)
    }

    /// The keys with their values.
    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }
}

/// The longest path under which the place of a key is noted.
const LONGEST_PATH: usize = 512;

/// The name under which the place of a field's key is noted, if its value stands elsewhere. No field has it.
pub fn key_of(path: &str) -> String {
    format!("key {path}")
}

/// The path of a key in a table.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    /// Nothing found yet.
    pub const fn new(source: &'a Arc<Source>, sidecar: &'a str) -> Self {
        Self { source, sidecar, is_scenario: false, problems: Vec::new(), places: BTreeMap::new() }
    }

    /// Like [`Reader::new`], for a scenario.
    pub fn of_scenario(source: &'a Arc<Source>) -> Self {
        Self { is_scenario: true, ..Self::new(source, "") }
    }

    /// Whether the file is TOML, in which variables are replaced.
    pub fn is_toml(&self) -> bool {
        self.source.path.extension().is_some_and(|extension| extension == "toml")
    }

    /// A stretch of this file.
    pub fn place(&self, span: &Range<usize>) -> Place {
        Place { source: Arc::clone(self.source), span: span.clone() }
    }

    /// Notes where a part of a value stands that no field of the file has.
    pub fn note_place(&mut self, path: String, span: &Range<usize>) {
        let place = self.place(span);
        self.places.insert(path, place);
    }

    /// Notes where the key of a field stands that has a single value.
    pub fn note_key(&mut self, path: &str, entry: &Entry) {
        if entry.value.scalar().is_some() && path.len() <= LONGEST_PATH {
            self.note_place(key_of(path), &entry.key_span);
        }
    }

    /// What was noted so far.
    pub fn take_places(&mut self) -> BTreeMap<String, Place> {
        std::mem::take(&mut self.places)
    }

    /// Adds a problem at its place.
    pub fn report(&mut self, problem: Problem, span: &Range<usize>) {
        let place = self.place(span);
        let problem = problem.at(place);
        self.problems.push(if self.is_scenario { problem } else { problem.of(self.sidecar) });
    }

    /// Adds that a field must be something else.
    pub fn wrong(&mut self, field: &str, expected: &str, node: &Node, hint: &str) {
        let message = format!("`{field}` must be {expected}, not {}", node.describe());
        self.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
    }

    /// Adds that a field is absent.
    pub fn missing(&mut self, field: &str, hint: &str, span: &Range<usize>) {
        self.report(Problem::error(Code::MissingField, format!("`{field}` is missing")).hint(hint), span);
    }

    /// Whether something was found that stops the launch.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// Everything that was found.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A table; unknown keys are warned about. `span` is where to point when something in it is missing.
    pub fn table<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        keys: &[&str],
        span: &'n Range<usize>,
    ) -> Option<Table<'n>> {
        let Value::Table(entries) = &node.value else {
            let keys = keys.iter().take(3).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            self.wrong(path, "a table", node, &format!("Write a table with keys such as {keys}."));
            return None;
        };
        for entry in entries {
            if !keys.contains(&entry.key.as_str()) {
                self.unknown_key(entry, path, keys);
            }
        }
        Some(Table { entries, span })
    }

    fn unknown_key(&mut self, entry: &Entry, path: &str, keys: &[&str]) {
        let key = join(path, &entry.key);
        if self.is_scenario {
            let problem = Problem::error(Code::UnknownKey, format!("`{key}` is not a key of a scenario"));
            self.report(problem.hint(suggestion(&entry.key, keys)), &entry.key_span);
            return;
        }
        let ignored = format!("`{key}` is not a key of a definition; it is ignored");
        if let Some(hint) = foreign::advice(path, &entry.key) {
            if foreign::is_default(path, &entry.key, &entry.value.value, self.sidecar) {
                let hint = "Remove it: it asks for what farrier does anyway.";
                self.report(Problem::warning(Code::UnknownKey, ignored).hint(hint), &entry.key_span);
                return;
            }
            let message =
                format!("`{key}` is not a key of a definition, and ignoring it would change what runs");
            self.report(Problem::error(Code::UnknownKey, message).hint(hint), &entry.key_span);
            return;
        }
        let hint = suggestion(&entry.key, keys);
        let mut problem = Problem::warning(Code::UnknownKey, ignored).hint(hint);
        // Any other key may have been meant to limit the container.
        problem.is_told_always = !is_note(&entry.key);
        self.report(problem, &entry.key_span);
    }

    /// A string that is not empty.
    pub fn string(&mut self, node: &Node, field: &str) -> Option<String> {
        match node.scalar() {
            Some(Scalar { text, kind: ScalarKind::String }) if !text.is_empty() => Some(text.clone()),
            Some(Scalar { kind: ScalarKind::String, .. }) => {
                self.wrong(field, "a non-empty string", node, "Give it a value, or remove the key.");
                None
            }
            Some(Scalar { kind: ScalarKind::Null, .. }) | None => {
                self.wrong(field, "a string", node, "Write one text value.");
                None
            }
            Some(_) => {
                self.wrong(field, "a string", node, "Put the value in quotes.");
                None
            }
        }
    }

    /// A list.
    pub fn list<'n>(&mut self, node: &'n Node, field: &str, of: &str) -> Option<&'n [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        self.wrong(field, &format!("a list of {of}"), node, "Write it in brackets: `[\"one\", \"two\"]`.");
        None
    }

    /// A list of strings; items may be empty.
    pub fn strings(&mut self, node: &Node, field: &str) -> Option<Vec<String>> {
        let items = self.list(node, field, "strings")?;
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.scalar() {
                Some(Scalar { text, kind: ScalarKind::String }) => texts.push(text.clone()),
                Some(_) => {
                    self.wrong(&format!("{field}[{index}]"), "a string", item, "Put the value in quotes.");
                }
                None => {
                    let hint = "Write one string for each word of the list.";
                    self.wrong(&format!("{field}[{index}]"), "a string", item, hint);
                }
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    /// Words: a list of strings, or one string that is split as a shell splits words.
    pub fn words(&mut self, node: &Node, field: &str) -> Option<Vec<String>> {
        // A shell takes what follows a `#` for a comment: nobody means a command to lose its end.
        const NUMBER_SIGN: &str = "\u{fdd0}";
        let Some(Scalar { text, kind: ScalarKind::String }) = node.scalar() else {
            return self.strings(node, field);
        };
        let words = shlex::split(&text.replace('#', NUMBER_SIGN)).filter(|words| !words.is_empty());
        if words.is_none() {
            let reason = if text.trim().is_empty() { "is empty" } else { "has a quote that is not closed" };
            let message = format!("`{field}` {reason}");
            let hint = "Write words as a shell has them, or a list: `[\"sh\", \"-c\", \"exec server\"]`.";
            self.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
        }
        words.map(|words| words.iter().map(|word| word.replace(NUMBER_SIGN, "#")).collect())
    }

    /// A command: a list of strings that names a program.
    pub fn program(&mut self, node: &Node, field: &str) -> Option<Vec<String>> {
        let words = self.strings(node, field)?;
        self.naming_a_program(words, node, field)
    }

    /// A command as [`Reader::program`] reads it, or as a line of words.
    pub fn program_line(&mut self, node: &Node, field: &str) -> Option<Vec<String>> {
        let words = self.words(node, field)?;
        self.naming_a_program(words, node, field)
    }

    fn naming_a_program(&mut self, words: Vec<String>, node: &Node, field: &str) -> Option<Vec<String>> {
        if words.first().is_some_and(|first| !first.is_empty()) {
            return Some(words);
        }
        let message = format!("`{field}` names no program");
        let hint = "Write the program and its arguments: `[\"pg_isready\", \"-q\"]`.";
        self.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, field: &str) -> Option<bool> {
        if let Some(Scalar { kind: ScalarKind::Boolean(flag), .. }) = node.scalar() {
            return Some(*flag);
        }
        self.wrong(field, "true or false", node, "Write true or false, without quotes.");
        None
    }

    /// A TCP port.
    pub fn port(&mut self, node: &Node, field: &str) -> Option<u16> {
        const EXPECTED: &str = "a whole number from 1 to 65535";
        let scalar = node.scalar();
        if let Some(Scalar { kind: ScalarKind::Integer(Some(number)), .. }) = scalar
            && let Ok(port) = u16::try_from(*number)
            && port != 0
        {
            return Some(port);
        }
        let quoted = scalar.filter(|scalar| scalar.kind == ScalarKind::String);
        let hint = match quoted.and_then(|scalar| scalar.text.trim().parse::<u16>().ok()) {
            Some(port) if port != 0 => format!("Write it without quotes: {port}."),
            _ => "Write the TCP port that the server in the container listens on.".to_owned(),
        };
        self.wrong(field, EXPECTED, node, &hint);
        None
    }
}

/// What to write in place of an unknown key.
fn suggestion(key: &str, keys: &[&str]) -> String {
    match nearest(key, keys) {
        Some(known) => format!("Did you mean `{known}`?"),
        None => format!("Remove it; the keys here are {}.", keys.join(", ")),
    }
}

/// Whether a key is compose's form of a note, `x-…`, or labels: neither changes what the container may do.
fn is_note(key: &str) -> bool {
    let key = plain(key);
    key.starts_with("x_") || ["label", "labels", "annotations"].contains(&key.as_str())
}

/// A key in the form that words are compared in: lower case, with `_` between its parts, whether it was written as
/// `readOnly`, `read-only` or `--read-only`.
pub fn plain(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    let mut after_small = false;
    for character in key.trim_start_matches('-').chars() {
        if character.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        plain.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    plain
}

/// The most characters of a word that is compared with known ones, which have at most 128.
const LONGEST_MISSPELT: usize = 160;

/// The known key that was probably meant.
pub fn nearest<'k>(key: &str, keys: &[&'k str]) -> Option<&'k str> {
    // Nobody means one of these words by a longer one, and comparing takes time by both lengths.
    if key.chars().nth(LONGEST_MISSPELT).is_some() {
        return None;
    }
    let allowed = (key.chars().count() / 3).clamp(1, 3);
    let lower = key.to_lowercase().replace('-', "_");
    let length = lower.chars().count();
    keys.iter()
        // The distance is at least the difference of their lengths.
        .filter(|known| length.abs_diff(known.len()) <= allowed || lower.starts_with(*known))
        .map(|known| (strsim::osa_distance(&lower, known), *known))
        .filter(|(distance, known)| *distance <= allowed || (lower.len() > 3 && lower.starts_with(known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_any_length_is_compared_with_any_number_of_others() {
        let known: Vec<String> = (1..2000).map(|length| "a".repeat(length)).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        // Comparing whole words would take hours.
        assert_eq!(nearest(&"a".repeat(1 << 22), &known), None);
        assert_eq!(nearest(&"a".repeat(100), &known).map(str::len), Some(100));
        assert_eq!(nearest("imgae", &["image", "program"]), Some("image"));
        assert_eq!(nearest("image_name", &["image", "program"]), Some("image"));
        assert_eq!(nearest("networks", &["image", "program"]), None);
    }
}
