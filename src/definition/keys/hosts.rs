//! Names of hosts that the container finds without a name server.

use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::collections::BTreeMap;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::names::is_sidecar_host;
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::quoted::quoted;

/// What stands for the engine's host.
const GATEWAY: &str = "host-gateway";

/// Lines for `/etc/hosts`: `name:address`.
pub struct ExtraHosts;

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum ExtraHostList {
    Table(BTreeMap<String, ExtraHostAddresses>),
    List(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum ExtraHostAddresses {
    One(String),
    Several(Vec<String>),
}

impl Kind for ExtraHosts {
    type Value = Vec<String>;

    /// `{ name = "address" }`, `{ name = ["address"] }`, `["name:address"]` or `["name=address"]`.
    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        const HINT: &str = "Write names with their addresses: `{ \"db.test\" = \"10.0.0.5\" }`; \"host-gateway\" is the engine's host.";
        let mut lines = Vec::new();
        let mut line = |name: &str, text: &str, node: &Node, reader: &mut Reader<'_>| match address(text)
            .filter(|_| is_sidecar_host(name))
        {
            Some(address) => {
                let line = format!("{name}:{address}");
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
            None => reader.wrong(&format!("{path}.{name}"), "a host's address", node, HINT),
        };
        if let Value::List(items) = &node.value {
            // One name may have several addresses.
            let texts = reader.strings(node, path).unwrap_or_default();
            for (text, item) in texts.iter().zip(items) {
                let (name, text) = text.split_once(['=', ':']).unwrap_or((text, ""));
                line(name, text, item, reader);
            }
            return lines;
        }
        for pair in reader.pairs(node, path, &[]) {
            match (&pair.node.value, pair.text) {
                (Value::List(items), _) => {
                    for item in items {
                        line(
                            pair.name,
                            item.scalar().map_or("", |scalar| scalar.text.as_str()),
                            item,
                            reader,
                        );
                    }
                }
                (_, text) => line(pair.name, text.unwrap_or_default(), pair.node, reader),
            }
        }
        lines
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<ExtraHostList>()
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        if value.is_empty() { Vec::new() } else { ValueText::line(label, quoted(value)) }
    }
}

/// An address under its one name; IPv6 may stand in brackets.
fn address(text: &str) -> Option<String> {
    if text == GATEWAY {
        return Some(text.to_owned());
    }
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    plain.parse::<IpAddr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (text, expected) in [
            ("10.0.0.5", Some("10.0.0.5")),
            ("::1", Some("::1")),
            ("[0:0::1]", Some("::1")),
            ("host-gateway", Some("host-gateway")),
            ("localhost", None),
            ("10.0.0", None),
            ("", None),
        ] {
            assert_eq!(address(text).as_deref(), expected, "{text}");
        }
    }
}
