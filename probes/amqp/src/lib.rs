//! `amqp`: ready when an AMQP 0-9-1 broker such as RabbitMQ has let the user in and opened a virtual host. Imports only `dial`
//! and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod connection;
mod frame;
mod refusal;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::stream::Server;
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "amqp", protocol: "AMQP 0-9-1", name: "the broker" };
/// The longest text that fits into a field of a method, in bytes: its length is one byte (AMQP 0-9-1, 4.2.5.3).
const LONGEST_TEXT: usize = 255;

struct Amqp;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// Who logs in. Default: `guest`.
    user: Option<String>,
    /// The user's password. Default: `guest`; then a broker that refuses the login counts as ready, unless the settings name a
    /// virtual host.
    password: Option<String>,
    /// The virtual host to open. Default: `/`.
    vhost: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Settings {
    fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("guest")
    }

    fn password(&self) -> &str {
        self.password.as_deref().unwrap_or("guest")
    }

    fn vhost(&self) -> &str {
        self.vhost.as_deref().unwrap_or("/")
    }

    /// Whether the broker must let the user in. Otherwise who may log in is the harness's business.
    fn wants_a_session(&self) -> bool {
        self.password.is_some() || self.vhost.is_some()
    }
}

impl Probe for Amqp {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let name = settings.tls.name(settings.server_name.as_deref(), context);
        SERVER.hold(context, settings.port, name, |server| connection::hold(server, &settings))
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        for (field, value) in
            [("user", &settings.user), ("password", &settings.password), ("vhost", &settings.vhost)]
        {
            problems.extend(checks::empty(field, value.as_deref()));
            problems.extend(checks::nul(field, value.as_deref()));
        }
        if settings.vhost.as_ref().is_some_and(|name| name.len() > LONGEST_TEXT) {
            problems.push(Problem::new("vhost", "it is longer than 255 bytes"));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.user.is_some() && settings.password.is_none() {
            problems.push(Problem::new("user", "it needs a `password` beside it"));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Amqp with settings);

#[cfg(test)]
mod tests;
