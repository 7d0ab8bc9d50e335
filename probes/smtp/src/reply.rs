//! Replies of a mail server: three digits, and text on one or more lines (RFC 5321, 4.2).

use alloc::vec::Vec;

use farrier_probe::lines::Lines;
use farrier_probe::stream::{Failure, Stream};
use farrier_probe::{Line, Verdict};

/// More lines than a reply to EHLO has.
const MOST_LINES: usize = 100;

/// A reply.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub code: u16,
    /// The text behind the code, a line each.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Reads a reply to its last line.
    ///
    /// # Errors
    /// The connection ended first, or this is no reply.
    pub fn receive(server: &mut Lines<'_, impl Stream>) -> Result<Self, Failure> {
        let mut reply = Self { code: 0, lines: Vec::new() };
        for _ in 0..MOST_LINES {
            let line = server.line()?;
            let Some((code, is_last, text)) = parse(&line) else { return Err(Failure::Foreign(line)) };
            reply.code = code;
            reply.lines.push(text.to_vec());
            if is_last {
                break;
            }
        }
        Ok(reply)
    }

    /// Whether the server accepts what it was told.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether the server offers this extension in its reply to EHLO.
    pub fn offers(&self, extension: &[u8]) -> bool {
        let is_it = |line: &Vec<u8>| {
            line.split(|&byte| byte == b' ').next().is_some_and(|word| word.eq_ignore_ascii_case(extension))
        };
        self.lines.iter().skip(1).any(is_it)
    }

    /// The server's words, after these.
    pub fn quoted(&self, before: &str) -> Line {
        let line = Line::new().text(before).number(self.code.into());
        match self.lines.last().filter(|text| !text.is_empty()) {
            Some(text) => line.text(" ").bytes(text),
            None => line,
        }
    }

    /// The verdict on a greeting or EHLO that the server does not accept: it may be busy, starting or out of disk space.
    pub fn not_served(&self) -> Verdict {
        Verdict::pending(self.quoted("the mail server does not serve: "))
    }
}

/// One line's code, whether it is the last one, and its text.
fn parse(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !matches!(code, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9']) {
        return None;
    }
    let code = core::str::from_utf8(code).ok()?.parse().ok()?;
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}
