//! What the container gets: environment, networks, memory, stop signal.

use std::collections::BTreeMap;

use super::reader::{Reader, Table};
use crate::definition::canonical_signal;
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::schema::Resources;
use crate::report::error::{Code, Problem};

/// Docker refuses a smaller limit (`linuxMinMemory` in moby's `daemon_unix.go`).
const SMALLEST_MEMORY: u64 = 6 * 1024 * 1024;

/// The environment, each value as its text stands in the file.
pub fn env(table: Table<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(node) = table.get("env") else { return env };
    let Value::Table(entries) = &node.value else {
        reader.wrong("env", "a table", node, "Write names with their values: `env = { NAME = \"value\" }`.");
        return env;
    };
    for entry in entries {
        let field = format!("env.{}", entry.key);
        let odd = entry.key.chars().find(|c| *c == '=' || c.is_control());
        if odd.is_some() || entry.key.is_empty() {
            let reason = match odd {
                Some('=') => "it contains `=`",
                Some(_) => "it contains a control character",
                None => "it is empty",
            };
            let message = format!("`{}` cannot be the name of an environment variable: {reason}", entry.key);
            let hint = "Use letters, digits and `_`, and put the value after the name.";
            reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &entry.key_span);
        }
        if let Some(scalar) = entry.value.scalar() {
            env.insert(entry.key.clone(), scalar.text.clone());
        } else {
            reader.wrong(
                &field,
                "a single value",
                &entry.value,
                "An environment variable has one text value.",
            );
        }
    }
    env
}

/// The networks that are joined in addition.
pub fn networks(table: Table<'_>, reader: &mut Reader<'_>) -> Vec<String> {
    let Some(node) = table.get("networks") else {
        return Vec::new();
    };
    let Some(names) = reader.strings(node, "networks") else {
        return Vec::new();
    };
    let Value::List(items) = &node.value else {
        return Vec::new();
    };
    let mut networks: Vec<String> = Vec::with_capacity(names.len());
    for (index, (name, item)) in names.into_iter().zip(items).enumerate() {
        if let Some((reason, hint)) = network_problem(&name) {
            let message = format!("`networks[{index}]` is \"{name}\": {reason}");
            reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &item.span);
        } else if !networks.contains(&name) {
            networks.push(name);
        }
    }
    networks
}

fn network_problem(name: &str) -> Option<(&'static str, &'static str)> {
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

/// The signal that asks it to end, under its one name.
pub fn stop_signal(table: Table<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let node = table.get("stop_signal")?;
    let scalar = node.scalar();
    let kind = scalar.map(|scalar| scalar.kind);
    let text = scalar.filter(|_| matches!(kind, Some(ScalarKind::String | ScalarKind::Integer(_))));
    let signal = text.and_then(|scalar| canonical_signal(&scalar.text));
    if signal.is_none() {
        reader.wrong(
            "stop_signal",
            "a signal",
            node,
            "Write its name or number, for example \"SIGINT\"; without the key it is the image's own, else SIGTERM.",
        );
    }
    signal
}

/// The memory limit in bytes.
pub fn memory(table: Table<'_>, reader: &mut Reader<'_>) -> Option<u64> {
    let node = table.get("resources")?;
    let resources = reader.table(node, "resources", Resources::KEYS, table.key_span("resources"))?;
    let node: &Node = resources.get("memory")?;
    let bytes = reader.size(node, "resources.memory")?;
    if bytes < SMALLEST_MEMORY {
        reader.out_of_range(node, "resources.memory", "at least 6 MiB, which is docker's minimum");
        return None;
    }
    Some(bytes)
}
