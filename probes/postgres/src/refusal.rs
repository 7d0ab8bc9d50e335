//! What the server's errors mean.

use farrier_probe::{Line, Verdict};

use crate::Settings;

/// The fields of an ErrorResponse that are looked at.
#[derive(Debug, Default, PartialEq)]
pub struct Refusal<'a> {
    /// SQLSTATE: five characters; empty where there is none.
    pub code: &'a [u8],
    /// For people, in the server's language.
    pub message: &'a [u8],
}

impl<'a> Refusal<'a> {
    /// Reads what is there; a truncated error has fewer fields.
    pub fn parse(body: &'a [u8]) -> Self {
        let mut refusal = Self::default();
        for field in body.split(|&byte| byte == 0) {
            match field.split_first() {
                Some((b'C', code)) => refusal.code = code,
                Some((b'M', message)) => refusal.message = message,
                _ => {}
            }
        }
        refusal
    }

    /// What it says of the server's readiness, where it answers a session's start.
    pub fn verdict(&self, settings: &Settings) -> Verdict {
        match self.code {
            // Starting up, recovering, shutting down; too many connections, or out of memory.
            [b'5', b'7', b'P', ..] | [b'5', b'3', ..] => Verdict::pending(self.line()),
            b"3D000" if settings.database.is_some() || settings.query.is_some() => Verdict::pending(
                Line::new().text("the database \"").text(settings.database()).text("\" does not exist yet"),
            ),
            // No rule lets the user in without TLS; whoever wrote the rules meant it.
            b"28000" if settings.wants_a_session() && self.is_about_plain_text() => Verdict::pending(
                Line::new()
                    .text("the server refuses the login: ")
                    .bytes(self.message)
                    .text(" (with TLS it may not: add `tls = true` to the settings)"),
            ),
            // The role, its password and the rules of access may be made after the port has opened.
            [b'2', b'8', ..] if settings.wants_a_session() => {
                Verdict::pending(Line::new().text("the server refuses the login: ").bytes(self.message))
            }
            // It accepts connections. Who may log in, and to what, is the harness's business.
            b"3D000" | [b'2', b'8', ..] => Verdict::Ready,
            // It does not speak this version of the protocol.
            b"0A000" => Verdict::failed(self.line()),
            b"" => Verdict::pending(self.line()),
            _ => Verdict::pending(self.line().text(" (SQLSTATE ").bytes(self.code).text(")")),
        }
    }

    /// Whether no rule lets the user in without TLS. Only the words tell, in English, of PostgreSQL 14 and of older ones.
    fn is_about_plain_text(&self) -> bool {
        [&b", no encryption"[..], b", SSL off"].iter().any(|end| self.message.ends_with(end))
    }

    /// The server's own words.
    pub fn line(&self) -> Line {
        if self.message.is_empty() {
            return Line::new().text("PostgreSQL refuses without a reason");
        }
        Line::new().bytes(self.message)
    }
}
