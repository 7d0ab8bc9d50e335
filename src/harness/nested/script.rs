//! The commands of a shell script, as far as its words tell.

use std::ffi::OsString;

/// The commands of a script, each as its words. Quotes are taken away, and nothing is expanded; the text of here-documents is
/// input of commands.
pub(super) fn commands(script: &str) -> Vec<Vec<OsString>> {
    segments(&without_here_documents(script))
}

/// The script without the text of its here-documents, which is input of its commands. One that does not end is none.
fn without_here_documents(script: &str) -> String {
    let lines: Vec<&str> = script.lines().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        kept.push(*line);
        at += 1;
        if let Some(end) = here_document(line) {
            let length = lines.iter().skip(at).position(|line| line.trim_start_matches('\t') == end);
            at += length.map_or(0, |length| length + 1);
        }
    }
    kept.join("\n")
}

/// The line that ends the here-document that begins on this line.
fn here_document(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("<<")?;
    let word = after.strip_prefix('-').unwrap_or(after).trim_start_matches([' ', '\t']);
    let word = word.trim_start_matches(['\'', '"', '\\']);
    let length = word.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(word.len());
    word.get(..length).filter(|word| !word.is_empty())
}

fn segments(script: &str) -> Vec<Vec<OsString>> {
    let mut split = Split::default();
    let mut quote = None;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), other) => split.push(other),
            // A command in a command.
            (_, '`' | '$') if character == '`' || characters.peek() == Some(&'(') => {
                quote = None;
                split.segment();
            }
            (_, '\\') => match characters.next() {
                Some('\n') | None => {}
                Some(other) => split.push(other),
            },
            (None, '\'' | '"') => {
                split.is_word = true;
                quote = Some(character);
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '}') => split.segment(),
            (None, other) if other.is_whitespace() => split.word(),
            (_, other) => split.push(other),
        }
    }
    split.segment();
    split.segments
}

#[derive(Default)]
struct Split {
    segments: Vec<Vec<OsString>>,
    words: Vec<OsString>,
    word: String,
    is_word: bool,
}

impl Split {
    fn push(&mut self, character: char) {
        self.is_word = true;
        self.word.push(character);
    }

    fn word(&mut self) {
        if std::mem::take(&mut self.is_word) {
            self.words.push(std::mem::take(&mut self.word).into());
        }
    }

    fn segment(&mut self) {
        self.word();
        if !self.words.is_empty() {
            self.segments.push(std::mem::take(&mut self.words));
        }
    }
}
