//! What the server's errors mean.

use farrier_probe::{Line, Verdict};

use crate::Settings;
use crate::packet::Rest;

/// An ERR packet.
#[derive(Debug, PartialEq)]
pub struct Refusal<'a> {
    pub number: u16,
    /// For people, in the server's language.
    pub message: &'a [u8],
}

impl<'a> Refusal<'a> {
    /// Reads what follows the packet's first byte. Before the handshake there is no SQLSTATE.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(body);
        let number = u16::from_le_bytes(rest.array()?);
        if rest.0.first() == Some(&b'#') {
            rest.bytes(6)?;
        }
        Some(Self { number, message: rest.0 })
    }

    /// What it says of the server's readiness. `proven`: whether the password was proven as the server asked.
    pub fn verdict(&self, settings: &Settings, proven: bool) -> Verdict {
        match self.number {
            // Too many errors of connections from this host.
            1129 => {
                Verdict::failed(self.line().text(" (recreate the sidecar, or raise its max_connect_errors)"))
            }
            // No account is for this host.
            1130 => Verdict::failed(self.line().text(" (make an account for '%')")),
            _ if self.is_about_login() && settings.password.is_some() && proven => {
                Verdict::failed(Line::new().text("the server refuses the login: ").bytes(self.message))
            }
            // It answers. Who may log in is the harness's business.
            _ if self.is_about_login() => Verdict::Ready,
            // Among them 1040, 1203 (too many connections), 1053 (shutting down): all may pass.
            _ => Verdict::pending(self.line()),
        }
    }

    /// Access denied, with and without a password, to a database; an authentication that this client does not
    /// know; a password that expired; an account that is locked (MySQL, MariaDB); only with TLS.
    fn is_about_login(&self) -> bool {
        matches!(self.number, 1044 | 1045 | 1251 | 1698 | 1820 | 1862 | 3118 | 4151 | 3159)
    }

    /// The server's own words, and its number, by which they are looked up.
    fn line(&self) -> Line {
        Line::new().bytes(self.message).text(" (error ").number(self.number.into()).text(")")
    }
}
