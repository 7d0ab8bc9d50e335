//! What the container runs.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::ContainerKeys;
use super::kind::{Kind, ValueText, json};
use crate::definition::node::Node;
use crate::definition::reader::Reader;
use crate::report::quoted::quoted;

/// What holds if nothing is declared.
const OF_THE_IMAGE: &str = "the image's own";

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
pub enum Words {
    /// One text, split as a shell splits words.
    Line(#[schemars(length(min = 1))] String),
    /// Each word.
    List(Vec<String>),
}

/// Words that replace the image's entrypoint; an empty list is as good as none.
pub struct Entrypoint;

/// Words that replace the image's command, which an entrypoint drops.
pub struct Command;

impl Kind for Entrypoint {
    type Value = Option<Vec<String>>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.words(node, path)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Words>()
    }

    fn canonical(value: &Self::Value) -> String {
        json(value.as_deref().unwrap_or_default())
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        if keys.program.is_some() {
            return Vec::new();
        }
        ValueText::line(label, words(value.as_ref()).unwrap_or_else(|| OF_THE_IMAGE.to_owned()))
    }
}

impl Kind for Command {
    type Value = Option<Vec<String>>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        Entrypoint::decode(node, path, reader)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Entrypoint::schema(generator)
    }

    fn canonical(value: &Self::Value) -> String {
        Entrypoint::canonical(value)
    }

    fn texts(label: &str, value: &Self::Value, keys: &ContainerKeys) -> Vec<ValueText> {
        if keys.program.is_some() {
            return Vec::new();
        }
        let nothing = if words(keys.entrypoint.as_ref()).is_some() { "none" } else { OF_THE_IMAGE };
        ValueText::line(label, words(value.as_ref()).unwrap_or_else(|| nothing.to_owned()))
    }
}

fn words(value: Option<&Vec<String>>) -> Option<String> {
    value.filter(|words| !words.is_empty()).map(quoted)
}
