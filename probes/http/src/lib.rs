//! `http`: ready when one HTTP/1.1 request is answered as the settings say. Imports only `dial`
//! and `tls`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod answer;
mod settings;

use alloc::vec::Vec;

use farrier_probe::http::{self, Failure, Request};
use farrier_probe::tls::{self, SPEAKS_TLS};
use farrier_probe::{Context, Probe, Problem, Verdict, stream};

use settings::Settings;

struct Http;

impl Probe for Http {
    type Settings = Settings;

    fn check(context: &Context, settings: Settings) -> Verdict {
        let port = match stream::port("http", settings.port, context) {
            Ok(port) => port,
            Err(verdict) => return verdict,
        };
        ask(&context.host, port, &settings).unwrap_or_else(|failure| failure.verdict())
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        settings.validate()
    }
}

fn ask(host: &str, port: u16, settings: &Settings) -> Result<Verdict, Failure> {
    let headers: Vec<(&str, &str)> =
        settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = Request { method: &settings.method, path: &settings.path, headers: &headers, body: b"" };
    if settings.scheme == "https" {
        let response = http::send_tls(host, port, settings.server_name.as_deref(), &request)?;
        return answer::verdict(response, settings);
    }
    let response = http::send(host, port, &request)?;
    let status = response.status;
    let verdict = answer::verdict(response, settings)?;
    // What many servers say to plain HTTP at their port for TLS.
    let maybe_tls = status == 400 && verdict != Verdict::Ready;
    Ok(if maybe_tls && tls::greeting(host, port).is_some() { Verdict::failed(SPEAKS_TLS) } else { verdict })
}

farrier_probe::export!(Http with settings);

#[cfg(test)]
mod tests;
