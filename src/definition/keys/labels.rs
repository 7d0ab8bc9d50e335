//! Labels for other tools.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use super::privileges::pairs_schema;
use crate::definition::node::Node;
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{listed, quoted, word};

/// What farrier's own begin with.
const OWN: &str = "farrier.";

/// Labels beside farrier's own.
pub struct Labels;

impl Kind for Labels {
    type Value = BTreeMap<String, String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let mut found = BTreeMap::new();
        for pair in reader.pairs(node, path, &['=']) {
            let field = format!("{path}.{}", pair.name);
            if pair.name.is_empty() {
                reader.wrong(&field, "a label with a name", pair.node, "Write `{ name = \"value\" }`.");
            } else if pair.name.starts_with(OWN) {
                let message =
                    format!("`{field}` is one of farrier's own labels, by which it knows its containers");
                let problem = Problem::error(Code::InvalidValue, message);
                reader.report(
                    problem.hint("Choose a name that does not begin with `farrier.`."),
                    &pair.node.span,
                );
            } else if let Some(text) = pair.text {
                found.insert(pair.name.to_owned(), text.to_owned());
            } else {
                reader.wrong(&field, "a single value", pair.node, "A label has one text value.");
            }
        }
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        pairs_schema(generator)
    }

    /// Beside them, a container has farrier's own and its image's.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        let shown = shown.and_then(Json::as_object);
        let is_shown =
            |(name, value): (&String, &Json)| shown.is_some_and(|shown| shown.get(name) == Some(value));
        told.as_object().is_some_and(|told| told.iter().all(is_shown))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let labels: Vec<String> =
            value.iter().map(|(name, value)| format!("{} = {}", word(name), quoted(value))).collect();
        if labels.is_empty() { Vec::new() } else { ValueText::line(label, listed(&labels)) }
    }
}
