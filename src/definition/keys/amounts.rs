//! Amounts that limit the container.

use schemars::{Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::kind::{Kind, ValueText, json};
use crate::definition::node::Node;
use crate::definition::reader::Reader;
use crate::definition::size;
use crate::report::quoted::bytes;

/// Docker refuses a smaller limit (`linuxMinMemory` in moby's `daemon_unix.go`).
const SMALLEST_MEMORY: u64 = 6 * 1024 * 1024;

/// The limit of a container's memory, in bytes.
pub struct Memory;

impl Kind for Memory {
    type Value = Option<u64>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let bytes = reader.size(node, path)?;
        if bytes < SMALLEST_MEMORY {
            reader.out_of_range(node, path, "at least 6 MiB, which is docker's minimum");
            return None;
        }
        Some(bytes)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        size::schema(generator)
    }

    fn canonical(value: &Self::Value) -> String {
        json(value)
    }

    fn engine_value(value: &Self::Value) -> Option<Json> {
        value.map(Json::from)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = value.map_or_else(|| "no limit".to_owned(), |most| format!("at most {}", bytes(most)));
        ValueText::line(label, text)
    }
}
