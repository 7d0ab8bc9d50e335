//! `postgres`: ready when PostgreSQL accepts connections, by its own protocol. Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod conversation;
mod message;
mod password;
mod refusal;
mod secured;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::stream::{self, Server};
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "postgres", protocol: "PostgreSQL", name: "PostgreSQL" };

struct Postgres;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// Who logs in. Default: `postgres`.
    user: Option<String>,
    /// The database to open. Default: the user's name.
    database: Option<String>,
    /// The user's password. Without it, a server that asks for one counts as ready, unless the settings name a database or a
    /// query.
    password: Option<String>,
    /// A query that the server must run without an error.
    query: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// libpq's name for how to use TLS, in place of `tls`: `verify-full` means `true`, `require` means `"insecure"`. The modes
    /// `allow` and `prefer` prove nothing about TLS, and `verify-ca` does not look at the name.
    #[setting(values("disable", "require", "verify-full"))]
    sslmode: Option<String>,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Settings {
    fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("postgres")
    }

    fn database(&self) -> &str {
        self.database.as_deref().unwrap_or_else(|| self.user())
    }

    fn tls(&self) -> tls::Setting {
        match self.sslmode.as_deref() {
            Some("require") => tls::Setting::Insecure,
            Some("verify-full") => tls::Setting::Verified,
            _ => self.tls,
        }
    }

    /// Whether the server must let the user in. Otherwise who may log in is the harness's business.
    fn wants_a_session(&self) -> bool {
        self.password.is_some() || self.database.is_some() || self.query.is_some()
    }
}

impl Probe for Postgres {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        ask(context, &settings).unwrap_or_else(|verdict| verdict)
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let fields = [
            ("user", &settings.user),
            ("database", &settings.database),
            ("password", &settings.password),
            ("query", &settings.query),
        ];
        let mut problems = Vec::from_iter(checks::port(settings.port));
        match (settings.sslmode.as_deref(), settings.tls) {
            (None | Some("disable" | "require" | "verify-full"), tls::Setting::Off) | (None, _) => {}
            (Some(_), tls::Setting::Off) => problems.push(Problem::new(
                "sslmode",
                "it is `disable`, `require` (any certificate) or `verify-full`: of the other modes, `allow` and `prefer` \
                 prove nothing about TLS, and `verify-ca` does not look at the name",
            )),
            _ => problems.push(Problem::new("sslmode", "it says the same as `tls`: keep one of the two")),
        }
        problems.extend(settings.tls().problem(settings.server_name.as_deref()));
        for (field, value) in fields {
            problems.extend(checks::blank(field, value.as_deref()));
            problems.extend(checks::nul(field, value.as_deref()));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Postgres with settings);

/// Dials, and holds the conversation. What ends it early is a verdict, too.
fn ask(context: &Context, settings: &Settings) -> Result<Verdict, Verdict> {
    let port = stream::port(SERVER.probe, settings.port, context)?;
    let mut connection = stream::connect(context, port)?;
    let is_plain = settings.tls() == tls::Setting::Off;
    if !is_plain {
        let name = settings.server_name.as_deref().unwrap_or(&context.host);
        connection =
            secured::secure(connection, name).unwrap_or_else(|failure| Err(failure.verdict(SERVER)))?;
    }
    let nonce = password::nonce(&[&context.sidecar, &context.host], context.elapsed_ms);
    conversation::hold(&mut connection, settings, &nonce).map_err(|failure| {
        if is_plain { failure.verdict_in_plain_text(SERVER, context, port) } else { failure.verdict(SERVER) }
    })
}

#[cfg(test)]
mod tests;
