//! `docs/definitions.md`: every key of a definition, from the table and the JSON Schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::KEYS;
use crate::definition::{json_schema, schema};

/// Where it is kept.
pub const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/definitions.md");

const HEAD: &str = "\
# Definitions

All keys of a definition. [Declaring sidecars](declaring.md) has an example and the rules for files and layers. This page is
generated from the schema for editors (`farrier schema`).

If you change the value of a key marked *yes*, farrier recreates the container; `farrier plan` names the key first. Changes to
other keys leave a running container alone.
";

/// The page.
pub fn page() -> String {
    let root = json_schema();
    let mut page = HEAD.to_owned();
    for (path, title, keys) in [
        ("", "The file", schema::known_keys("").to_vec()),
        ("resources", "`resources`", schema::known_keys("resources").to_vec()),
        ("interface", "`interface`", schema::known_keys("interface").to_vec()),
        ("harness", "`harness`", schema::Harness::KEYS.to_vec()),
        ("readiness", "`readiness`", schema::Readiness::KEYS.to_vec()),
        ("readiness.grants", "`readiness.grants`", schema::grant_keys()),
        ("readiness.grants.tls", "`readiness.grants.tls`", schema::Tls::KEYS.to_vec()),
        ("readiness.grants.dirs", "`readiness.grants.dirs`", schema::Directory::KEYS.to_vec()),
        ("readiness.limits", "`readiness.limits`", schema::Limits::KEYS.to_vec()),
    ] {
        let properties = root.pointer(&schema::properties_of(path)).expect("a table of the schema");
        let recreating = keys.iter().any(|key| recreates(path, key));
        let (column, line) = if recreating { (" recreates |", "---|") } else { ("", "") };
        let about = text(&root, properties, path);
        write!(page, "\n## {title}\n\n{about}| key | value |{column} meaning |\n|---|---|{line}---|\n")
            .expect("text");
        for key in keys {
            let property = &properties[key];
            let mark = match (recreating, recreates(path, key)) {
                (false, _) => "",
                (true, true) => " yes |",
                (true, false) => " |",
            };
            let meaning = property["description"].as_str().unwrap_or_default();
            let meaning = meaning.replace('\n', " ").replace('|', "\\|");
            writeln!(page, "| `{key}` | {} |{mark} {meaning} |", kind(&root, property)).expect("text");
        }
    }
    page
}

/// What the schema says of a whole table.
fn text(root: &Json, properties: &Json, path: &str) -> String {
    let tables = root["definitions"].as_object().into_iter().flat_map(|tables| tables.values());
    let own = tables
        .filter(|table| table["properties"] == *properties)
        .find_map(|table| table["description"].as_str());
    let about = own.filter(|_| !path.is_empty()).map(|about| format!("{}\n\n", about.replace('\n', " ")));
    about.unwrap_or_default()
}

fn recreates(table: &str, key: &str) -> bool {
    let path = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    matches!(path.as_str(), "image" | "interface.aliases") || KEYS.iter().any(|key| key.path == path)
}

/// A type in words.
fn kind(root: &Json, schema: &Json) -> String {
    if let Some(reference) = schema["$ref"].as_str().or(schema["allOf"][0]["$ref"].as_str()) {
        let referred = root.pointer(reference.trim_start_matches('#')).expect("a definition of the schema");
        return if referred["properties"].is_object() { "table".to_owned() } else { kind(root, referred) };
    }
    for choices in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choices].as_array() {
            let words: BTreeSet<String> = choices.iter().map(|choice| kind(root, choice)).collect();
            return words.into_iter().collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Json::as_str).map(|value| format!("`{value}`"));
        return values.collect::<Vec<_>>().join(", ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", plural(&kind(root, &schema["items"]))),
        Some("object") => "table".to_owned(),
        Some("string") => "string".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        _ => "any".to_owned(),
    }
}

fn plural(kind: &str) -> String {
    match kind.split_once(' ') {
        None => format!("{kind}s"),
        Some((first, rest)) => format!("{first}s {rest}"),
    }
}
