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

    /// What it says of the server's readiness. `proven`: the password was proven as the server asked.
    pub fn verdict(&self, settings: &Settings, proven: bool) -> Verdict {
        match self.number {
            // Connections from here were broken off; the server counts them since it started.
            1129 => {
                Verdict::failed(self.line().text(" (recreate the sidecar, or raise its max_connect_errors)"))
            }
            // No account is for this host, yet.
            1130 => Verdict::pending(self.login_refused().text(" (make an account for '%')")),
            // The account, or all of them, demand TLS.
            3159 if settings.password.is_some() || settings.wants_a_session() => {
                Verdict::pending(self.login_refused().text(" (add `tls = true` to the settings)"))
            }
            // Accounts and passwords may be made after the port has opened.
            _ if self.is_about_login() && settings.password.is_some() && proven => {
                Verdict::pending(self.login_refused())
            }
            _ if self.is_about_login() && settings.wants_a_session() => {
                let why = if settings.password.is_some() {
                    " (it asks for an authentication that this probe does not know: use the probe `exec`)"
                } else {
                    ""
                };
                Verdict::pending(self.login_refused().text(why))
            }
            // It answers. Who may log in is the harness's business.
            _ if self.is_about_login() => Verdict::Ready,
            // Among them 1040, 1203 (too many connections), 1053 (shutting down): all may pass.
            _ => Verdict::pending(self.line()),
        }
    }

    /// What it says of the database or the query that a session asked for. What they lack may still be made.
    pub fn in_session(&self, settings: &Settings) -> Verdict {
        Verdict::pending(match (self.number, &settings.database) {
            (1049, Some(database)) => {
                Line::new().text("the database \"").text(database).text("\" does not exist yet")
            }
            (1044, _) => self.login_refused(),
            _ => Line::new().text("the query failed: ").bytes(self.message),
        })
    }

    fn login_refused(&self) -> Line {
        Line::new().text("the server refuses the login: ").bytes(self.message)
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
