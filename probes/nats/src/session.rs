//! One session of a client: the server's INFO, then CONNECT and PING, then a question to `JetStream`.

use alloc::format;
use alloc::string::String;

use farrier_probe::lines::Lines;
use farrier_probe::stream::{Failure, Upgrade};
use farrier_probe::{Line, Verdict, tls};
use serde::{Deserialize, Serialize};

use crate::Settings;

/// The longest line that is read, in bytes. INFO of a server in a large cluster lists the other servers.
const LONGEST_LINE: usize = 32 << 10;
/// The longest answer of `JetStream` that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
/// More lines than come before an answer: `+OK`, PING, and INFO again.
const MOST_LINES: usize = 50;
/// Where `JetStream` answers, and the number of the subscription. The server knows the subject on this connection alone.
const INBOX: &str = "_INBOX.farrier";
const SUBSCRIPTION: &str = "1";

/// What INFO says of a login, of TLS and of `JetStream`; what it leaves out is false.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    auth_required: bool,
    tls_required: bool,
    tls_available: bool,
    jetstream: bool,
}

/// What the client says of itself.
#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    headers: bool,
    /// So that a question that nobody answers gets an answer from the server.
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
}

/// The answer to a question to `JetStream`.
#[derive(Deserialize)]
struct Answer {
    error: Option<Trouble>,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    description: String,
}

/// Holds the whole conversation, inside TLS if there is a name for the server's certificate.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn hold(
    server: &mut impl Upgrade,
    settings: &Settings,
    server_name: Option<&str>,
) -> Result<Verdict, Failure> {
    let mut server = Lines::new(server, LONGEST_LINE);
    let first = server.line()?;
    if let Some(refusal) = first.strip_prefix(b"-ERR ") {
        return Ok(refused(refusal));
    }
    let info: Option<Info> = first.strip_prefix(b"INFO ").and_then(|json| serde_json::from_slice(json).ok());
    let Some(info) = info else { return Err(Failure::Foreign(first)) };
    if let Some(verdict) = unfit(&info, settings, server_name) {
        return Ok(verdict);
    }
    if let Some(name) = server_name
        && let Err(failure) = server.secure(name)
    {
        return Ok(failure.verdict());
    }
    server.send(format!("CONNECT {}\r\nPING\r\n", connect(settings, server_name.is_some())).as_bytes())?;
    if let Some(refusal) = until(&mut server, b"PONG")? {
        return Ok(refused(&refusal));
    }
    if settings.jetstream { ask_jetstream(&mut server) } else { Ok(Verdict::Ready) }
}

/// What the server cannot become without another configuration.
fn unfit(info: &Info, settings: &Settings, server_name: Option<&str>) -> Option<Verdict> {
    let has_login = settings.user.is_some() || settings.token.is_some();
    if server_name.is_some() && !info.tls_required && !info.tls_available {
        return Some(Verdict::failed(
            "the port does not speak TLS: NATS has no `tls` block; add it to its configuration, or remove `tls` from the \
             settings",
        ));
    }
    if server_name.is_none() && info.tls_required {
        return Some(Verdict::failed(tls::SPEAKS_TLS));
    }
    if info.auth_required && !has_login {
        return Some(Verdict::failed(
            "NATS needs a login: add `settings.user` and `settings.password`, or `settings.token`",
        ));
    }
    if settings.jetstream && !info.jetstream {
        return Some(Verdict::failed(
            "JetStream is off: start the server with `-js`, or remove `jetstream` from the settings",
        ));
    }
    None
}

fn connect(settings: &Settings, is_secured: bool) -> String {
    let connect = Connect {
        verbose: false,
        pedantic: false,
        tls_required: is_secured,
        name: "farrier",
        lang: "farrier",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        headers: true,
        no_responders: true,
        user: settings.user.as_deref(),
        pass: settings.password.as_deref(),
        auth_token: settings.token.as_deref(),
    };
    serde_json::to_string(&connect).unwrap_or_default()
}

/// Reads until this line; gives the server's words if it refuses instead.
fn until(
    server: &mut Lines<'_, impl Upgrade>,
    expected: &[u8],
) -> Result<Option<alloc::vec::Vec<u8>>, Failure> {
    for _ in 0..MOST_LINES {
        let line = server.line()?;
        if line == expected {
            return Ok(None);
        }
        match line.as_slice() {
            b"PING" => server.send(b"PONG\r\n")?,
            b"+OK" => {}
            info if info.starts_with(b"INFO ") => {}
            refusal if refusal.starts_with(b"-ERR ") => return Ok(refusal.get(5..).map(Into::into)),
            _ => return Err(Failure::Foreign(line)),
        }
    }
    Ok(Some(b"the server does not answer PING".to_vec()))
}

/// What a refusal means. Users may be added while the server runs, and limits may pass.
fn refused(words: &[u8]) -> Verdict {
    let words = words.strip_prefix(b"'").and_then(|words| words.strip_suffix(b"'")).unwrap_or(words);
    let line = match words {
        b"Authorization Violation" | b"Authentication Timeout" | b"User Authentication Expired" => {
            Line::new().text("the server refuses the login: ")
        }
        b"Secure Connection - TLS Required" => return Verdict::failed(tls::SPEAKS_TLS),
        _ => Line::new(),
    };
    Verdict::pending(line.bytes(words))
}

const UNANSWERED: &str = "JetStream does not answer yet";

/// Asks `JetStream` about this account. It answers once it has recovered its streams, and in a cluster has a leader.
fn ask_jetstream(server: &mut Lines<'_, impl Upgrade>) -> Result<Verdict, Failure> {
    let question = format!("SUB {INBOX} {SUBSCRIPTION}\r\nPUB $JS.API.INFO {INBOX} 0\r\n\r\n");
    server.send(question.as_bytes())?;
    for _ in 0..MOST_LINES {
        // NATS itself has answered on this connection.
        let Ok(line) = server.line() else { return Ok(Verdict::pending(UNANSWERED)) };
        if let Some(refusal) = line.strip_prefix(b"-ERR ") {
            return Ok(refused(refusal));
        }
        // The server's own answer, with a status in its headers: nobody listens to the question yet.
        if line.starts_with(b"HMSG ") {
            return Ok(Verdict::pending(UNANSWERED));
        }
        if line.starts_with(b"MSG ") {
            let length = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let length = core::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            let Some(length) = length.filter(|length| *length <= LONGEST_ANSWER) else {
                return Err(Failure::Foreign(line));
            };
            return Ok(answered(&server.exactly(length)?));
        }
        if line == b"PING" {
            server.send(b"PONG\r\n")?;
        }
    }
    Ok(Verdict::pending(UNANSWERED))
}

fn answered(json: &[u8]) -> Verdict {
    match serde_json::from_slice(json) {
        Ok(Answer { error: None }) => Verdict::Ready,
        Ok(Answer { error: Some(trouble) }) => {
            Verdict::pending(Line::new().text("JetStream is not ready: ").text(&trouble.description))
        }
        Err(_) => Verdict::pending("JetStream's answer is not JSON"),
    }
}
