//! How the harness reaches the sidecar.

use std::collections::BTreeMap;

use crate::definition::model::Interface;
use crate::definition::names::{is_dns_name, variable_token};
use crate::definition::node::{ScalarKind, Value};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

const KIND_HINT: &str =
    "Write `interface.kind = \"port\"` with `interface.port = 5432`, or `interface.kind = \"none\"`.";
const MCP_HINT: &str = "farrier starts no sidecar of this kind: write `interface.kind = \"port\"` to get its host and port as \
                        variables.";
const VOLUME_HINT: &str = "farrier starts no sidecar of this kind: write `interface.kind = \"none\"` and share the files another \
                           way.";

/// The interface, as far as it could be read.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The whole of it.
    pub value: Option<Interface>,
    /// Whether its kind has a port; none where the kind is unknown.
    pub has_port: Option<bool>,
}

/// Reads the `interface` table.
pub fn decode(table: Table<'_>, reader: &mut Reader<'_>) -> Decoded {
    let Some(node) = table.get("interface") else {
        reader.missing("interface", KIND_HINT, table.span);
        return Decoded::default();
    };
    let span = table.key_span("interface");
    let Some(interface) = reader.table(node, "interface", schema::known_keys("interface"), span) else {
        return Decoded::default();
    };
    let Some(kind_node) = interface.get("kind") else {
        reader.missing("interface.kind", KIND_HINT, span);
        return Decoded::default();
    };
    let kind = kind_node.scalar().filter(|scalar| scalar.kind == ScalarKind::String);
    let kind = kind.map_or("", |scalar| scalar.text.as_str());
    let (value, keys): (_, &[&str]) = match kind {
        "port" => (port(interface, reader), &["port", "ports", "publish", "aliases"]),
        "none" => (Some(Interface::None), &["publish"]),
        "mcp" => (mcp(interface, reader), &["port", "aliases", "name", "transport", "path"]),
        "volume" => (volume(interface, reader), &["volume", "mountpoint"]),
        _ => {
            reader.wrong("interface.kind", "\"port\" or \"none\"", kind_node, KIND_HINT);
            return Decoded::default();
        }
    };
    without_effect(interface, kind, keys, reader);
    Decoded { value, has_port: Some(matches!(kind, "port" | "mcp")) }
}

fn port(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<Interface> {
    let port = declared_port(interface, reader);
    let ports = ports(interface, reader);
    let aliases = aliases(interface, reader);
    Some(Interface::Port { port: port?, ports: ports?, aliases: aliases? })
}

fn mcp(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<Interface> {
    let port = declared_port(interface, reader);
    let aliases = aliases(interface, reader);
    let name = required_string(interface, "name", MCP_HINT, reader);
    if let (Some(name), Some(node)) = (&name, interface.get("name"))
        && !is_dns_name(name)
    {
        reader.wrong("interface.name", "a DNS name", node, MCP_HINT);
    }
    if let Some(node) = interface.get("transport")
        && node.scalar().is_none_or(|scalar| scalar.text != "http")
    {
        reader.wrong("interface.transport", "\"http\"", node, MCP_HINT);
    }
    let path = match interface.get("path") {
        Some(node) => reader.string(node, "interface.path"),
        None => Some("/mcp".to_owned()),
    };
    let path = path.map(|path| if path.starts_with('/') { path } else { format!("/{path}") });
    Some(Interface::Mcp { name: name?, port: port?, path: path?, aliases: aliases? })
}

fn volume(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<Interface> {
    let volume = required_string(interface, "volume", VOLUME_HINT, reader);
    let mountpoint = required_string(interface, "mountpoint", VOLUME_HINT, reader);
    Some(Interface::Volume { volume: volume?, mountpoint: mountpoint? })
}

fn declared_port(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<u16> {
    let Some(node) = interface.get("port") else {
        let hint = "Write the TCP port that the server in the container listens on.";
        reader.missing("interface.port", hint, interface.span);
        return None;
    };
    reader.port(node, "interface.port")
}

fn required_string(interface: Table<'_>, key: &str, hint: &str, reader: &mut Reader<'_>) -> Option<String> {
    let field = format!("interface.{key}");
    let Some(node) = interface.get(key) else {
        reader.missing(&field, hint, interface.span);
        return None;
    };
    reader.string(node, &field)
}

/// More ports by their names, whose forms in variables differ.
fn ports(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<BTreeMap<String, u16>> {
    let Some(node) = interface.get("ports") else {
        return Some(BTreeMap::new());
    };
    let hint = "Write names with their ports: `ports = { admin = 9001 }`.";
    let Some(table) = Table::of(node) else {
        reader.wrong("interface.ports", "a table", node, hint);
        return None;
    };
    let (mut found, mut all_right) = (BTreeMap::new(), true);
    for entry in table.entries() {
        let field = format!("interface.ports.{}", entry.key);
        let is_name = !variable_token(&entry.key).is_empty()
            && entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_name {
            let message = format!("`{}` cannot be a port's name", entry.key);
            let problem = Problem::error(Code::InvalidValue, message);
            reader.report(problem.hint("Use letters, digits, `_` and `-`."), &entry.key_span);
            all_right = false;
        } else if found.keys().any(|other: &String| variable_token(other) == variable_token(&entry.key)) {
            let message = format!("`{field}` has the variable of another port");
            let problem = Problem::error(Code::ConflictingFields, message);
            reader.report(problem.hint("Rename one of the two."), &entry.key_span);
            all_right = false;
        } else if let Some(port) = reader.port(&entry.value, &field) {
            found.insert(entry.key.clone(), port);
        } else {
            all_right = false;
        }
    }
    all_right.then_some(found)
}

fn aliases(interface: Table<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let Some(node) = interface.get("aliases") else {
        return Some(Vec::new());
    };
    let names = reader.strings(node, "interface.aliases")?;
    let Value::List(items) = &node.value else {
        return None;
    };
    let mut all_right = true;
    for (index, (name, item)) in names.iter().zip(items).enumerate() {
        if !is_dns_name(name) {
            let hint = "Use labels of 1 to 63 letters, digits and hyphens, separated by dots, at most 253 characters in total.";
            reader.wrong(&format!("interface.aliases[{index}]"), "a DNS name", item, hint);
            all_right = false;
        }
    }
    all_right.then_some(names)
}

/// Keys of another kind: aliases are an error, as they were for the Python launcher, the rest a warning.
fn without_effect(interface: Table<'_>, kind: &str, keys: &[&str], reader: &mut Reader<'_>) {
    for entry in interface.entries() {
        let key = entry.key.as_str();
        let of_another =
            schema::known_keys("interface").contains(&key) && !matches!(key, "kind" | "protocol");
        if !of_another || keys.contains(&key) {
            continue;
        }
        let message = format!("`interface.{key}` has no meaning if `kind` is \"{kind}\"");
        let problem = if ["aliases", "ports", "publish"].contains(&key) {
            Problem::error(Code::ConflictingFields, message)
        } else {
            Problem::warning(Code::ConflictingFields, message)
        };
        let problem = problem.hint(other_kind(key));
        reader.report(problem, &entry.key_span);
    }
}

fn other_kind(key: &str) -> &'static str {
    match key {
        "port" | "ports" | "publish" | "aliases" => "Remove it, or write `interface.kind = \"port\"`.",
        _ => "Remove it: farrier starts only sidecars of the kinds \"port\" and \"none\".",
    }
}
