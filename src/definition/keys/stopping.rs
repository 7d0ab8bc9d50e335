//! How the container is asked to end.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::Reader;
use crate::definition::{duration, signal};
use crate::report::elapsed::limit;

/// Seconds as engines count a grace period, rounded up: it is never shortened.
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A signal under its one name: `SIGINT`.
pub struct Signal;

/// How long something may take to end before it is killed.
pub struct GracePeriod;

impl Kind for Signal {
    type Value = Option<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let scalar = node.scalar();
        let kind = scalar.map(|scalar| scalar.kind);
        let text = scalar.filter(|_| matches!(kind, Some(ScalarKind::String | ScalarKind::Integer(_))));
        let found = text.and_then(|scalar| signal::canonical(&scalar.text));
        if found.is_none() {
            let hint = "Write its name or number, for example \"SIGINT\"; the default is the image's stop signal, or SIGTERM.";
            reader.wrong(path, "a signal", node, hint);
        }
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        signal::schema(generator)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|signal| ValueText::line(label, signal)).collect()
    }
}

impl Kind for GracePeriod {
    type Value = Option<Duration>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        reader.duration(node, path)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        duration::schema(generator)
    }

    fn engine_value(value: &Self::Value) -> Option<Json> {
        value.map(|grace| Json::from(whole_seconds(grace)))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|grace| ValueText::line(label, limit(*grace))).collect()
    }
}
