//! What a broker's refusals mean.

use alloc::vec::Vec;

use farrier_probe::{Line, Verdict};

use crate::Settings;
use crate::frame::Fields;

/// Reply codes (AMQP 0-9-1, 1.2): the login is refused; the virtual host is unknown, or not for this user.
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;

/// Why a server closes a connection.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub code: u16,
    /// For people.
    pub text: Vec<u8>,
}

impl Refusal {
    /// Reads the arguments of the method `close`.
    pub fn parse(arguments: &[u8]) -> Option<Self> {
        let mut fields = Fields(arguments);
        let code = fields.short()?;
        Some(Self { code, text: fields.short_text()?.to_vec() })
    }

    /// What it says of the broker's readiness. Users and virtual hosts may be added after the port has opened.
    pub fn verdict(&self, settings: &Settings) -> Verdict {
        match self.code {
            // It answers. Who may log in, and where, is the harness's business.
            ACCESS_REFUSED | NOT_ALLOWED if !settings.wants_a_session() => Verdict::Ready,
            // RabbitMQ has one code for both, and tells them apart in its text only.
            NOT_ALLOWED if self.text.ends_with(b" not found") => Verdict::pending(
                Line::new().text("the virtual host \"").text(settings.vhost()).text("\" does not exist yet"),
            ),
            ACCESS_REFUSED | NOT_ALLOWED => {
                Verdict::pending(Line::new().text("the server refuses the login: ").bytes(&self.text))
            }
            // Among them 541 (a virtual host is down) and 320 (the broker shuts down): all may pass.
            code => Verdict::pending(
                Line::new().bytes(&self.text).text(" (reply code ").number(code.into()).text(")"),
            ),
        }
    }
}
