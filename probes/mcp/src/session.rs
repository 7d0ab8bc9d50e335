//! One session: initialized, asked, and ended.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use farrier_probe::http::{self, Failure, Request, Response};
use farrier_probe::tls::{self, SPEAKS_TLS};
use farrier_probe::{Line, Verdict};
use serde_json::{Value, json};

use crate::Settings;
use crate::events::Events;

/// The version that is proposed. The server answers with the one that it speaks, and any will do.
const PROTOCOL: &str = "2025-06-18";
/// The most bytes of one answer that are read.
const ANSWER_BYTES: usize = 1 << 20;
/// The most bytes of a stream that are read for one answer. A poll gives no memory back, so a server that tells other things
/// without end would use up the probe's.
const STREAM_BYTES: usize = 4 << 20;
/// The most pages of a list of tools that are read.
const PAGES: usize = 20;

/// Why the server does not serve.
pub enum Trouble {
    Http(Failure),
    /// Time may mend it.
    NotYet(String),
    /// Only a change of the definition mends it.
    Never(String),
}

impl Trouble {
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Http(failure) => failure.verdict(),
            Self::NotYet(reason) => Verdict::pending(reason),
            Self::Never(reason) => Verdict::failed(reason),
        }
    }
}

pub struct Session<'a> {
    host: &'a str,
    port: u16,
    settings: &'a Settings,
    /// The `Host` header.
    authority: String,
    id: Option<String>,
    /// What the server speaks, once it said so.
    protocol: Option<String>,
    requests: u32,
}

impl<'a> Session<'a> {
    pub fn new(host: &'a str, port: u16, settings: &'a Settings) -> Self {
        let local = || String::from(Line::new().text("localhost:").number(port.into()));
        let authority = settings.host.clone().unwrap_or_else(local);
        Self { host, port, settings, authority, id: None, protocol: None, requests: 0 }
    }

    /// Opens the session.
    pub fn initialize(&mut self) -> Result<(), Trouble> {
        let parameters = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": { "name": "farrier-probe", "version": env!("CARGO_PKG_VERSION") },
        });
        let result = self.call("initialize", &parameters)?;
        let text = |pointer| result.pointer(pointer).and_then(Value::as_str);
        let Some(protocol) = text("/protocolVersion") else {
            return Err(not_mcp("names no `protocolVersion`"));
        };
        if text("/serverInfo/name").is_none() {
            return Err(not_mcp("names no `serverInfo`"));
        }
        self.protocol = Some(protocol.to_string());
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let mut response = self.post(&note)?;
        self.accepted(&mut response, "notifications/initialized")
    }

    /// The names of all tools.
    pub fn tools(&mut self) -> Result<Vec<String>, Trouble> {
        let mut names = Vec::new();
        let mut parameters = json!({});
        for _ in 0..PAGES {
            let result = self.call("tools/list", &parameters)?;
            let tools = result.get("tools").and_then(Value::as_array);
            let tools = tools.ok_or_else(|| not_mcp("names no `tools`"))?;
            names.extend(tools.iter().filter_map(|tool| tool.get("name")?.as_str()).map(ToString::to_string));
            match result.get("nextCursor").and_then(Value::as_str) {
                Some(cursor) => parameters = json!({ "cursor": cursor }),
                None => break,
            }
        }
        Ok(names)
    }

    /// Ends the session where the server opened one, so that polls leave none behind. A server may decline.
    pub fn end(&mut self) {
        if self.id.is_some() {
            let _ = self.send("DELETE", b"");
        }
        self.id = None;
    }

    /// Calls a method, and gives its result.
    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, Trouble> {
        self.requests += 1;
        let id = self.requests;
        let mut response =
            self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }))?;
        if let Some(session) = response.header("mcp-session-id") {
            self.id = Some(session.to_string());
        }
        self.accepted(&mut response, method)?;
        let answer = answer_to(id, &mut response)?;
        if let Some(error) = answer.get("error") {
            let message =
                error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
            return Err(not_yet(Line::new().text(method).text(": ").text(message)));
        }
        answer.get("result").cloned().ok_or_else(|| not_mcp("holds neither a result nor an error"))
    }

    fn post(&self, message: &Value) -> Result<Response, Trouble> {
        self.send("POST", message.to_string().as_bytes()).map_err(Trouble::Http)
    }

    fn send(&self, method: &str, body: &[u8]) -> Result<Response, Failure> {
        let mut headers = alloc::vec![("Host", self.authority.as_str())];
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
            headers.push(("Accept", "application/json, text/event-stream"));
        }
        if let Some(id) = &self.id {
            headers.push(("Mcp-Session-Id", id));
        }
        if let Some(protocol) = &self.protocol {
            headers.push(("MCP-Protocol-Version", protocol));
        }
        headers.extend(self.settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = Request { method, path: &self.settings.path, headers: &headers, body };
        if self.is_plain() {
            return http::send(self.host, self.port, &request);
        }
        http::send_tls(self.host, self.port, self.settings.server_name.as_deref(), &request)
    }

    /// Whether the status says that the message was taken.
    fn accepted(&self, response: &mut Response, method: &str) -> Result<(), Trouble> {
        let line = Line::new().text("HTTP ").number(response.status.into()).text(" to ").text(method);
        match response.status {
            200..=299 => Ok(()),
            401 if !self.authorizes() => Err(Trouble::Never(
                line.text(
                    ": the server wants authorization: set `headers.Authorization` in the probe's settings",
                )
                .into(),
            )),
            421 => Err(Trouble::Never(
                line.text(": the server does not answer to this host: set `host` in the probe's settings")
                    .into(),
            )),
            // What many servers say to plain HTTP at their port for TLS.
            400 if self.is_plain() && tls::greeting(self.host, self.port).is_some() => {
                Err(Trouble::Never(SPEAKS_TLS.into()))
            }
            _ => {
                let body = response.body(200).map(|(body, _)| body).unwrap_or_default();
                let said = farrier_probe::line::first(&body);
                Err(not_yet(if said.is_empty() { line } else { line.text(": ").bytes(said) }))
            }
        }
    }

    fn is_plain(&self) -> bool {
        self.settings.tls == tls::Setting::Off
    }

    /// Whether the settings hold credentials. The server may not know them yet.
    fn authorizes(&self) -> bool {
        self.settings.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"))
    }
}

/// The answer to a request, among whatever else the server says: one JSON message, or a stream of them.
fn answer_to(id: u32, response: &mut Response) -> Result<Value, Trouble> {
    let kind = response.header("content-type").unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("text/event-stream") {
        let (body, whole) = response.body(ANSWER_BYTES).map_err(Trouble::Http)?;
        if !whole {
            return Err(not_mcp("is longer than 1 MiB"));
        }
        return match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if answers(&answer, id) => Ok(answer),
            _ => Err(not_mcp("is not the JSON-RPC answer to it")),
        };
    }
    let (mut events, mut received) = (Events::default(), 0);
    while let Some(part) = response.chunk().map_err(Trouble::Http)? {
        received += part.len();
        events.push(&part);
        while let Some(data) = events.next() {
            match serde_json::from_slice::<Value>(&data) {
                Ok(answer) if answers(&answer, id) => return Ok(answer),
                // A notification, or a request of the server's own.
                _ => {}
            }
        }
        if events.len() > ANSWER_BYTES {
            return Err(not_mcp("is longer than 1 MiB"));
        }
        if received > STREAM_BYTES {
            return Err(not_mcp("is not within the first 4 MiB of its stream"));
        }
    }
    Err(not_mcp("is a stream that ends without it"))
}

fn answers(message: &Value, id: u32) -> bool {
    let is_answer = message.get("result").is_some() || message.get("error").is_some();
    let answered = message.get("id");
    // An error before the request was understood has no id.
    let unread = message.get("error").is_some() && answered.is_none_or(Value::is_null);
    is_answer && (unread || answered.and_then(Value::as_u64) == Some(id.into()))
}

fn not_yet(line: Line) -> Trouble {
    Trouble::NotYet(line.into())
}

fn not_mcp(what: &str) -> Trouble {
    not_yet(Line::new().text("no MCP server: the answer ").text(what))
}
