//! A program of this host in place of an image.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::Node;
use crate::definition::reader::Reader;
use crate::report::quoted::quoted;

/// A program and its arguments.
pub struct Program;

/// The folder that a program starts in.
pub struct WorkingDirectory;

impl Kind for Program {
    type Value = Option<Vec<String>>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.program(node, path)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        let how = if keys.confine.is_some() { CONFINED } else { UNCONFINED };
        value.iter().flat_map(|words| ValueText::line(label, format!("{}, {how}", quoted(words)))).collect()
    }
}

const CONFINED: &str = "which runs on this machine as you, confined: see the line `confine`";
const UNCONFINED: &str =
    "which runs on this machine as you, unconfined: it can do everything that you can do";

impl Kind for WorkingDirectory {
    type Value = Option<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.string(node, path)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|folder| ValueText::line(label, quoted(folder))).collect()
    }
}
