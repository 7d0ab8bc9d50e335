//! On which nodes of an engine that has several a sidecar may run.

use schemars::{Schema, SchemaGenerator};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::quoted;

/// What a constraint is about, before its operator.
const ATTRIBUTES: [&str; 7] = [
    "node.id",
    "node.hostname",
    "node.ip",
    "node.role",
    "node.platform.os",
    "node.platform.arch",
    "node.labels.",
];
/// Of labels that a node's engine has, too.
const ENGINE_LABELS: &str = "engine.labels.";

/// Constraints, all of which hold for the node: `node.labels.gpu == true`.
pub struct Placement;

impl Kind for Placement {
    type Value = Vec<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let Some(texts) = reader.strings(node, path) else { return Vec::new() };
        let Value::List(items) = &node.value else { return Vec::new() };
        let mut constraints: Vec<String> = Vec::with_capacity(texts.len());
        for (index, (text, item)) in texts.into_iter().zip(items).enumerate() {
            match constraint(&text) {
                Some(constraint) if constraints.contains(&constraint) => {}
                Some(constraint) => constraints.push(constraint),
                None => {
                    let message = format!("`{path}[{index}]` is \"{text}\", which is no constraint on nodes");
                    let problem = Problem::error(Code::InvalidValue, message).hint(
                        "Write an attribute, `==` or `!=`, and a value: `node.labels.gpu == true`, `node.role == worker`.",
                    );
                    reader.report(problem, &item.span);
                }
            }
        }
        constraints
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        if value.is_empty() { Vec::new() } else { ValueText::line(label, quoted(value)) }
    }
}

/// Whether constraints name the one node that a sidecar may run on. Several nodes may have one host name, which only the engine
/// tells.
#[must_use]
pub fn names_one_node(constraints: &[String]) -> bool {
    constraints.iter().any(|constraint| named_node(constraint).is_some())
}

/// The node that a constraint names, by its id or its host's name.
#[must_use]
pub fn named_node(constraint: &str) -> Option<NamedNode<'_>> {
    let id = constraint.strip_prefix("node.id == ").map(NamedNode::Id);
    id.or_else(|| constraint.strip_prefix("node.hostname == ").map(NamedNode::Host))
}

/// A node that a constraint names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedNode<'a> {
    /// By its id.
    Id(&'a str),
    /// By the name of its host.
    Host(&'a str),
}

impl NamedNode<'_> {
    /// Whether a node with this id and host name is meant: the Swarm compares both without regard to case.
    #[must_use]
    pub const fn is(&self, id: &str, host: &str) -> bool {
        match self {
            Self::Id(named) => named.eq_ignore_ascii_case(id),
            Self::Host(named) => named.eq_ignore_ascii_case(host),
        }
    }
}

/// The constraint in one form; `None` if it is none.
fn constraint(text: &str) -> Option<String> {
    let (operator, (attribute, value)) = ["==", "!="]
        .into_iter()
        .filter_map(|operator| Some((operator, text.split_once(operator)?)))
        .min_by_key(|(_, (attribute, _))| attribute.len())?;
    let (attribute, value) = (attribute.trim(), value.trim());
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_known = ATTRIBUTES.iter().chain([&ENGINE_LABELS]).any(|known| match known.strip_suffix('.') {
        Some(_) => attribute.strip_prefix(known).is_some_and(is_name),
        None => attribute == *known,
    });
    (is_known && !value.is_empty()).then(|| format!("{attribute} {operator} {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_that_name_one_node() {
        for (constraint, expected) in [
            ("node.id == abc", Some(NamedNode::Id("abc"))),
            ("node.hostname == one", Some(NamedNode::Host("one"))),
            ("node.id != abc", None),
            ("node.role == manager", None),
            ("node.labels.node.id == abc", None),
        ] {
            assert_eq!(named_node(constraint), expected, "{constraint}");
            assert_eq!(names_one_node(&[constraint.to_owned()]), expected.is_some(), "{constraint}");
        }
    }

    #[test]
    fn constraints_on_nodes() {
        for (text, expected) in [
            ("node.labels.gpu==true", Some("node.labels.gpu == true")),
            (" node.role  !=  manager ", Some("node.role != manager")),
            ("engine.labels.disk == ssd", Some("engine.labels.disk == ssd")),
            ("node.hostname != a==b", Some("node.hostname != a==b")),
            ("node.labels.=true", None),
            ("node.labels. == true", None),
            ("node.role = worker", None),
            ("role == worker", None),
            ("node.id ==", None),
        ] {
            assert_eq!(constraint(text).as_deref(), expected, "{text}");
        }
    }
}
