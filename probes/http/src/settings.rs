//! What a definition's `readiness.settings` may hold.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use farrier_probe::schema::Shape;
use farrier_probe::{Line, Problem, Schema, http};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

/// What is asked for, and which answer is wanted.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    pub port: Option<u16>,
    /// `https` for a server that speaks TLS.
    #[setting(default = "http", values("http", "https"))]
    pub scheme: String,
    /// With `https`: accept any certificate of the server.
    pub insecure: bool,
    /// With `https`: the name that the server's certificate must be for, and the host name in the request. Default: the
    /// sidecar's name.
    pub server_name: Option<String>,
    /// The path of the request.
    #[setting(default = "/")]
    pub path: String,
    /// The method of the request.
    #[setting(default = "GET")]
    pub method: String,
    /// Headers of the request, by their names.
    pub headers: BTreeMap<String, String>,
    /// The status codes that count as ready: a number, a class such as `"2xx"`, or a list of both. Default: 200 to 399.
    pub status: Statuses,
    /// Text that the body of the answer must contain.
    pub body: Option<String>,
    /// Conditions on a body in JSON.
    pub json: Vec<Condition>,
}

/// Something about one place in a JSON body.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where to look: a JSON pointer (RFC 6901) such as `/checks/0/status`.
    pub pointer: String,
    /// What must be there.
    pub equals: Option<Value>,
    /// Whether anything must be there.
    pub exists: Option<bool>,
}

/// Status codes that are wanted: inclusive ranges.
#[derive(Debug)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Success, and redirections, which are not followed: whoever answers with one is up.
    const USUAL: (u16, u16) = (200, 399);

    pub fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(alloc::vec![Self::USUAL])
    }
}

impl Schema for Statuses {
    const SHAPE: Shape = Shape::Json {
        members: r#""type":["integer","string","array"],"minimum":200,"maximum":599,"items":{"type":["integer","string"],"minimum":200,"maximum":599}"#,
    };
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusesVisitor)
    }
}

/// One status, or a list.
struct StatusesVisitor;

impl<'de> Visitor<'de> for StatusesVisitor {
    type Value = Statuses;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a status such as 200, a class such as \"2xx\", or a list of these")
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<Statuses, E> {
        StatusVisitor.visit_u64(status).map(|Status(range)| Statuses(alloc::vec![range]))
    }

    fn visit_str<E: de::Error>(self, class: &str) -> Result<Statuses, E> {
        StatusVisitor.visit_str(class).map(|Status(range)| Statuses(alloc::vec![range]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
        let mut ranges = Vec::new();
        while let Some(Status(range)) = list.next_element()? {
            ranges.push(range);
        }
        Ok(Statuses(ranges))
    }
}

struct Status((u16, u16));

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = Status;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a status from 200 to 599, or a class such as \"2xx\"")
    }

    fn visit_u64<E: de::Error>(self, status: u64) -> Result<Status, E> {
        match u16::try_from(status) {
            Ok(status @ 200..=599) => Ok(Status((status, status))),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(status), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, class: &str) -> Result<Status, E> {
        match class.as_bytes() {
            [digit @ b'2'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                let first = u16::from(digit - b'0') * 100;
                Ok(Status((first, first + 99)))
            }
            _ => Err(E::invalid_value(de::Unexpected::Str(class), &self)),
        }
    }
}

impl Settings {
    /// Every setting that makes no sense.
    pub fn validate(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        if self.port == Some(0) {
            problems.push(Problem::new("port", "a port is a number from 1 to 65535"));
        }
        match self.scheme.as_str() {
            "https" => {}
            "http" => {
                for (field, is_set) in
                    [("insecure", self.insecure), ("server_name", self.server_name.is_some())]
                {
                    if is_set {
                        problems.push(Problem::new(field, "it is for TLS: add `scheme = \"https\"`"));
                    }
                }
            }
            _ => problems.push(Problem::new("scheme", "the scheme is `http` or `https`")),
        }
        if self.server_name.as_ref().is_some_and(String::is_empty) {
            problems.push(Problem::new("server_name", "it is empty: leave it out"));
        }
        if let Err(message) = http::check_path(&self.path) {
            problems.push(Problem::new("path", message));
        }
        if !http::is_token(&self.method) || self.method == "CONNECT" {
            problems.push(Problem::new("method", "this is no method that can be asked with, such as `GET`"));
        }
        for (name, value) in &self.headers {
            if let Err(message) = http::check_header(name, value) {
                problems.push(Problem::new(Line::new().text("headers.").text(name), message));
            }
        }
        if self.status.0.is_empty() {
            problems.push(Problem::new("status", "an empty list accepts no answer: leave it out"));
        }
        if self.body.as_ref().is_some_and(String::is_empty) {
            problems.push(Problem::new("body", "every body holds the empty text: leave it out"));
        }
        if self.method == "HEAD" {
            for (field, is_set) in [("body", self.body.is_some()), ("json", !self.json.is_empty())] {
                if is_set {
                    problems.push(Problem::new(field, "an answer to HEAD has no body"));
                }
            }
        }
        for (index, condition) in (0..).zip(&self.json) {
            condition.validate(index, &mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Condition {
    fn validate(&self, index: i32, problems: &mut Vec<Problem>) {
        let path = |field: &str| String::from(Line::new().text("json[").number(index).text("]").text(field));
        if !self.pointer.is_empty() && !self.pointer.starts_with('/') {
            problems.push(Problem::new(
                path(".pointer"),
                "a JSON pointer begins with `/`, as in `/status`; the empty one is the whole body",
            ));
        }
        if self.equals.is_some() == self.exists.is_some() {
            problems.push(Problem::new(path(""), "a condition has either `equals` or `exists`"));
        }
    }
}
