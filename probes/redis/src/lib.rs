//! `redis`: ready when Redis answers PING, after it has loaded its data. Imports only `dial`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod protocol;
mod stream;

use alloc::string::String;
use alloc::{vec, vec::Vec};

use farrier_probe::{Context, Denial, Line, Probe, Problem, Verdict, dial};
use serde::Deserialize;

use stream::Stream;

struct Redis;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Whose password it is; the server's default user where there is none.
    username: Option<String>,
    /// Sent before PING.
    password: Option<String>,
}

impl Probe for Redis {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let Some(port) = context.port else {
            return Verdict::failed(
                "the redis probe needs a port, and the interface declares none: set `interface.port`",
            );
        };
        match dial::connect(&context.host, port, None) {
            Ok(mut connection) => ask(&mut connection, &settings),
            Err(denial) => undialled(&denial),
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        for (field, value) in [("username", &settings.username), ("password", &settings.password)] {
            if value.as_ref().is_some_and(String::is_empty) {
                problems.push(Problem::new(field, "it is empty: leave it out"));
            }
        }
        if settings.username.is_some() && settings.password.is_none() {
            problems.push(Problem::new("username", "it needs a `password` beside it"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

farrier_probe::export!(Redis with settings);

/// Logs in where a password is set, and asks.
fn ask(server: &mut impl Stream, settings: &Settings) -> Verdict {
    converse(server, settings).unwrap_or_else(|denial| unanswered(&denial))
}

fn converse(server: &mut impl Stream, settings: &Settings) -> Result<Verdict, Denial> {
    if let Some(password) = &settings.password {
        let mut words = vec!["AUTH"];
        words.extend(settings.username.as_deref());
        words.push(password);
        let reply = protocol::call(server, &words)?;
        if reply != b"+OK" {
            return Ok(answer::to_auth(&reply));
        }
    }
    let reply = protocol::call(server, &["PING"])?;
    Ok(answer::to_ping(&reply))
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
