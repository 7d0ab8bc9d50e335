//! HTTP/1.1 over a dialled connection: one request and its answer, the body read as far as it is wanted.
//!
//! Small on purpose: no redirects followed, no compression asked for, one connection a request.

mod body;

use alloc::string::String;
use alloc::vec::Vec;

use crate::dial::{self, Connection};
use crate::tls::{self, SPEAKS_TLS};
use crate::{Denial, Line, Verdict};

pub use body::Response;

/// The most bytes of an answer's head that are read.
const HEAD_BYTES: usize = 32 << 10;
/// The most header lines of an answer.
const HEADERS: usize = 100;
/// The most answers that only announce another one (`100 Continue`, `103 Early Hints`).
const ANNOUNCEMENTS: usize = 20;
/// Bytes that one read asks for.
const READ_BYTES: u32 = 16 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path with its query: `/health?full=1`.
    pub path: &'a str,
    /// Header lines; `Host` among them unless a name of any case is there already.
    pub headers: &'a [(&'a str, &'a str)],
    /// Sent with its length, where it is not empty.
    pub body: &'a [u8],
}

/// Why there is no answer, or no whole one.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// There is no connection.
    Undialled(Denial),
    /// There is a connection, and no TLS.
    Tls(tls::Failure),
    /// The port accepts, and then nothing comes.
    Silent,
    /// The port accepts, and the connection ends without an answer.
    Unanswered,
    /// What came instead: its first bytes.
    NotHttp(Vec<u8>),
    /// The answer ends, or stops, in its middle.
    Cut(Denial),
}

impl Failure {
    /// What a poll says of it: only a missing grant and another protocol cannot mend themselves while a server
    /// starts.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Undialled(Denial::NotGranted(text)) => {
                Verdict::failed(Line::new().text("the dial was not granted: ").text(text))
            }
            Self::Undialled(denial) => Verdict::pending(Line::new().text(denial.text())),
            Self::Tls(failure) => failure.verdict(),
            Self::Silent => Verdict::pending("the port accepts connections, but does not answer HTTP yet"),
            Self::Unanswered => {
                Verdict::pending("the port accepts connections, but closes them without an answer")
            }
            Self::NotHttp(bytes) if tls::is_record(bytes) => Verdict::failed(SPEAKS_TLS),
            Self::NotHttp(bytes) => Verdict::pending(
                Line::new().text("the answer is not HTTP: ").bytes(crate::line::first(bytes)),
            ),
            Self::Cut(denial) => {
                Verdict::pending(Line::new().text("the answer breaks off: ").text(denial.text()))
            }
        }
    }
}

/// Sends one request on a connection of its own, and reads the head of its answer. If the server closes the
/// connection without one, a greeting in TLS tells whether that is what it waits for.
///
/// # Errors
/// Why there is no answer.
pub fn send(host: &str, port: u16, request: &Request<'_>) -> Result<Response, Failure> {
    let connection = dial::connect(host, port, None).map_err(Failure::Undialled)?;
    exchange(connection, &authority(host, port, 80), request).map_err(|failure| match failure {
        Failure::Unanswered => tls::greeting(host, port).map_or(Failure::Unanswered, Failure::NotHttp),
        failure => failure,
    })
}

/// Like [`send`], inside TLS: the certificate must be for `server_name`, or for `host` if there is none.
///
/// # Errors
/// Why there is no answer.
pub fn send_tls(
    host: &str,
    port: u16,
    server_name: Option<&str>,
    request: &Request<'_>,
) -> Result<Response, Failure> {
    let connection = dial::connect(host, port, None).map_err(Failure::Undialled)?;
    let name = server_name.unwrap_or(host);
    let connection = tls::start(connection, name, &["http/1.1"]).map_err(Failure::Tls)?;
    exchange(connection, &authority(name, port, 443), request)
}

/// The server as `Host` names it.
fn authority(host: &str, port: u16, default: u16) -> String {
    if port == default {
        return host.into();
    }
    let port = String::from(Line::new().number(port.into()));
    [host, ":", &port].concat()
}

fn exchange(connection: Connection, authority: &str, request: &Request<'_>) -> Result<Response, Failure> {
    let bytes = encode(authority, request);
    // A server that refuses early may have answered and closed before it read everything.
    let sent = connection.send(&bytes);
    let mut received = Vec::new();
    let mut announcements = 0;
    loop {
        match head(&received) {
            Parsed::Whole(head) if (100..200).contains(&head.status) => {
                received.drain(..head.length);
                announcements += 1;
                if announcements > ANNOUNCEMENTS {
                    return Err(Failure::Cut(Denial::Other("it announces an answer again and again".into())));
                }
            }
            Parsed::Whole(head) => {
                received.drain(..head.length);
                return Ok(Response::new(head, request.method == "HEAD", connection, received));
            }
            Parsed::Partial if received.len() <= HEAD_BYTES => match receive(&connection) {
                Ok(chunk) if chunk.is_empty() => return Err(ended(&received, sent.err())),
                Ok(chunk) => received.extend_from_slice(&chunk),
                Err(Denial::TimedOut) if received.is_empty() => return Err(Failure::Silent),
                Err(denial) => return Err(ended(&received, Some(denial))),
            },
            Parsed::Partial | Parsed::No => return Err(Failure::NotHttp(received)),
        }
    }
}

fn receive(connection: &Connection) -> Result<Vec<u8>, Denial> {
    connection.receive(READ_BYTES)
}

fn ended(received: &[u8], denial: Option<Denial>) -> Failure {
    match denial {
        None | Some(Denial::Closed) if received.is_empty() => Failure::Unanswered,
        None | Some(Denial::Closed) if !received.starts_with(b"HTTP/") => Failure::NotHttp(received.into()),
        denial => Failure::Cut(denial.unwrap_or(Denial::Closed)),
    }
}

/// The request as bytes. The connection is for this request only.
fn encode(authority: &str, request: &Request<'_>) -> Vec<u8> {
    let length = String::from(Line::new().number(i32::try_from(request.body.len()).unwrap_or(i32::MAX)));
    let given = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut lines: Vec<(&str, &str)> = Vec::new();
    if !given("host") {
        lines.push(("Host", authority));
    }
    if !given("user-agent") {
        lines.push(("User-Agent", "farrier-probe"));
    }
    lines.extend(request.headers);
    if !request.body.is_empty() {
        lines.push(("Content-Length", &length));
    }
    lines.push(("Connection", "close"));
    let mut text = [request.method, " ", request.path, " HTTP/1.1\r\n"].concat();
    for (name, value) in lines {
        for part in [name, ": ", value, "\r\n"] {
            text.push_str(part);
        }
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(request.body);
    bytes
}

enum Parsed {
    Whole(Head),
    Partial,
    No,
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    /// Bytes that it takes, with the empty line.
    length: usize,
}

fn head(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Ok(httparse::Status::Complete(length)) => {
            let status = response.code.unwrap_or_default();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = response.headers.iter();
            let headers = headers.map(|header| (header.name.into(), text(header.value))).collect();
            Parsed::Whole(Head { status, headers, length })
        }
        Err(_) => Parsed::No,
    }
}

/// Whether these can be sent as a header line.
///
/// # Errors
/// What is wrong with them.
pub fn check_header(name: &str, value: &str) -> Result<(), &'static str> {
    if !is_token(name) {
        return Err("this is no header name: letters, digits and hyphens");
    }
    if ["content-length", "connection", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own))
    {
        return Err("the probe sets this header itself");
    }
    if value.chars().any(char::is_control) {
        return Err("a header's value is one line, without control characters");
    }
    Ok(())
}

/// Whether this can be sent as a request's path.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("a path begins with `/`");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a path holds neither white space nor characters outside ASCII: write them as `%20`");
    }
    if path.contains('#') {
        return Err("a fragment (`#…`) is never sent to a server: leave it out");
    }
    Ok(())
}

/// A token of RFC 9110: a method, or a header's name.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
}

#[cfg(test)]
mod tests;
