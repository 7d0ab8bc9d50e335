//! Everything that a definition file says, in a form that does not depend on how it is laid out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::node::{Node, ScalarKind, Value};

/// A value with its type; comments, layout, quotes and the order of keys are left out, keys that no field has are
/// not. Each kind is tagged, so that no two files that differ in meaning have one form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Declared {
    /// A single value: its type and its text.
    Scalar(&'static str, String),
    /// A list.
    List(Vec<Self>),
    /// A table.
    Table(BTreeMap<String, Self>),
}

impl Default for Declared {
    fn default() -> Self {
        Self::Table(BTreeMap::new())
    }
}

impl Declared {
    /// Takes it from a file's tree.
    pub(super) fn of(node: &Node) -> Self {
        match &node.value {
            Value::Scalar(scalar) => {
                let kind = match scalar.kind {
                    ScalarKind::Null => "null",
                    ScalarKind::Boolean(_) => "boolean",
                    ScalarKind::Integer(_) => "integer",
                    ScalarKind::Float(_) => "float",
                    ScalarKind::String => "string",
                    ScalarKind::Datetime => "datetime",
                };
                Self::Scalar(kind, scalar.text.clone())
            }
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Table(entries) => {
                let entry = |entry: &super::node::Entry| (entry.key.clone(), Self::of(&entry.value));
                Self::Table(entries.iter().map(entry).collect())
            }
        }
    }

    /// The same bytes for the same content.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // Text and sorted maps can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
