//! `smtp`: ready when a mail server greets and accepts EHLO, and, if asked to, accepts a recipient. No mail is sent. Imports
//! only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod reply;
mod session;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::stream::{self, Server, Upgradable, Upgrade};
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "smtp", protocol: "SMTP", name: "the mail server" };
/// The port at which TLS comes before SMTP (RFC 8314, 3.3). At other ports, STARTTLS begins it.
const SUBMISSIONS: u16 = 465;

struct Smtp;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// An address that the server must accept mail for. The probe then resets the transaction, so no mail is sent.
    recipient: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: whether to begin in plain text and to ask for TLS. Default: false for port 465, true for any other port.
    starttls: Option<bool>,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Smtp {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        ask(context, &settings).unwrap_or_else(|verdict| verdict)
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        problems.extend(checks::line_break("recipient", settings.recipient.as_deref()));
        if settings
            .recipient
            .as_ref()
            .is_some_and(|address| !address.contains('@') || address.contains(['<', '>', ' ']))
        {
            problems.push(Problem::new("recipient", "an address has the form `user@example.test`"));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.starttls.is_some() && settings.tls == tls::Setting::Off {
            problems.push(Problem::new("starttls", "it is for TLS: add `tls = true`"));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Smtp with settings);

/// Dials, and holds the conversation. What ends it early is a verdict, too.
fn ask(context: &Context, settings: &Settings) -> Result<Verdict, Verdict> {
    let port = stream::port(SERVER.probe, settings.port, context)?;
    let name = settings.tls.name(settings.server_name.as_deref(), context);
    // There, a server waits for TLS in silence, as the probe would wait for its greeting.
    if name.is_none() && port == SUBMISSIONS && tls::greeting(&context.host, port).is_some() {
        return Err(Verdict::failed(tls::SPEAKS_TLS));
    }
    let mut server = Upgradable::new(stream::connect(context, port)?);
    if let Some(name) = name
        && !settings.starttls.unwrap_or(port != SUBMISSIONS)
    {
        server.secure(name).map_err(|failure| failure.verdict())?;
        return session::hold(&mut server, settings, None).map_err(|failure| failure.verdict(SERVER));
    }
    session::hold(&mut server, settings, name)
        .map_err(|failure| failure.verdict_in_plain_text(SERVER, context, port))
}

#[cfg(test)]
mod tests;
