//! The kernel's limits for each process.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value as Json, json as value};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Pair, Reader};
use crate::report::error::{Code, Problem};
use crate::report::quoted::listed;

/// As docker names them.
const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// No limit.
const UNLIMITED: i64 = -1;
const HINT: &str = "Write one number for both, or `{ soft = 1024, hard = 2048 }`; -1 is no limit.";

/// Limits by their name, soft and hard.
pub struct Ulimits;

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum UlimitEntry {
    Both(i64),
    Text(String),
    Each(UlimitPair),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
struct UlimitPair {
    soft: i64,
    hard: i64,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum UlimitTable {
    Table(BTreeMap<String, UlimitEntry>),
    List(Vec<String>),
}

impl Kind for Ulimits {
    type Value = BTreeMap<String, (i64, i64)>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let mut found = BTreeMap::new();
        for pair in reader.pairs(node, path, &['=']) {
            let field = format!("{path}.{}", pair.name);
            if !NAMES.contains(&pair.name) {
                let message = format!("`{field}` is not a limit that docker has");
                let hint = format!("The limits are {}.", NAMES.join(", "));
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &pair.node.span);
                continue;
            }
            match limits(&pair) {
                Some((soft, hard)) if exceeds(soft, hard) => {
                    let message = format!("`{field}` has a soft limit above its hard limit");
                    let problem = Problem::error(Code::ConflictingFields, message);
                    reader
                        .report(problem.hint("Lower the soft one, or raise the hard one."), &pair.node.span);
                }
                Some(limits) => drop(found.insert(pair.name.to_owned(), limits)),
                None => reader.wrong(&field, "a limit", pair.node, HINT),
            }
        }
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<UlimitTable>()
    }

    fn engine_value(value: &Self::Value) -> Option<Json> {
        let limits = value.iter();
        let limits = limits.map(|(name, (soft, hard))| value!({ "Name": name, "Soft": soft, "Hard": hard }));
        (!value.is_empty()).then(|| limits.collect())
    }

    /// Their order says nothing.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        let sorted = |list: &Json| {
            let mut texts: Vec<String> = list.as_array()?.iter().map(Json::to_string).collect();
            texts.sort();
            Some(texts)
        };
        shown.is_some_and(|shown| sorted(told) == sorted(shown))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let limit = |limit: i64| if limit == UNLIMITED { "none".to_owned() } else { limit.to_string() };
        let text = |(name, (soft, hard)): (&String, &(i64, i64))| {
            if soft == hard {
                format!("{name} {}", limit(*soft))
            } else {
                format!("{name} {}, at most {}", limit(*soft), limit(*hard))
            }
        };
        let limits: Vec<String> = value.iter().map(text).collect();
        if limits.is_empty() { Vec::new() } else { ValueText::line(label, listed(&limits)) }
    }
}

fn exceeds(soft: i64, hard: i64) -> bool {
    hard != UNLIMITED && (soft == UNLIMITED || soft > hard)
}

/// One number, `SOFT:HARD`, or a table of both.
fn limits(pair: &Pair<'_>) -> Option<(i64, i64)> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|limit| *limit >= UNLIMITED);
    if let Some(text) = pair.text {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        return Some((number(soft)?, number(hard)?));
    }
    let Value::Table(entries) = &pair.node.value else { return None };
    let of = |name: &str| {
        let scalar = entries.iter().find(|entry| entry.key == name)?.value.scalar()?;
        matches!(scalar.kind, ScalarKind::Integer(_)).then(|| number(&scalar.text))?
    };
    let known = entries.iter().all(|entry| ["soft", "hard"].contains(&entry.key.as_str()));
    Some((of("soft")?, of("hard").filter(|_| known)?))
}
