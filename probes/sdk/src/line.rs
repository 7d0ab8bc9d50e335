//! One line for people, made of text that may hold anything: a command's output, a server's banner.

use alloc::string::String;
use core::fmt;

/// The most characters that a [`Line`] holds, its ellipsis included.
pub const MAXIMUM_CHARACTERS: usize = 200;

/// The most bytes of a text that the host is given: it keeps 500 characters, and ends a poll that passes 1 MiB.
const MOST_BYTES: usize = 2_000;

/// The beginning of a text, as much of it as the host keeps at most.
#[must_use]
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A line under construction. Line breaks become spaces; other control characters, and those that reorder
/// text, are escaped (`\u{1b}`), as are bytes that are not UTF-8 (`\xff`). What exceeds
/// [`MAXIMUM_CHARACTERS`] is replaced by an ellipsis.
///
/// ```
/// # use farrier_probe::Line;
/// let line = Line::new().text("exited ").number(2).text(": ").bytes(b"caf\xe9\x1b[0m");
/// assert_eq!(String::from(line), r"exited 2: caf\xe9\u{1b}[0m");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Line {
    text: String,
    characters: usize,
    cut: bool,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new(), characters: 0, cut: false }
    }

    /// Appends text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        text.chars().for_each(|character| self.push(character));
        self
    }

    /// Appends bytes that should be UTF-8.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        for chunk in bytes.utf8_chunks() {
            self = self.text(chunk.valid());
            for &byte in chunk.invalid() {
                core::ascii::escape_default(byte).for_each(|escaped| self.push_as_is(escaped.into()));
            }
        }
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn number(self, number: i32) -> Self {
        // Digits by hand: the formatting machinery is several times the size of a small probe.
        let mut digits = [0; 10];
        let mut rest = number.unsigned_abs();
        let mut first = digits.len();
        for (position, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            first = position;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let sign = if number < 0 { "-" } else { "" };
        self.text(sign).bytes(digits.get(first..).unwrap_or_default())
    }

    fn push(&mut self, character: char) {
        match character {
            '\n' | '\r' | '\t' => self.push_as_is(' '),
            _ if is_unsafe_to_show(character) => {
                character.escape_unicode().for_each(|escaped| self.push_as_is(escaped));
            }
            _ => self.push_as_is(character),
        }
    }

    fn push_as_is(&mut self, character: char) {
        if self.cut {
            return;
        }
        if self.characters == MAXIMUM_CHARACTERS {
            self.text.pop();
            self.text.push('…');
            self.cut = true;
            return;
        }
        self.text.push(character);
        self.characters += 1;
    }
}

/// Control characters, line and paragraph separators, and the directional formatting characters of UAX #9.
fn is_unsafe_to_show(character: char) -> bool {
    let directional = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2066}'..='\u{2069}');
    directional || character.is_control() || matches!(character, '\u{2028}'..='\u{202e}')
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.text
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|character| self.push(character));
        Ok(())
    }
}

/// The last line that holds more than white space, without the white space around it: where commands say what
/// went wrong.
///
/// ```
/// # use farrier_probe::line::last;
/// assert_eq!(last(b"starting\n  no response\r\n\n"), Some(&b"no response"[..]));
/// assert_eq!(last(b" \n"), None);
/// ```
#[must_use]
pub fn last(output: &[u8]) -> Option<&[u8]> {
    output.rsplit(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii).find(|line| !line.is_empty())
}

/// The first line that holds more than white space, without the white space around it; empty where there is none.
#[must_use]
pub fn first(output: &[u8]) -> &[u8] {
    let mut lines = output.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 137, -1, i32::MAX, i32::MIN] {
            assert_eq!(String::from(Line::new().number(number)), number.to_string());
        }
    }

    #[test]
    fn nothing_that_moves_the_cursor_gets_through() {
        let rows: [(&[u8], &str); 5] = [
            (b"a\r\nb\tc", "a  b c"),
            (b"\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{202e}abc\u{85}".as_bytes(), r"\u{202e}abc\u{85}"),
            (b"\xff\xc3", r"\xff\xc3"),
            ("zażółć ☃".as_bytes(), "zażółć ☃"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(String::from(Line::new().bytes(bytes)), expected);
        }
    }

    #[test]
    fn the_host_is_given_no_more_than_it_keeps() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(""), "");
        assert_eq!(cut(&"a".repeat(1 << 21)).len(), MOST_BYTES);
        assert_eq!(cut(&"ż☃".repeat(1_000)).len(), MOST_BYTES, "five bytes each");
        assert_eq!(cut(&format!("a{}", "ż".repeat(1_000))).len(), MOST_BYTES - 1);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for (length, last) in [(199, 'ż'), (200, 'ż'), (201, '…'), (5_000, '…')] {
            let line = String::from(Line::new().text(&"ż".repeat(length)).text(""));
            assert_eq!(line.chars().count(), length.min(MAXIMUM_CHARACTERS), "{length}");
            assert_eq!(line.chars().next_back(), Some(last), "{length}");
        }
    }
}
