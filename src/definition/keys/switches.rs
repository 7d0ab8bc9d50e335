//! What is on or off.

use schemars::{Schema, SchemaGenerator};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::Node;
use crate::definition::reader::Reader;

/// Everything that root of the engine's host may. Off is the same as absent.
pub struct Privileged;

/// A file system that nothing can be written to. Off is the same as absent.
pub struct ReadOnly;

/// A first process that reaps others. An engine may do so by default, so that off is not the same as absent.
pub struct Init;

impl Kind for Privileged {
    type Value = bool;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.boolean(node, path).unwrap_or_default()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<bool>()
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let yes = || {
            ValueText::line(label, "it has the power of root on this machine, and so controls the machine")
        };
        if *value { yes() } else { Vec::new() }
    }
}

impl Kind for ReadOnly {
    type Value = bool;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        Privileged::decode(node, path, reader)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Privileged::schema(generator)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        if *value { ValueText::line(label, "it can write only to its mounts") } else { Vec::new() }
    }
}

impl Kind for Init {
    type Value = Option<bool>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.boolean(node, path)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Privileged::schema(generator)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |on: &bool| if *on { "the engine's, as its first process" } else { "none" };
        value.iter().flat_map(|on| ValueText::line(label, text(on))).collect()
    }
}
