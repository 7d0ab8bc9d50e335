//! `nats`: ready when a NATS server accepts the client and answers PING, and, if asked to, `JetStream` answers too. Imports
//! only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod session;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::stream::{self, Server, Upgradable};
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "nats", protocol: "NATS", name: "NATS" };

struct Nats;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// Who logs in.
    user: Option<String>,
    /// The user's password.
    password: Option<String>,
    /// A token, in place of a user and a password.
    token: Option<String>,
    /// Whether JetStream must answer, too.
    jetstream: bool,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Nats {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        ask(context, &settings).unwrap_or_else(|verdict| verdict)
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        for (field, value) in
            [("user", &settings.user), ("password", &settings.password), ("token", &settings.token)]
        {
            problems.extend(checks::empty(field, value.as_deref()));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.user.is_some() && settings.token.is_some() {
            problems.push(Problem::new(
                "token",
                "a client logs in with a user or with a token: keep one of the two",
            ));
        }
        if settings.password.is_some() && settings.user.is_none() {
            problems.push(Problem::new("password", "it needs a `user` beside it"));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Nats with settings);

/// Dials, and holds the conversation. What ends it early is a verdict, too.
fn ask(context: &Context, settings: &Settings) -> Result<Verdict, Verdict> {
    let port = stream::port(SERVER.probe, settings.port, context)?;
    let mut server = Upgradable::new(stream::connect(context, port)?);
    let name = settings.tls.name(settings.server_name.as_deref(), context);
    session::hold(&mut server, settings, name)
        .map_err(|failure| failure.verdict_in_plain_text(SERVER, context, port))
}

#[cfg(test)]
mod tests;
