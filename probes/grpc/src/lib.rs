//! `grpc`: ready when the server's health service, `grpc.health.v1.Health`, says SERVING. Speaks HTTP/2, with
//! TLS if it is asked to. Imports only `dial` and `tls`.

mod answer;
mod call;
mod frame;
mod message;

use farrier_probe::dial::Connection;
use farrier_probe::stream::{self, Stream};
use farrier_probe::{Context, Denial, Probe, Problem, Schema, Verdict, checks, tls};
use serde::Deserialize;

use call::{Origin, Trouble};

/// Names of services are a few dozen bytes; this keeps the request within one frame.
const LONGEST_SERVICE: usize = 1024;

struct Grpc;

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The service to ask about, such as `orders.v1.Orders`. Default: the server as a whole.
    service: String,
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    port: Option<u16>,
    /// Whether to use TLS: `true` verifies the server's certificate, `"insecure"` accepts any.
    tls: tls::Setting,
    /// With TLS: the name that the server's certificate must be for. Default: the sidecar's name.
    server_name: Option<String>,
}

impl Probe for Grpc {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        ask(context, &settings).unwrap_or_else(|verdict| verdict)
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let service = &settings.service;
        if service.len() > LONGEST_SERVICE {
            problems.push(Problem::new("service", format!("it is longer than {LONGEST_SERVICE} bytes")));
        }
        if service.chars().any(|character| character.is_whitespace() || character.is_control()) {
            problems.push(Problem::new("service", "the name of a service holds no spaces"));
        }
        if service.contains('/') {
            problems.push(Problem::new(
                "service",
                "name a service, as in `orders.v1.Orders`, and no method of it: `Check` is asked about it",
            ));
        }
        problems.extend(settings.tls.problem(settings.server_name.as_deref()));
        problems.extend(checks::port(settings.port));
        checks::result(problems)
    }
}

farrier_probe::export!(Grpc with settings);

/// Dials, and asks. What ends it early is a verdict, too.
fn ask(context: &Context, settings: &Settings) -> Result<Verdict, Verdict> {
    let port = stream::port("grpc", settings.port, context)?;
    let is_plain = settings.tls == tls::Setting::Off;
    let name = settings.server_name.as_deref().unwrap_or(&context.host);
    let origin = Origin { authority: format!("{name}:{port}"), is_plain };
    let connection = stream::connect(context, port)?;
    let answer = secured(connection, name, is_plain)
        .and_then(|mut connection| health(&mut connection, &origin, &settings.service));
    Ok(match answer {
        // What many servers do at their port for TLS: some close, some answer with HTTP/1.
        Err(Trouble::NoGreeting(Denial::Closed) | Trouble::Foreign(_))
            if is_plain && tls::greeting(&context.host, port).is_some() =>
        {
            Verdict::failed(tls::SPEAKS_TLS)
        }
        Err(trouble) => answer::unanswered(&trouble),
        Ok(verdict) => verdict,
    })
}

/// The connection inside TLS, unless the server is asked in plain text. HTTP/2 is agreed on by ALPN.
fn secured(connection: Connection, name: &str, is_plain: bool) -> Result<Connection, Trouble> {
    if is_plain { Ok(connection) } else { tls::start(connection, name, &["h2"]).map_err(Trouble::Tls) }
}

/// Asks once how the service is.
fn health(connection: &mut impl Stream, origin: &Origin, service: &str) -> Result<Verdict, Trouble> {
    let answer = call::check(connection, origin, &message::request(service))?;
    Ok(answer::verdict(&answer, service))
}

#[cfg(test)]
mod tests;
