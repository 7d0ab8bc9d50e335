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
mod stream;

use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::{Context, Denial, Line, Probe, Problem, Schema, Verdict, dial, tls};
use serde::Deserialize;

use packet::Failure;
use stream::Dialled;

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
        let Some(port) = settings.port.or(context.port) else {
            return Verdict::failed(
                "the mysql probe needs a port, and the interface declares none: set `interface.port`, or `port` \
                 in the probe's settings",
            );
        };
        match dial::connect(&context.host, port, None) {
            Ok(connection) => {
                let name = settings.server_name.as_deref().unwrap_or(&context.host);
                let answer = session::hold(&mut Dialled::new(connection), &settings, name);
                answer.unwrap_or_else(|failure| unanswered(&failure))
            }
            Err(denial) => undialled(&denial),
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let fields = [
            ("user", &settings.user),
            ("password", &settings.password),
            ("database", &settings.database),
            ("query", &settings.query),
        ];
        let mut problems = Vec::new();
        if settings.port == Some(0) {
            problems.push(Problem::new("port", "a port is a number from 1 to 65535"));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
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

farrier_probe::export!(Mysql with settings);

/// Why there is no connection. Only a missing grant cannot mend itself while the server starts.
fn undialled(denial: &Denial) -> Verdict {
    match denial {
        Denial::NotGranted(text) => {
            Verdict::failed(Line::new().text("the dial was not granted: ").text(text))
        }
        denial => Verdict::pending(Line::new().text(denial.text())),
    }
}

/// The port accepted, and then no whole answer came, or none of MySQL's.
fn unanswered(failure: &Failure) -> Verdict {
    match failure {
        Failure::Foreign(said) if tls::is_record(said) => Verdict::failed(tls::SPEAKS_TLS),
        Failure::Foreign(said) => Verdict::failed(
            Line::new().text("the port does not speak the protocol of MySQL; it said: ").bytes(said),
        ),
        Failure::Connection(denial) => Verdict::pending(match denial {
            Denial::TimedOut => {
                Line::new().text("the port accepts connections, but the server does not answer yet")
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
