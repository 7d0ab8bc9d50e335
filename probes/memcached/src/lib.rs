//! `memcached`: ready when memcached tells its version, after a login if the settings have one. Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::{format, vec::Vec};

use farrier_probe::lines::Lines;
use farrier_probe::stream::{Failure, Server, Stream};
use farrier_probe::{Context, Line, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

const SERVER: Server<'_> = Server { probe: "memcached", protocol: "memcached", name: "memcached" };
/// The longest line that is read, in bytes. Answers are shorter.
const LONGEST_LINE: usize = 512;
/// The command of the login: a server with logins reads it from any `set`, and stores nothing (memcached's doc/protocol.txt). For
/// a server without logins, the value has expired before it is stored.
const LOGIN: &str = "set farrier 0 -1";

struct Memcached;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// The user that the password belongs to.
    username: Option<String>,
    /// The password, if the server has a file of passwords (`--auth-file`). The probe does not know SASL (`-S`).
    password: Option<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Memcached {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let name = settings.tls.name(settings.server_name.as_deref(), context);
        SERVER.hold(context, settings.port, name, |server| converse(server, &settings))
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        for (field, value) in [("username", &settings.username), ("password", &settings.password)] {
            problems.extend(checks::empty(field, value.as_deref()));
            problems.extend(checks::line_break(field, value.as_deref()));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if settings.username.is_some() != settings.password.is_some() {
            let (has, lacks) =
                if settings.username.is_some() { ("username", "password") } else { ("password", "username") };
            problems.push(Problem::new(has, format!("it needs a `{lacks}` beside it")));
        }
        checks::result(problems)
    }
}

farrier_probe::export!(Memcached with settings);

/// Logs in if the settings have a login, and asks for the version.
fn converse(server: &mut impl Stream, settings: &Settings) -> Result<Verdict, Failure> {
    let mut server = Lines::new(server, LONGEST_LINE);
    if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
        let login = format!("{username} {password}");
        server.send(format!("{LOGIN} {}\r\n{login}\r\n", login.len()).as_bytes())?;
        let answer = server.line()?;
        if answer != b"STORED" {
            return refused(answer);
        }
    }
    server.send(b"version\r\n")?;
    let answer = server.line()?;
    let Some(version) = answer.strip_prefix(b"VERSION ") else { return refused(answer) };
    // A polite end, which the server does not answer.
    drop(server.send(b"quit\r\n"));
    Ok(if version.is_empty() { Verdict::pending("memcached tells no version") } else { Verdict::Ready })
}

/// What an answer means that is neither the version nor a login that was accepted. The file of passwords may still be
/// written, so only a login that is missing ends the wait.
fn refused(answer: Vec<u8>) -> Result<Verdict, Failure> {
    if answer == b"CLIENT_ERROR unauthenticated" {
        return Ok(Verdict::failed(
            "memcached needs a login: add `settings.username` and `settings.password`",
        ));
    }
    if answer == b"CLIENT_ERROR authentication failure" {
        return Ok(Verdict::pending(Line::new().text("the server refuses the login: ").bytes(&answer)));
    }
    // A server that knows no logins stores what should be one, so `set` is never an error of its own.
    for kind in [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"] {
        if answer.starts_with(kind) {
            return Ok(Verdict::pending(Line::new().bytes(&answer)));
        }
    }
    Err(Failure::Foreign(answer))
}

#[cfg(test)]
mod tests;
