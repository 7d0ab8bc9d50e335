//! The probe {{name}}: says hello to a server, and is ready when the answer is the expected one.

use std::io::{Read, Write};

use farrier_probe::{Context, Line, Probe, Schema, Verdict, dial};

/// The probe stops reading an answer at this length.
const MOST_BYTES: usize = 4096;

/// The definition's `settings`. farrier reports a mistake, with its line, before it starts any container. The comments on the
/// fields become part of the component; `farrier probe inspect` shows them.
#[derive(Debug, Default, serde::Deserialize, Schema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The text to send.
    send: String,
    /// The text that the answer must contain.
    expect: String,
}

struct Hello;

impl Probe for Hello {
    type Settings = Settings;

    /// One poll. Each poll starts with fresh memory; only `state` survives.
    fn check(context: &Context, settings: Settings) -> Verdict {
        let Some(port) = context.port else {
            return Verdict::failed("this sidecar has no port");
        };
        match dial::connect(&context.host, port, None) {
            Ok(connection) => converse(connection, &settings),
            Err(denial) => Verdict::pending(denial.text()),
        }
    }
}

farrier_probe::export!(Hello with settings);

fn converse(mut server: impl Read + Write, settings: &Settings) -> Verdict {
    if let Err(error) = server.write_all(settings.send.as_bytes()) {
        return Verdict::pending(Line::new().text("cannot say hello: ").text(&error.to_string()));
    }
    let expected = settings.expect.as_bytes();
    let (mut answer, mut part) = (Vec::new(), [0; 512]);
    while answer.len() < MOST_BYTES {
        if contains(&answer, expected) {
            return Verdict::Ready;
        }
        match server.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend(&part[..count]),
            Err(_) if !answer.is_empty() => break,
            Err(error) => return Verdict::pending(Line::new().text("no answer: ").text(&error.to_string())),
        }
    }
    let last = farrier_probe::line::last(&answer).unwrap_or_default();
    Verdict::pending(Line::new().text("the answer ends with: ").bytes(last))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
