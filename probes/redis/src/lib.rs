//! `redis`: ready when Redis answers PING, has loaded its data, and, as a replica, has synchronised with its master.
//! Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod protocol;
mod stream;

use alloc::string::String;
use alloc::{vec, vec::Vec};

use farrier_probe::{Context, Denial, Line, Probe, Problem, Schema, Verdict, dial, tls};
use serde::Deserialize;

use protocol::Conversation;
use stream::Stream;

struct Redis;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// The user that the password belongs to. Default: the server's default user.
    username: Option<String>,
    /// The password, if the server requires one.
    password: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Redis {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let Some(port) = settings.port.or(context.port) else {
            return Verdict::failed(
                "the redis probe needs a port, and the interface declares none: set `interface.port`, or `port` \
                 in the probe's settings",
            );
        };
        let mut connection = match dial::connect(&context.host, port, None) {
            Ok(connection) => connection,
            Err(denial) => return undialled(&denial),
        };
        let is_plain = settings.tls == tls::Setting::Off;
        if !is_plain {
            let name = settings.server_name.as_deref().unwrap_or(&context.host);
            connection = match tls::start(connection, name, &[]) {
                Ok(connection) => connection,
                Err(failure) => return failure.verdict(),
            };
        }
        match converse(&mut connection, &settings) {
            // As OpenSSL does it with what is no greeting of its own.
            Err(Denial::Closed) if is_plain && tls::greeting(&context.host, port).is_some() => {
                Verdict::failed(tls::SPEAKS_TLS)
            }
            Err(denial) => unanswered(&denial),
            Ok(verdict) => verdict,
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        if settings.port == Some(0) {
            problems.push(Problem::new("port", "a port is a number from 1 to 65535"));
        }
        for (field, value) in [("username", &settings.username), ("password", &settings.password)] {
            if value.as_ref().is_some_and(String::is_empty) {
                problems.push(Problem::new(field, "it is empty: leave it out"));
            }
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.username.is_some() && settings.password.is_none() {
            problems.push(Problem::new("username", "it needs a `password` beside it"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

farrier_probe::export!(Redis with settings);

/// Logs in if a password is set, and asks.
fn converse(server: &mut impl Stream, settings: &Settings) -> Result<Verdict, Denial> {
    let mut server = Conversation::new(server);
    if let Some(password) = &settings.password {
        let mut words = vec!["AUTH"];
        words.extend(settings.username.as_deref());
        words.push(password);
        if let Some(refused) = answer::to_auth(&server.call(&words)?) {
            return Ok(refused);
        }
    }
    if let Some(not_yet) = answer::to_ping(&server.call(&["PING"])?) {
        return Ok(not_yet);
    }
    // A server that does not tell, for want of a permission or of the command, is taken for no replica.
    let reply = server.call(&["INFO", "replication"])?;
    let info = server.text_of(&reply)?.unwrap_or_default();
    Ok(answer::to_replication(&info).unwrap_or(Verdict::Ready))
}

/// Why there is no connection. Only a missing grant cannot mend itself while the server starts.
fn undialled(denial: &Denial) -> Verdict {
    match denial {
        Denial::NotGranted(text) => {
            Verdict::failed(Line::new().text("the dial was not granted: ").text(text))
        }
        denial => Verdict::pending(Line::new().text(denial.text())),
    }
}

/// The port accepted, and then no whole answer came.
fn unanswered(denial: &Denial) -> Verdict {
    Verdict::pending(match denial {
        Denial::TimedOut => Line::new().text("the port accepts connections, but Redis does not answer yet"),
        Denial::Closed => Line::new().text("the port accepts connections, but closes them without an answer"),
        denial => Line::new().text("the connection failed: ").text(denial.text()),
    })
}

#[cfg(test)]
mod tests;
