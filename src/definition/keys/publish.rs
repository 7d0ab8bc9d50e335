//! Ports of the container that are published on the engine's host.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json as value};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::listed;

/// Where a port is published if nothing else is said: for this host alone.
const OWN_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// More ports than a sidecar has.
const MOST: usize = 1_000;
const HINT: &str = "Write `[ADDRESS:][HOST:]CONTAINER[/udp]`: \"15432:5432\", \"5432\" for a free port, \"0.0.0.0:8000-8009:8000-8009\".";

/// What `interface.publish` holds.
pub struct Publish;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The address of the engine's host.
    pub address: IpAddr,
    /// The port there; 0 for one that is free.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, host, container, protocol } = self;
        write!(formatter, "{}:{container}/{protocol}", std::net::SocketAddr::new(*address, *host))
    }
}

impl Serialize for PublishedPort {
    /// The text that is hashed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PublishedPort {
    /// From an engine's words: the port inside with its protocol (`53/udp`), the address and the port of the host; `None` if
    /// they are no such port.
    #[must_use]
    pub fn of_engine(inside: &str, address: &str, host: &str) -> Option<Self> {
        let (container, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        let (address, host) = (address.parse().ok()?, host.parse().ok()?);
        Some(Self { address, host, container: container.parse().ok()?, protocol })
    }

    /// Whether both cannot be had at once.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let meets = self.address == other.address
            || (self.address.is_unspecified() && self.address.is_ipv4() == other.address.is_ipv4())
            || (other.address.is_unspecified() && self.address.is_ipv4() == other.address.is_ipv4());
        self.host != 0 && self.host == other.host && self.protocol == other.protocol && meets
    }
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum PublishEntry {
    Container(#[schemars(range(min = 1, max = 65535))] u16),
    Text(String),
    Table(PublishTable),
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
struct PublishTable {
    target: u16,
    published: Option<PublishedText>,
    host_ip: Option<String>,
    protocol: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum PublishedText {
    Number(u16),
    Text(String),
}

/// `A` or `A-B`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

/// `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`, as compose has it.
fn published(text: &str) -> Result<Vec<PublishedPort>, String> {
    let (text, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(format!("`{other}` is neither `tcp` nor `udp`")),
    };
    let (rest, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let container = range(container)
        .filter(|range| *range.start() != 0)
        .ok_or_else(|| format!("`{container}` is not a port"))?;
    let host = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("`{host}` is not a port"))?),
    };
    let address = match address {
        "" => OWN_HOST,
        text => {
            let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            plain.parse().map_err(|_| format!("`{plain}` is not an address"))?
        }
    };
    let count = container.len();
    let free = || std::iter::repeat_n(0, count).collect::<Vec<_>>();
    let hosts: Vec<u16> = match host {
        None => free(),
        Some(range) if range == (0..=0) => free(),
        Some(range) if range.len() == count => range.collect(),
        Some(_) => return Err("its two ranges are not equally long".to_owned()),
    };
    let ports = hosts.into_iter().zip(container);
    Ok(ports.map(|(host, container)| PublishedPort { address, host, container, protocol }).collect())
}

impl Kind for Publish {
    type Value = Vec<PublishedPort>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let Some(items) = reader.list(node, path, "ports") else { return Vec::new() };
        let mut all: Vec<PublishedPort> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let field = format!("{path}[{index}]");
            let Some(text) = text(item, &field, reader) else { continue };
            match published(&text) {
                Ok(found) => {
                    for port in found {
                        if all.iter().any(|other| other.collides(&port)) {
                            reader.twice(
                                path,
                                &std::net::SocketAddr::new(port.address, port.host).to_string(),
                                item,
                            );
                            break;
                        }
                        all.push(port);
                    }
                }
                Err(reason) => {
                    let message = format!("`{field}` is \"{text}\": {reason}");
                    reader.report(Problem::error(Code::InvalidValue, message).hint(HINT), &item.span);
                }
            }
            if all.len() > MOST {
                reader.out_of_range(node, path, "at most 1000 ports");
                return Vec::new();
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<PublishEntry>>()
    }

    fn engine_value(value: &Self::Value) -> Option<Json> {
        let mut bindings: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for port in value {
            let host = if port.host == 0 { String::new() } else { port.host.to_string() };
            let binding = value!({ "HostIp": port.address.to_string(), "HostPort": host });
            bindings.entry(format!("{}/{}", port.container, port.protocol)).or_default().push(binding);
        }
        (!bindings.is_empty()).then(|| value!(bindings))
    }

    /// A free port may be shown as 0 or as nothing.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        let all = |ports: &Json| {
            let mut all = Vec::new();
            for (port, bindings) in ports.as_object()? {
                for binding in bindings.as_array().into_iter().flatten() {
                    let host = binding["HostPort"].as_str().unwrap_or_default();
                    let host = if host == "0" { "" } else { host };
                    all.push(format!("{port} {} {host}", binding["HostIp"].as_str().unwrap_or_default()));
                }
            }
            all.sort();
            Some(all)
        };
        shown.is_some_and(|shown| all(told).is_some_and(|told| Some(told) == all(shown)))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |port: &PublishedPort| {
            let PublishedPort { address, host, container, protocol } = port;
            let host = if *host == 0 { "a free port".to_owned() } else { format!("port {host}") };
            let of = if address.is_loopback() {
                "for this machine alone"
            } else if address.is_unspecified() {
                "for every machine that reaches this one"
            } else {
                "for machines that reach that address"
            };
            format!("{container}/{protocol} at {host} of {address}, {of}")
        };
        let ports: Vec<String> = value.iter().map(text).collect();
        if ports.is_empty() { Vec::new() } else { ValueText::line(label, listed(&ports)) }
    }
}

/// A port as text: a number is the container's, a table is compose's.
fn text(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<String> {
    if let Value::Table(_) = node.value {
        let known = ["target", "published", "host_ip", "protocol", "mode", "name"];
        let table = reader.table(node, field, &known, &node.span)?;
        let of = |key: &str| table.get(key).and_then(Node::scalar).map(|scalar| scalar.text.as_str());
        let Some(target) = of("target") else {
            reader.missing(
                &format!("{field}.target"),
                "Name the port in the container: `target = 5432`.",
                table.span,
            );
            return None;
        };
        let address = of("host_ip").map(|address| {
            if address.contains(':') { format!("[{address}]:") } else { format!("{address}:") }
        });
        let host = format!("{}{}:", address.unwrap_or_default(), of("published").unwrap_or("0"));
        return Some(format!("{host}{target}/{}", of("protocol").unwrap_or("tcp")));
    }
    match node.scalar() {
        Some(scalar) if matches!(scalar.kind, ScalarKind::String | ScalarKind::Integer(_)) => {
            Some(scalar.text.clone())
        }
        _ => {
            reader.wrong(field, "a port", node, HINT);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_as_compose_has_them() {
        for (text, expected) in [
            ("5432", &["127.0.0.1:0:5432/tcp"][..]),
            ("15432:5432", &["127.0.0.1:15432:5432/tcp"]),
            ("0:5432", &["127.0.0.1:0:5432/tcp"]),
            ("127.0.0.1::5000", &["127.0.0.1:0:5000/tcp"]),
            ("0.0.0.0:80:8080", &["0.0.0.0:80:8080/tcp"]),
            ("[::1]:80:80", &["[::1]:80:80/tcp"]),
            ("53:53/udp", &["127.0.0.1:53:53/udp"]),
            ("53:53/UDP", &["127.0.0.1:53:53/udp"]),
            ("3000-3001", &["127.0.0.1:0:3000/tcp", "127.0.0.1:0:3001/tcp"]),
            ("9000-9001:80-81", &["127.0.0.1:9000:80/tcp", "127.0.0.1:9001:81/tcp"]),
        ] {
            let found =
                published(text).map(|ports| ports.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found, Ok(expected.iter().map(|port| (*port).to_owned()).collect()), "{text}");
        }
        for text in [
            "",
            "a",
            "0",
            "70000",
            "1:",
            ":",
            "+1:2",
            "1-:2",
            "9-8:9-8",
            "1-3:1-2",
            "8000-8009:80",
            "x:1:2",
            "1:2/sctp",
            "1:2:3:4",
        ] {
            assert!(published(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_collide_where_an_address_meets_another() {
        let port = |text| published(text).expect(text)[0];
        for (one, other, expected) in [
            ("80:1", "80:2", true),
            ("0.0.0.0:80:1", "80:2", true),
            ("127.0.0.2:80:1", "80:2", false),
            ("[::]:80:1", "80:2", false),
            ("80:1/udp", "80:1", false),
            ("1", "1", false),
        ] {
            assert_eq!(port(one).collides(&port(other)), expected, "{one} {other}");
        }
    }
}
