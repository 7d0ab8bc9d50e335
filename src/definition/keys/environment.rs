//! Environment variables.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::kind::{Kind, ValueText, json};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{quoted, word};
use crate::system::digest::sha256_hex;

/// Names with their values, each as its text stands in the file. Any of them may be a secret.
pub struct Environment;

/// What editors accept as a variable's value.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
pub(super) enum Scalar {
    Text(String),
    Number(f64),
    Boolean(bool),
}

impl Kind for Environment {
    type Value = BTreeMap<String, String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let mut env = BTreeMap::new();
        let Value::Table(entries) = &node.value else {
            reader.wrong(
                path,
                "a table",
                node,
                "Write names with their values: `env = { NAME = \"value\" }`.",
            );
            return env;
        };
        for entry in entries {
            let odd = entry.key.chars().find(|c| *c == '=' || c.is_control());
            if odd.is_some() || entry.key.is_empty() {
                let reason = match odd {
                    Some('=') => "it contains `=`",
                    Some(_) => "it contains a control character",
                    None => "it is empty",
                };
                let message =
                    format!("`{}` cannot be the name of an environment variable: {reason}", entry.key);
                let hint = "Use letters, digits and `_`, and put the value after the name.";
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &entry.key_span);
            }
            if let Some(scalar) = entry.value.scalar() {
                env.insert(entry.key.clone(), scalar.text.clone());
            } else {
                let hint = "An environment variable has one text value.";
                reader.wrong(&format!("{path}.{}", entry.key), "a single value", &entry.value, hint);
            }
        }
        env
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<BTreeMap<String, Scalar>>()
    }

    fn recorded(value: &Self::Value, salt: &str) -> String {
        let digests = value.iter().map(|(name, value)| (name, salted(salt, name, value)));
        json(&digests.collect::<BTreeMap<_, _>>())
    }

    /// One for each variable.
    fn differences(path: &str, before: Option<&Json>, now: Option<&Json>) -> Vec<String> {
        let variables = |value: Option<&Json>| value.and_then(Json::as_object).cloned().unwrap_or_default();
        let (before, now) = (variables(before), variables(now));
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
        changed.map(|name| format!("{path}.{name}")).collect()
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        if value.is_empty() {
            let nothing =
                if keys.program.is_some() { "your PATH, HOME, LANG and TZ" } else { "the image's own" };
            return ValueText::line(label, nothing);
        }
        let line = |(name, value): (&String, &String)| ValueText {
            label: format!("{label} {}", word(name)),
            text: quoted(value),
            is_secret: true,
        };
        value.iter().map(line).collect()
    }
}

/// The digest that stands for a variable's value in a label.
#[must_use]
pub fn salted(salt: &str, name: &str, value: &str) -> String {
    sha256_hex(format!("{salt}\0{name}\0{value}"))
}
