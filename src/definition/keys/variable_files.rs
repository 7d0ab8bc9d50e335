//! Files with environment variables.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::quoted::{listed, quoted};

/// Files, in the order in which they are read. What is in them becomes part of `env`.
pub struct VariableFiles;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariableFile {
    /// Its path as written.
    pub path: String,
    /// Whether it must be there.
    pub required: bool,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum VariableFileList {
    One(#[schemars(length(min = 1))] String),
    Several(Vec<VariableFileEntry>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum VariableFileEntry {
    Path(#[schemars(length(min = 1))] String),
    Optional(VariableFileTable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
struct VariableFileTable {
    path: String,
    required: Option<bool>,
}

impl Kind for VariableFiles {
    type Value = Vec<VariableFile>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let mut files: Vec<VariableFile> = Vec::new();
        let single = std::slice::from_ref(node);
        let items = if let Value::List(items) = &node.value { items.as_slice() } else { single };
        for (index, item) in items.iter().enumerate() {
            let field = if matches!(node.value, Value::List(_)) {
                format!("{path}[{index}]")
            } else {
                path.to_owned()
            };
            let Some(file) = file(item, &field, reader) else { continue };
            if files.iter().any(|other| other.path == file.path) {
                reader.twice(path, &file.path, item);
            } else {
                files.push(file);
            }
        }
        files
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<VariableFileList>()
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |file: &VariableFile| {
            let absent = if file.required { "" } else { ", if it is there" };
            format!("{}{absent}", quoted(&file.path))
        };
        let files: Vec<String> = value.iter().map(text).collect();
        if files.is_empty() { Vec::new() } else { ValueText::line(label, listed(&files)) }
    }
}

/// A path, or compose's table of `path` and `required`.
fn file(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<VariableFile> {
    let Value::Table(_) = &node.value else {
        return Some(VariableFile { path: reader.string(node, field)?, required: true });
    };
    let table = reader.table(node, field, &["path", "required"], &node.span)?;
    let Some(path) = table.get("path") else {
        reader.missing(&format!("{field}.path"), "Name the file: `{ path = \"db.env\" }`.", table.span);
        return None;
    };
    let required = match table.get("required") {
        Some(required) => reader.boolean(required, &format!("{field}.required"))?,
        None => true,
    };
    Some(VariableFile { path: reader.string(path, &format!("{field}.path"))?, required })
}
