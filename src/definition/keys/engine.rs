//! On which engine the sidecar lives.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::{Reader, nearest};

/// The engine that a definition names. One that names none leaves the choice to the launch.
pub struct Engine;

/// An engine, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// Docker, and what has its API.
    Docker,
    /// This host, without a daemon.
    Native,
    /// A Docker Swarm.
    Swarm,
}

impl EngineName {
    const ALL: [Self; 3] = [Self::Docker, Self::Native, Self::Swarm];

    /// As a definition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Native => "native",
            Self::Swarm => "swarm",
        }
    }
}

impl Kind for Engine {
    type Value = Option<EngineName>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let text = node.scalar().filter(|scalar| scalar.kind == ScalarKind::String);
        let found =
            text.and_then(|scalar| EngineName::ALL.into_iter().find(|name| name.as_str() == scalar.text));
        if found.is_none() {
            let names = EngineName::ALL.map(EngineName::as_str);
            let meant = text.and_then(|scalar| nearest(&scalar.text, &names)).unwrap_or(names[0]);
            let hint =
                format!("Write `engine = \"{meant}\"`, or remove the key: farrier then chooses the engine.");
            reader.wrong(path, "\"docker\", \"native\" or \"swarm\"", node, &hint);
        }
        found
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["docker", "native", "swarm"] })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|name| ValueText::line(label, name.as_str())).collect()
    }
}
