//! Text of others, made to fit a line of the screen.

use crate::report::escape::escape;
use crate::system::digest::sha256_hex;

/// How much of a digest tells two texts apart.
pub(super) const DIGITS: usize = 16;

/// A text escaped; where it is longer than this many columns, its beginning and end, its length and its digest.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let escaped = escape(text);
    if cells(&escaped) <= most {
        return escaped;
    }
    let characters: Vec<char> = escaped.chars().collect();
    let tail = most / 4;
    let begin = fitting(characters.iter().copied(), most - tail);
    let end: Vec<char> = fitting(characters.iter().rev().copied(), tail).chars().rev().collect();
    let (end, bytes, digest) = (String::from_iter(end), text.len(), sha256_hex(text));
    format!("{begin} … {end} ({bytes} bytes, sha256 {}…)", &digest[..DIGITS])
}

/// As many characters as fit into these columns.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += width_of(*character);
            used <= columns
        })
        .collect()
}

fn width_of(character: char) -> usize {
    if character.is_ascii() { 1 } else { 2 }
}

/// How many columns a text takes at most: what is not ASCII may be twice as wide.
pub(super) fn cells(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Escapes a line, and breaks it before the terminal does, so that no content stands at the beginning of a line.
pub(super) fn wrapped(line: &str, columns: usize) -> String {
    const FURTHER: &str = "\n  |     ";
    let columns = columns.max(20);
    let (mut text, mut used) = (String::new(), 0);
    for character in escape(line).chars() {
        let width = width_of(character);
        if used + width >= columns {
            text.push_str(FURTHER);
            used = FURTHER.len() - 1;
        }
        text.push(character);
        used += width;
    }
    text
}
