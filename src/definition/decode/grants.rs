//! What a custom probe may do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::tls_grant;
use crate::definition::grants::{DialGrant, DirGrant, Grants, SWITCHES};
use crate::definition::node::{Node, Value};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

const DIAL_HINT: &str = "Write \"self\", \"self:PORT\", or \"NAME:PORT\" with the name of another sidecar.";

/// Reads the `grants` table of a readiness table; empty where there is none. Without `env`, it is not known yet which
/// variables are set.
pub fn decode(
    readiness: Table<'_>,
    field: &str,
    has_port: Option<bool>,
    env: Option<&BTreeMap<String, String>>,
    reader: &mut Reader<'_>,
) -> Grants {
    let path = format!("{field}.grants");
    let Some(node) = readiness.get("grants") else {
        return Grants::default();
    };
    let span = readiness.key_span("grants");
    let Some(table) = reader.table(node, &path, &schema::grant_keys(), span) else {
        return Grants::default();
    };
    let mut is_on = |key: &str| {
        let node = table.get(key)?;
        reader.boolean(node, &format!("{path}.{key}"))
    };
    let names = SWITCHES.iter().map(|switch| switch.name);
    let switches = names.filter(|name| is_on(name).unwrap_or(false)).collect();
    Grants {
        dial: dial(table, &path, has_port, reader),
        tls: tls_grant::decode(table, &path, reader),
        exec: exec(table, &path, reader),
        switches,
        dirs: dirs(table, &path, reader),
        env: env_names(table, &path, env, reader),
    }
}

fn dial(grants: Table<'_>, path: &str, has_port: Option<bool>, reader: &mut Reader<'_>) -> Vec<DialGrant> {
    let Some((texts, items)) = strings_with_nodes(grants, "dial", path, reader) else {
        return Vec::new();
    };
    let mut granted = Vec::new();
    for (index, (text, item)) in texts.iter().zip(items).enumerate() {
        match dial_grant(text, has_port) {
            Ok(grant) => granted.push(grant),
            Err(reason) => {
                let message = format!("`{path}.dial[{index}]` is \"{text}\": {reason}");
                reader.report(Problem::error(Code::InvalidValue, message).hint(DIAL_HINT), &item.span);
            }
        }
    }
    granted
}

/// A place as a definition writes it.
///
/// # Errors
/// Why it is none.
pub fn dial_grant(text: &str, has_port: Option<bool>) -> Result<DialGrant, String> {
    if text == "self" {
        return if has_port == Some(false) {
            Err("the interface declares no port, so the grant must name one".to_owned())
        } else {
            Ok(DialGrant::This(None))
        };
    }
    let unbracketed = text.trim_start_matches('[').split(']').next().unwrap_or(text);
    if text.parse::<IpAddr>().is_ok() || (text.starts_with('[') && unbracketed.parse::<IpAddr>().is_ok()) {
        return Err("addresses cannot be granted".to_owned());
    }
    let Some((name, port)) = text.rsplit_once(':') else {
        return Err("it names no port".to_owned());
    };
    if name.parse::<IpAddr>().is_ok() {
        return Err("addresses cannot be granted".to_owned());
    }
    let port = match port.parse::<u16>() {
        Ok(port) if port != 0 && port.to_string() == text.get(name.len() + 1..).unwrap_or_default() => port,
        _ => return Err("its port is not a whole number from 1 to 65535".to_owned()),
    };
    match name {
        "" => Err("it names no sidecar".to_owned()),
        "self" => Ok(DialGrant::This(Some(port))),
        _ => Ok(DialGrant::Sidecar { name: name.to_owned(), port }),
    }
}

fn exec(grants: Table<'_>, path: &str, reader: &mut Reader<'_>) -> Vec<Vec<String>> {
    let path = format!("{path}.exec");
    let Some(node) = grants.get("exec") else {
        return Vec::new();
    };
    let Some(items) = reader.list(node, &path, "argument lists") else {
        return Vec::new();
    };
    let mut granted = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let field = format!("{path}[{index}]");
        if let Value::Scalar(_) = item.value {
            let hint = "Grant whole argument lists: `exec = [[\"pg_isready\", \"-q\"]]`.";
            reader.wrong(&field, "a list of strings", item, hint);
            continue;
        }
        let Some(words) = reader.program(item, &field) else {
            continue;
        };
        if words.iter().any(String::is_empty) {
            let message = format!("`{field}` contains an empty string");
            let hint = "Remove it, or write the argument.";
            reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &item.span);
            continue;
        }
        granted.push(words);
    }
    granted
}

fn dirs(grants: Table<'_>, path: &str, reader: &mut Reader<'_>) -> Vec<DirGrant> {
    let path = format!("{path}.dirs");
    let Some(node) = grants.get("dirs") else {
        return Vec::new();
    };
    let Some(items) = reader.list(node, &path, "tables") else {
        return Vec::new();
    };
    let mut granted: Vec<DirGrant> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(dir) = dir(item, &format!("{path}[{index}]"), reader) else {
            continue;
        };
        if granted.iter().any(|other| other.guest == dir.guest) {
            let message = format!(
                "`{path}[{index}].guest` is \"{}\", which another granted folder already uses",
                dir.guest
            );
            let hint = "Give each folder a path of its own.";
            reader.report(Problem::error(Code::ConflictingFields, message).hint(hint), &item.span);
            continue;
        }
        granted.push(dir);
    }
    granted
}

fn dir(item: &Node, field: &str, reader: &mut Reader<'_>) -> Option<DirGrant> {
    let span = item.span.clone();
    let table = reader.table(item, field, schema::Directory::KEYS, &span)?;
    let mut required = |key: &str, hint: &str| {
        let name = format!("{field}.{key}");
        let Some(node) = table.get(key) else {
            reader.missing(&name, hint, &span);
            return None;
        };
        reader.string(node, &name).map(|text| (text, node))
    };
    let host = required("host", "Name a folder beside the definition.");
    let guest = required("guest", "Name the absolute path under which the probe sees the folder.");
    let host = host.filter(|(text, node)| {
        let relative =
            Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !relative {
            let hint = "Move the folder beside the definition: a grant cannot lead out of that folder.";
            reader.wrong(&format!("{field}.host"), "a relative path without `..`", node, hint);
        }
        relative
    });
    let guest = guest.filter(|(text, node)| {
        let absolute = text.strip_prefix('/').is_some_and(|rest| {
            !rest.is_empty() && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
        });
        if !absolute {
            let hint = "Write it in full, for example \"/certs\".";
            reader.wrong(&format!("{field}.guest"), "an absolute path below `/`", node, hint);
        }
        absolute
    });
    Some(DirGrant { host: PathBuf::from(host?.0), guest: guest?.0 })
}

/// A grant of a variable that the definition does not set.
pub fn unset(field: &str, name: &str) -> Problem {
    let message = format!("`{field}` is \"{name}\", which this definition's `env` does not set");
    let hint = "Add it to `env`, or remove the grant: a probe cannot read farrier's own environment.";
    Problem::error(Code::InvalidValue, message).hint(hint)
}

fn env_names(
    grants: Table<'_>,
    path: &str,
    env: Option<&BTreeMap<String, String>>,
    reader: &mut Reader<'_>,
) -> Vec<String> {
    let Some((names, items)) = strings_with_nodes(grants, "env", path, reader) else {
        return Vec::new();
    };
    for (index, (name, item)) in names.iter().zip(items).enumerate() {
        if env.is_some_and(|env| !env.contains_key(name)) {
            reader.report(unset(&format!("{path}.env[{index}]"), name), &item.span);
        }
    }
    names
}

fn strings_with_nodes<'n>(
    table: Table<'n>,
    key: &str,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<(Vec<String>, &'n [Node])> {
    let node = table.get(key)?;
    let texts = reader.strings(node, &format!("{path}.{key}"))?;
    match &node.value {
        Value::List(items) => Some((texts, items)),
        _ => None,
    }
}
