//! A probe's settings as JSON.

use serde_json::{Map, Number, Value as Json};

use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Reader, join};

/// The JSON of a tree; none where a number has no JSON form, which is reported.
pub fn json(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Json> {
    match &node.value {
        Value::List(items) => {
            let converted: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| json(item, &format!("{path}[{index}]"), reader))
                .collect();
            converted.into_iter().collect::<Option<_>>().map(Json::Array)
        }
        Value::Table(entries) => {
            let converted: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let path = join(path, &entry.key);
                    reader.note_key(&path, entry);
                    json(&entry.value, &path, reader).map(|value| (entry.key.clone(), value))
                })
                .collect();
            converted.into_iter().collect::<Option<Map<_, _>>>().map(Json::Object)
        }
        Value::Scalar(scalar) => {
            let value = match scalar.kind {
                ScalarKind::Null => Some(Json::Null),
                ScalarKind::Boolean(flag) => Some(Json::Bool(flag)),
                ScalarKind::Integer(number) => number.and_then(Number::from_i128).map(Json::Number),
                ScalarKind::Float(number) => Number::from_f64(number).map(Json::Number),
                ScalarKind::String | ScalarKind::Datetime => Some(Json::String(scalar.text.clone())),
            };
            if value.is_none() {
                let hint = "Settings reach the probe as JSON: use a finite number of 64 bits, or a string.";
                reader.wrong(path, "a number that JSON can represent", node, hint);
            }
            value
        }
    }
}
