//! `mysql`: ready when MySQL or MariaDB completes a handshake, and, if asked to, has opened a database and run a query.
//! Imports only `dial` and `tls`.
//!
//! The handshake is always completed: servers count those that are broken off, and block a host after
//! `max_connect_errors` of them.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod handshake;
mod packet;
mod password;
mod refusal;
mod session;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::stream::{self, Server, Upgradable};
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "mysql", protocol: "MySQL", name: "the server" };

struct Mysql;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// Who logs in. Default: `root`.
    user: Option<String>,
    /// The user's password. Without it, a server that refuses the login counts as ready, unless the settings name a database
    /// or a query.
    password: Option<String>,
    /// The database that the user must be able to open.
    database: Option<String>,
    /// A query that the server must run without an error.
    query: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Settings {
    fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("root")
    }

    fn wants_a_session(&self) -> bool {
        self.database.is_some() || self.query.is_some()
    }
}

impl Probe for Mysql {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        ask(context, &settings).unwrap_or_else(|verdict| verdict)
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let fields = [
            ("user", &settings.user),
            ("password", &settings.password),
            ("database", &settings.database),
            ("query", &settings.query),
        ];
        let mut problems = Vec::from_iter(checks::port(settings.port));
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        for (field, value) in fields {
            problems.extend(checks::blank(field, value.as_deref()));
            problems.extend(checks::nul(field, value.as_deref()));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Mysql with settings);

/// Dials, and holds the conversation. What ends it early is a verdict, too.
fn ask(context: &Context, settings: &Settings) -> Result<Verdict, Verdict> {
    let port = stream::port(SERVER.probe, settings.port, context)?;
    let mut server = Upgradable::new(stream::connect(context, port)?);
    let name = settings.server_name.as_deref().unwrap_or(&context.host);
    session::hold(&mut server, settings, name).map_err(|failure| failure.verdict(SERVER))
}

#[cfg(test)]
mod tests;
