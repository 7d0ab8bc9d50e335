//! What a program of this host is confined to.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::quoted;

const KEYS: [&str; 3] = ["network", "read", "write"];
/// The only network that a program can be confined to.
const LOOPBACK: &str = "loopback";

/// What a program may use besides the system's programs and libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The files and folders that it may read, as written, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Those that it may also write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// The network that it has.
    #[serde(default, skip_serializing_if = "ConfinedNetwork::is_of_host")]
    pub network: ConfinedNetwork,
}

/// The network of a confined program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfinedNetwork {
    /// This host's.
    #[default]
    Host,
    /// A loopback interface of its own.
    Loopback,
}

impl ConfinedNetwork {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    const fn is_of_host(&self) -> bool {
        matches!(self, Self::Host)
    }
}

/// A program's confinement; `None` if nothing confines it.
pub struct Confine;

impl Kind for Confine {
    type Value = Option<Confinement>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let Value::Table(entries) = &node.value else {
            reader.wrong(path, "a table", node, "Write `{ read = [\"./assets\"], network = \"loopback\" }`.");
            return None;
        };
        let mut confinement = Confinement::default();
        for entry in entries {
            let field = format!("{path}.{}", entry.key);
            match entry.key.as_str() {
                "read" => confinement.read = paths(&entry.value, &field, reader),
                "write" => confinement.write = paths(&entry.value, &field, reader),
                "network" => match reader.string(&entry.value, &field) {
                    Some(name) if name == LOOPBACK => confinement.network = ConfinedNetwork::Loopback,
                    Some(_) => reader.wrong(
                        &field,
                        "\"loopback\"",
                        &entry.value,
                        "Write \"loopback\", or remove it: the program then uses this host's network.",
                    ),
                    None => {}
                },
                // A word that is passed over would leave something open that was meant to be closed.
                _ => {
                    let message = format!("`{field}` is not a key of `confine`");
                    let hint = format!("Remove it; the keys here are {}.", KEYS.join(", "));
                    reader.report(Problem::error(Code::UnknownKey, message).hint(hint), &entry.key_span);
                }
            }
        }
        Some(confinement)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let paths = serde_json::json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
        json_schema!({
            "type": "object",
            "properties": { "read": paths, "write": paths, "network": { "const": LOOPBACK } },
            "additionalProperties": false
        })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|confinement| ValueText::line(label, confinement.to_string())).collect()
    }
}

fn paths(node: &Node, field: &str, reader: &mut Reader<'_>) -> Vec<String> {
    let mut paths = reader.strings(node, field).unwrap_or_default();
    if let Some(index) = paths.iter().position(String::is_empty) {
        let problem = Problem::error(Code::InvalidValue, format!("`{field}[{index}]` is empty"));
        reader.report(problem.hint("Write a path, or remove it."), &node.span);
    }
    paths.sort();
    paths.dedup();
    paths
}

impl std::fmt::Display for Confinement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let and = |paths: &[String]| {
            if paths.is_empty() { String::new() } else { format!(" and {}", quoted(paths)) }
        };
        let network = match self.network {
            ConfinedNetwork::Host => "uses this machine's network without restriction",
            ConfinedNetwork::Loopback => "reaches no network and no other process of this machine",
        };
        write!(
            formatter,
            "it reads only the system's programs and libraries, its own file{}; writes only its own folder{}; and {network}",
            and(&self.read),
            and(&self.write),
        )
    }
}
