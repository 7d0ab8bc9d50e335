//! What the engine does when the container's process ends.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json as value};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::Reader;

/// Whether the engine starts it again. That it does not is the same as absent.
pub struct Restart;

/// When the engine starts it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whenever it ends, and when the engine starts.
    Always,
    /// Likewise, unless somebody stopped it before.
    UnlessStopped,
    /// When it ends with another code than 0, so many times at most; 0 is without an end.
    OnFailure(u32),
}

/// Docker's words; the inner option is none for a policy of not restarting.
#[expect(clippy::option_option, reason = "wrong, no policy and a policy are three answers")]
fn policy(text: &str) -> Option<Option<RestartPolicy>> {
    let (word, count) = text.split_once(':').map_or((text, None), |(word, count)| (word, Some(count)));
    match (word, count) {
        ("no" | "never" | "false", None) => Some(None),
        ("always", None) => Some(Some(RestartPolicy::Always)),
        ("unless-stopped", None) => Some(Some(RestartPolicy::UnlessStopped)),
        ("on-failure", None) => Some(Some(RestartPolicy::OnFailure(0))),
        ("on-failure", Some(count)) => {
            let count = count.parse::<u32>().ok().filter(|count| (1..=1_000_000).contains(count))?;
            Some(Some(RestartPolicy::OnFailure(count)))
        }
        _ => None,
    }
}

impl Kind for Restart {
    type Value = Option<RestartPolicy>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let scalar = node.scalar();
        let scalar =
            scalar.filter(|scalar| matches!(scalar.kind, ScalarKind::String | ScalarKind::Boolean(false)));
        let found = scalar.and_then(|scalar| policy(&scalar.text.to_ascii_lowercase()));
        if found.is_none() {
            let hint = "Write \"no\", \"on-failure\", \"on-failure:3\", \"always\" or \"unless-stopped\".";
            reader.wrong(path, "a restart policy", node, hint);
        }
        found.flatten()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(no|always|unless-stopped|on-failure(:[1-9][0-9]*)?)$" })
    }

    fn engine_value(value: &Self::Value) -> Option<Json> {
        let (name, count) = match value.as_ref()? {
            RestartPolicy::Always => ("always", 0),
            RestartPolicy::UnlessStopped => ("unless-stopped", 0),
            RestartPolicy::OnFailure(count) => ("on-failure", *count),
        };
        Some(value!({ "Name": name, "MaximumRetryCount": count }))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |policy: &RestartPolicy| match policy {
            RestartPolicy::Always => "always, also when the engine starts".to_owned(),
            RestartPolicy::UnlessStopped => "unless it was stopped, also when the engine starts".to_owned(),
            RestartPolicy::OnFailure(0) => "when it fails".to_owned(),
            RestartPolicy::OnFailure(count) => format!("when it fails, {count} times at most"),
        };
        value.iter().flat_map(|policy| ValueText::line(label, text(policy))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dockers_words() {
        for (text, expected) in [
            ("no", Some(None)),
            ("always", Some(Some(RestartPolicy::Always))),
            ("unless-stopped", Some(Some(RestartPolicy::UnlessStopped))),
            ("on-failure", Some(Some(RestartPolicy::OnFailure(0)))),
            ("on-failure:3", Some(Some(RestartPolicy::OnFailure(3)))),
            ("on-failure:0", None),
            ("on-failure:", None),
            ("on-failure:-1", None),
            ("always:3", None),
            ("sometimes", None),
            ("", None),
        ] {
            assert_eq!(policy(text), expected, "{text}");
        }
    }
}
