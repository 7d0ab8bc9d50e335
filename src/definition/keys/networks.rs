//! Networks of the engine.

use schemars::{Schema, SchemaGenerator};

use super::ContainerKeys;
use super::confine::{ConfinedNetwork, Confinement};
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::quoted;

/// Names of networks, each once.
pub struct Networks;

impl Kind for Networks {
    type Value = Vec<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let Some(names) = reader.strings(node, path) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            return Vec::new();
        };
        let mut networks: Vec<String> = Vec::with_capacity(names.len());
        for (index, (name, item)) in names.into_iter().zip(items).enumerate() {
            if let Some((reason, hint)) = problem(&name) {
                let message = format!("`{path}[{index}]` is \"{name}\": {reason}");
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &item.span);
            } else if !networks.contains(&name) {
                networks.push(name);
            }
        }
        networks
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        if keys.program.is_some() {
            let loopback = |confinement: &Confinement| confinement.network == ConfinedNetwork::Loopback;
            let is_closed = keys.confine.as_ref().is_some_and(loopback);
            return ValueText::line(label, if is_closed { "none" } else { "this machine's own" });
        }
        let text = match value.as_slice() {
            [] => "the harness's".to_owned(),
            networks => format!("the harness's, and {}", quoted(networks)),
        };
        ValueText::line(label, text)
    }
}

/// Why a container cannot join a network of this name, and what to do.
fn problem(name: &str) -> Option<(&'static str, &'static str)> {
    const REMOVE: &str = "Remove it: a sidecar is on the harness's network already.";
    if name == "host" || name == "none" {
        return Some(("a container cannot join this network in addition to another", REMOVE));
    }
    if name.starts_with("container:") {
        return Some(("a container cannot share another's network and have its own", REMOVE));
    }
    let right = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    (!right).then_some((
        "it is not a network's name",
        "Use letters, digits, `_`, `.` and `-`, as `docker network ls` shows them.",
    ))
}
