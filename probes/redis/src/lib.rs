//! `redis`: ready when Redis answers PING, has loaded its data, and, as a replica, has synchronised with its master.
//! Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod protocol;

use alloc::string::String;
use alloc::{vec, vec::Vec};

use farrier_probe::stream::{Failure, Server, Stream};
use farrier_probe::{Context, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

use protocol::Conversation;

const SERVER: Server<'_> = Server { probe: "redis", protocol: "Redis", name: "Redis" };

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
        let name = settings.tls.name(settings.server_name.as_deref(), context);
        SERVER.hold(context, settings.port, name, |server| converse(server, &settings))
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        for (field, value) in [("username", &settings.username), ("password", &settings.password)] {
            problems.extend(checks::empty(field, value.as_deref()));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.username.is_some() && settings.password.is_none() {
            problems.push(Problem::new("username", "it needs a `password` beside it"));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Redis with settings);

/// Logs in if a password is set, and asks.
fn converse(server: &mut impl Stream, settings: &Settings) -> Result<Verdict, Failure> {
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

#[cfg(test)]
mod tests;
