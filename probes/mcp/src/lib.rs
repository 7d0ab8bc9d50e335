//! `mcp`: ready when a Model Context Protocol server initializes a session over streamable HTTP, and, where
//! that is asked for, lists these tools. Imports only `dial` and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod events;
mod session;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use farrier_probe::{Context, Line, Probe, Problem, Schema, Verdict, checks, http, stream, tls};
use serde::Deserialize;

use session::{Session, Trouble};

struct Mcp;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// The path of the server's endpoint.
    #[setting(default = "/mcp")]
    path: String,
    /// The Host header. Default: `localhost:PORT`, because servers that guard against DNS rebinding answer only to some
    /// names.
    host: Option<String>,
    /// Headers of each request, by their names, such as `Authorization`.
    headers: BTreeMap<String, String>,
    /// The tools that the server must list.
    tools: Vec<String>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Mcp {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let port = match stream::port("mcp", settings.port, context) {
            Ok(port) => port,
            Err(verdict) => return verdict,
        };
        let mut session = Session::new(&context.host, port, &settings);
        let verdict = session.initialize().and_then(|()| missing_tool(&mut session, &settings.tools));
        session.end();
        match verdict {
            Ok(None) => Verdict::Ready,
            Ok(Some(tool)) => {
                Verdict::pending(Line::new().text("the server does not list the tool `").text(tool).text("`"))
            }
            Err(trouble) => trouble.verdict(),
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::from_iter(checks::port(settings.port));
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        if let Err(message) = http::check_path(&settings.path) {
            problems.push(Problem::new("path", message));
        }
        if settings.host.as_ref().is_some_and(|host| !host.bytes().all(|byte| byte.is_ascii_graphic()))
            || settings.host.as_ref().is_some_and(String::is_empty)
        {
            problems.push(Problem::new("host", "a host is a name, and maybe a port: `localhost:8000`"));
        }
        for (name, value) in &settings.headers {
            if let Err(message) = http::check_header(name, value) {
                problems.push(Problem::new(Line::new().text("headers.").text(name), message));
            }
        }
        for (index, _) in (0..).zip(&settings.tools).filter(|(_, tool)| tool.is_empty()) {
            let path = Line::new().text("tools[").number(index).text("]");
            problems.push(Problem::new(path, "a tool has a name"));
        }
        checks::result(problems)
    }
}

/// The first wanted tool that the server does not list.
fn missing_tool<'a>(session: &mut Session<'_>, wanted: &'a [String]) -> Result<Option<&'a str>, Trouble> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let listed = session.tools()?;
    Ok(wanted.iter().find(|tool| !listed.contains(tool)).map(String::as_str))
}

farrier_probe::export!(Mcp with settings);

#[cfg(test)]
mod tests;
