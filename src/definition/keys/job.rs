//! That the sidecar ends by itself.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::Reader;

/// When a job runs. A sidecar that keeps running has none.
pub struct Job;

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobRuns {
    /// Until it succeeded, and again when something that it comes after was recreated.
    Once,
    /// In every launch.
    EveryLaunch,
}

impl JobRuns {
    const ALL: [Self; 2] = [Self::Once, Self::EveryLaunch];

    /// As a definition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::EveryLaunch => "every-launch",
        }
    }
}

impl Kind for Job {
    type Value = Option<JobRuns>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let text = node.scalar().filter(|scalar| scalar.kind == ScalarKind::String);
        let found =
            text.and_then(|scalar| JobRuns::ALL.into_iter().find(|runs| runs.as_str() == scalar.text));
        if found.is_none() {
            let hint = "Write `job = \"once\"`, or remove the key from a sidecar that keeps running.";
            reader.wrong(path, "\"once\" or \"every-launch\"", node, hint);
        }
        found
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["once", "every-launch"] })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |runs: &JobRuns| match runs {
            JobRuns::Once => "it ends by itself, and runs once",
            JobRuns::EveryLaunch => "it ends by itself, and runs in every launch",
        };
        value.iter().flat_map(|runs| ValueText::line(label, text(runs))).collect()
    }
}
