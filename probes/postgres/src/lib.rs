//! `postgres`: ready when PostgreSQL accepts connections, by its own protocol. Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod conversation;
mod message;
mod password;
mod refusal;
mod secured;
mod stream;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::{Context, Denial, Line, Probe, Problem, Schema, Verdict, dial, tls};
use serde::Deserialize;

use message::Failure;

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
        let Some(port) = settings.port.or(context.port) else {
            return Verdict::failed(
                "the postgres probe needs a port, and the interface declares none: set `interface.port`, or \
                 `port` in the probe's settings",
            );
        };
        let mut connection = match dial::connect(&context.host, port, None) {
            Ok(connection) => connection,
            Err(denial) => return undialled(&denial),
        };
        let is_plain = settings.tls() == tls::Setting::Off;
        if !is_plain {
            let name = settings.server_name.as_deref().unwrap_or(&context.host);
            connection = match secured::secure(connection, name) {
                Ok(Ok(connection)) => connection,
                Ok(Err(verdict)) => return verdict,
                Err(failure) => return unanswered(&failure),
            };
        }
        let nonce = password::nonce(&[&context.sidecar, &context.host], context.elapsed_ms);
        match conversation::hold(&mut connection, &settings, &nonce) {
            // As OpenSSL does it with what is no greeting of its own.
            Err(Failure::Connection(Denial::Closed))
                if is_plain && tls::greeting(&context.host, port).is_some() =>
            {
                Verdict::failed(tls::SPEAKS_TLS)
            }
            Err(failure) => unanswered(&failure),
            Ok(verdict) => verdict,
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let fields = [
            ("user", &settings.user),
            ("database", &settings.database),
            ("password", &settings.password),
            ("query", &settings.query),
        ];
        let mut problems = Vec::new();
        if settings.port == Some(0) {
            problems.push(Problem::new("port", "a port is a number from 1 to 65535"));
        }
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
            let Some(value) = value else { continue };
            if value.trim().is_empty() {
                problems.push(Problem::new(field, "it is empty: leave it out"));
            }
            if value.contains('\0') {
                problems
                    .push(Problem::new(field, "it holds a NUL character, which ends texts of the protocol"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

farrier_probe::export!(Postgres with settings);

/// Why there is no connection. Only a missing grant cannot mend itself while the server starts.
fn undialled(denial: &Denial) -> Verdict {
    match denial {
        Denial::NotGranted(text) => {
            Verdict::failed(Line::new().text("the dial was not granted: ").text(text))
        }
        denial => Verdict::pending(Line::new().text(denial.text())),
    }
}

/// The port accepted, and then no whole answer came, or none of PostgreSQL's.
fn unanswered(failure: &Failure) -> Verdict {
    match failure {
        Failure::Foreign(said) if tls::is_record(said) => Verdict::failed(tls::SPEAKS_TLS),
        Failure::Foreign(said) => Verdict::failed(
            Line::new().text("the port does not speak the protocol of PostgreSQL; it said: ").bytes(said),
        ),
        Failure::Connection(denial) => Verdict::pending(match denial {
            Denial::TimedOut => {
                Line::new().text("the port accepts connections, but PostgreSQL does not answer yet")
            }
            Denial::Closed => {
                Line::new().text("the port accepts connections, but closes them without an answer")
            }
            denial => Line::new().text("the connection failed: ").text(denial.text()),
        }),
    }
}

#[cfg(test)]
mod tests;
