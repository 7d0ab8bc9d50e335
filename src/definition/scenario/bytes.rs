//! Bytes in a scenario: text as people write it, or hexadecimal digits or base64 for what is not text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Reader, Table};

/// What a probe has to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// So many bytes, whatever they are.
    Any(u32),
}

/// Of text, at most so many characters in a hundred may be control characters that no editor shows.
const MOST_CONTROLS: usize = 34;
/// The most bytes that a pattern may leave open: more than the sandbox passes on in one call.
const MOST_ANY: u32 = 1 << 20;
const HINT: &str = "Write text as a string (`\"PING\\r\\n\"`), and other bytes as `{ hex = \"00 1f\" }` or `{ base64 = \"AB8=\" }`.";

/// Reads bytes; `None` if they are wrong.
pub fn bytes(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    if let Value::Table(_) = node.value {
        let span = node.span.clone();
        let table = reader.table(node, field, &["hex", "base64"], &span)?;
        return encoded(table, node, field, reader);
    }
    text(node, field, reader)
}

/// Reads what a probe has to send; `None` if it is wrong.
pub fn pattern(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Pattern> {
    let Value::Table(_) = node.value else {
        return text(node, field, reader).map(Pattern::Bytes);
    };
    let span = node.span.clone();
    let table = reader.table(node, field, &["hex", "base64", "any"], &span)?;
    let Some(any) = table.get("any") else {
        return encoded(table, node, field, reader).map(Pattern::Bytes);
    };
    if table.entries().len() > 1 {
        reader.wrong(field, "one kind of bytes", node, "Keep `any`, or the bytes themselves.");
        return None;
    }
    reader
        .whole_number(any, &format!("{field}.any"), 1, MOST_ANY.into())
        .and_then(|count| u32::try_from(count).ok().map(Pattern::Any))
}

fn text(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    match node.scalar() {
        Some(scalar) if scalar.kind == ScalarKind::String => Some(scalar.text.as_bytes().to_vec()),
        _ => {
            reader.wrong(field, "bytes", node, HINT);
            None
        }
    }
}

fn encoded(table: Table<'_>, node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let (form, written) = match (table.get("hex"), table.get("base64")) {
        (Some(hex), None) => ("hex", hex),
        (None, Some(base64)) => ("base64", base64),
        _ => {
            reader.wrong(field, "bytes", node, HINT);
            return None;
        }
    };
    let field = format!("{field}.{form}");
    let digits: String = reader.string(written, &field)?.split_ascii_whitespace().collect();
    let decoded = if form == "hex" { hex::decode(digits).ok() } else { STANDARD.decode(digits).ok() };
    if decoded.is_none() {
        let expected = if form == "hex" { "pairs of hexadecimal digits" } else { "base64 with its padding" };
        reader.wrong(&field, expected, written, HINT);
    }
    decoded
}

/// Bytes as text of a scenario; `None` if people read hexadecimal digits more easily.
#[must_use]
pub fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_hidden = |character: &char| character.is_control() && !matches!(character, '\r' | '\n' | '\t');
    let hidden = text.chars().filter(is_hidden).count();
    (hidden * 100 <= text.chars().count() * MOST_CONTROLS).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_people_can_read() {
        for text in ["", "PING\r\n", "+PONG", "é\t", "\0\0\0\u{1c}user\0postgres\0", "a\u{7f}"] {
            assert_eq!(as_text(text.as_bytes()).is_some(), text != "a\u{7f}", "{text:?}");
        }
        for bytes in [&[0xff, 0xfe][..], &[0, 1, 2, 3], b"\x16\x03\x01"] {
            assert_eq!(as_text(bytes), None, "{bytes:?}");
        }
    }
}
