//! Ready when a name server answers for a name over TCP: with an address, or by saying that the name does not exist.

mod message;

wit_bindgen::generate!({
    // Copy the contract beside your crate, and name it here.
    path: "../../../wit",
    inline: "
        package examples:dns;
        world dns {
            import farrier:probe/dial@0.1.2;
            export farrier:probe/check@0.1.2;
        }
    ",
    world: "examples:dns/dns",
    generate_all,
});

use exports::farrier::probe::check::{Context, Guest, Verdict};
use farrier::probe::dial::{self, Connection};
use farrier::probe::types::{Denial, Pending};
use message::Answer;

struct Dns;

impl Guest for Dns {
    fn check(context: Context) -> Verdict {
        let Some(port) = context.port else {
            return Verdict::Failed("the interface declares no port".into());
        };
        let Some(name) = name(&context.settings) else {
            return Verdict::Failed("the settings name no `name` to ask for".into());
        };
        let answer = dial::connect(&context.host, port, None)
            .and_then(|server| ask(&server, &message::question(&name)));
        match answer {
            Ok(bytes) => verdict(&message::parse(&bytes)),
            Err(Denial::NotGranted(reason)) => Verdict::Failed(reason),
            Err(Denial::Refused) => pending("connection refused"),
            Err(_) => pending("the port is open, but no name server answers yet"),
        }
    }
}

export!(Dns);

/// The name to ask for. The component's schema describes it, so farrier has checked it before.
fn name(settings: &str) -> Option<String> {
    let settings: serde_json::Value = serde_json::from_str(settings).ok()?;
    settings.get("name")?.as_str().map(str::to_owned)
}

/// Sends a question, and reads the answer: over TCP, each message has its length in front (RFC 1035, 4.2.2).
fn ask(server: &Connection, question: &[u8]) -> Result<Vec<u8>, Denial> {
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    server.write(&[&length.to_be_bytes(), question].concat())?;
    let length = receive(server, 2)?;
    receive(server, usize::from(u16::from_be_bytes([length[0], length[1]])))
}

/// Reads exactly this many bytes.
fn receive(server: &Connection, count: usize) -> Result<Vec<u8>, Denial> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let left = u32::try_from(count - bytes.len()).unwrap_or(u32::MAX);
        let chunk = server.read(left)?;
        if chunk.is_empty() {
            return Err(Denial::Closed);
        }
        bytes.extend(chunk);
    }
    Ok(bytes)
}

fn verdict(answer: &Answer) -> Verdict {
    match answer {
        Answer::Known | Answer::Unknown => Verdict::Ready,
        Answer::ServerFailure => pending("SERVFAIL: the server has not loaded its zones, or reaches no other server"),
        Answer::Refused => Verdict::Failed("REFUSED: the server does not answer for this name".into()),
        Answer::Other(code) => pending(&format!("the server answers with code {code}")),
        Answer::Foreign => Verdict::Failed("the port does not speak DNS".into()),
    }
}

fn pending(reason: &str) -> Verdict {
    Verdict::Pending(Pending { reason: reason.into(), retry_after_ms: None, extend_ms: None })
}
