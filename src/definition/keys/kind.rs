//! What a key's values are, and how each part of farrier reads, writes and tells them.

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value as Json;

use super::ContainerKeys;
use crate::definition::node::Node;
use crate::definition::reader::Reader;

/// A kind of values; several keys may have the same.
pub trait Kind {
    /// What the model holds. The default stands for an absent key.
    type Value: Clone + fmt::Debug + Default + Eq + Serialize;

    /// Reads a value, reports what is wrong with it, and leaves out what cannot be used.
    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value;

    /// What editors accept.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// The value as JSON, for hash and label. A value's form stays for ever: containers that run were hashed with it.
    fn canonical(value: &Self::Value) -> String {
        json(value)
    }

    /// The canonical form for a label, which everybody can read: secrets are salted digests.
    fn recorded(value: &Self::Value, _salt: &str) -> String {
        Self::canonical(value)
    }

    /// The paths that differ between two recorded forms of a key, or of its parts if each has a path of its own.
    fn differences(path: &str, before: Option<&Json>, now: Option<&Json>) -> Vec<String> {
        if before == now { Vec::new() } else { vec![path.to_owned()] }
    }

    /// The value as the engine takes it, for keys whose entry names a setting; `None` if the engine is told nothing.
    fn engine_value(value: &Self::Value) -> Option<Json> {
        let is_absent = *value == Self::Value::default();
        if is_absent { None } else { serde_json::to_value(value).ok() }
    }

    /// Whether what an engine shows is what it was told. Engines may write the same in another way.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        shown == Some(told)
    }

    /// What a question for an approval says: what holds, not only what is written.
    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText>;
}

/// A value in words, for a line of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueText {
    /// What it is about; no two lines of a question have the same.
    pub label: String,
    /// In words; not escaped yet.
    pub text: String,
    /// Whether it may be a password.
    pub is_secret: bool,
}

impl ValueText {
    /// The only line of a key.
    pub fn line(label: &str, text: impl Into<String>) -> Vec<Self> {
        vec![Self { label: label.to_owned(), text: text.into(), is_secret: false }]
    }
}

/// A value as JSON: numbers, texts and sorted maps can always be written.
pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
