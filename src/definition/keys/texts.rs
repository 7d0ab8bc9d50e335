//! Words by which an engine is told one thing: a user, a name, a platform.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::names::is_sidecar_host;
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::Reader;
use crate::report::quoted::word;

/// Linux takes no longer one.
const LONGEST_HOSTNAME: usize = 64;

/// Who the container's processes run as: `USER[:GROUP]`, names or numbers.
pub struct User;

/// The name that the container has for itself.
pub struct Hostname;

/// The system and processor that the image is for: `linux/arm64`.
pub struct Platform;

impl Kind for User {
    type Value = Option<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let scalar = node.scalar();
        let is_text = |kind| matches!(kind, ScalarKind::String | ScalarKind::Integer(Some(0..)));
        let text = scalar.filter(|scalar| is_text(scalar.kind)).map(|scalar| scalar.text.as_str());
        let found = text.filter(|text| {
            let parts: Vec<&str> = text.split(':').collect();
            let odd = |c: char| c.is_whitespace() || c.is_control();
            parts.len() <= 2 && parts.iter().all(|part| !part.is_empty() && !part.contains(odd))
        });
        if found.is_none() {
            let hint = "Write a user, and a group if you like: \"postgres\", 1000, \"1000:1000\".";
            reader.wrong(path, "a user", node, hint);
        }
        found.map(str::to_owned)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[^:\\s]+(:[^:\\s]+)?$" },
            ]
        })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|user| ValueText::line(label, word(user))).collect()
    }
}

impl Kind for Hostname {
    type Value = Option<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let name = reader.string(node, path)?;
        if is_sidecar_host(&name) && name.len() <= LONGEST_HOSTNAME {
            return Some(name);
        }
        let hint = "Use labels of letters, digits, `_` and hyphens, separated by dots, 64 characters in all.";
        reader.wrong(path, "a host name", node, hint);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LONGEST_HOSTNAME })
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        User::texts(label, value, keys)
    }
}

impl Kind for Platform {
    type Value = Option<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let text = reader.string(node, path)?;
        let found = platform(&text);
        if found.is_none() {
            let hint = "Write the processor's name, as docker has it: \"linux/amd64\", \"linux/arm64\", \"linux/arm/v7\".";
            reader.wrong(path, "a platform of Linux", node, hint);
        }
        found
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }

    /// Docker does not show it; what an image is for cannot change.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        shown.is_none_or(|shown| shown == told)
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        User::texts(label, value, keys)
    }
}

/// A platform under its one name, as containerd normalises it: the system, the processor, and a variant if it is not the
/// usual one.
fn platform(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let parts: Vec<&str> = text.split('/').collect();
    let is_word = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let parts = match parts.as_slice() {
        ["linux", rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (architecture, variant) = match parts {
        [architecture] => (*architecture, None),
        [architecture, variant] => (*architecture, Some(*variant)),
        _ => return None,
    };
    // A single word may also be a system's name, of which there is only one here.
    if !is_word(&architecture)
        || !variant.iter().all(is_word)
        || ["windows", "linux", "darwin"].contains(&architecture)
    {
        return None;
    }
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
        ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
        ("armhf", None) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", None) => ("arm", Some("v6")),
        ("i386", None) => ("386", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64", variant) => ("arm64", variant),
        other => other,
    };
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("linux/{architecture}{variant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_one_name() {
        for (text, expected) in [
            ("linux/amd64", Some("linux/amd64")),
            ("amd64", Some("linux/amd64")),
            ("x86_64", Some("linux/amd64")),
            ("linux/x86_64/v3", Some("linux/amd64/v3")),
            ("Linux/ARM64/v8", Some("linux/arm64")),
            ("aarch64", Some("linux/arm64")),
            ("arm", Some("linux/arm/v7")),
            ("linux/arm/v6", Some("linux/arm/v6")),
            ("linux/riscv64", Some("linux/riscv64")),
            ("linux", None),
            ("windows/amd64", None),
            ("linux/", None),
            ("linux/a b", None),
            ("a/b/c/d", None),
            ("", None),
        ] {
            assert_eq!(platform(text).as_deref(), expected, "{text}");
        }
    }
}
