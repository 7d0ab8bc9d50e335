//! Names with values, in both forms of compose: a table, or a list of texts such as `name=value`.

use super::Reader;
use crate::definition::node::{Node, Value};
use crate::report::error::{Code, Problem};

/// A name with its value.
pub struct Pair<'n> {
    /// The name.
    pub name: &'n str,
    /// The value, if it is a single one.
    pub text: Option<&'n str>,
    /// Where the value stands; in a list, the whole text.
    pub node: &'n Node,
}

impl Reader<'_> {
    /// The pairs of a table, or of a list whose texts have one of these characters between name and value. What has no such
    /// character has an empty value. A name that stands twice is reported and left out, as is what is no text.
    pub fn pairs<'n>(&mut self, node: &'n Node, field: &str, separators: &[char]) -> Vec<Pair<'n>> {
        let mut pairs: Vec<Pair<'n>> = Vec::new();
        match &node.value {
            Value::Table(entries) => pairs.extend(entries.iter().map(|entry| Pair {
                name: &entry.key,
                text: entry.value.scalar().map(|scalar| scalar.text.as_str()),
                node: &entry.value,
            })),
            Value::List(items) => {
                if self.strings(node, field).is_none() {
                    return pairs;
                }
                for item in items {
                    let text = item.scalar().map_or("", |scalar| scalar.text.as_str());
                    let (name, value) = text.split_once(separators).unwrap_or((text, ""));
                    if pairs.iter().any(|pair| pair.name == name) {
                        self.twice(field, name, item);
                    } else {
                        pairs.push(Pair { name, text: Some(value), node: item });
                    }
                }
            }
            Value::Scalar(_) => {
                let hint = "Write names with their values: `{ name = \"value\" }`.";
                self.wrong(field, "a table", node, hint);
            }
        }
        pairs
    }

    /// Adds that something stands twice in a list.
    pub fn twice(&mut self, field: &str, what: &str, node: &Node) {
        let message = format!("`{field}` has `{what}` twice");
        self.report(Problem::error(Code::ConflictingFields, message).hint("Keep one of them."), &node.span);
    }
}
