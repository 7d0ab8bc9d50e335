//! Amounts that limit the container.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::Reader;
use crate::definition::size;
use crate::report::error::{Code, Problem};
use crate::report::quoted::bytes;

/// Docker refuses a smaller limit (`linuxMinMemory` in moby's `daemon_unix.go`).
const SMALLEST_MEMORY: u64 = 6 * 1024 * 1024;
/// Parts of a processor in one: docker's `NanoCpus`.
const PARTS: u64 = 1_000_000_000;
/// The smallest part of a processor that Linux can give: 1 ms of 100.
const SMALLEST_PART: u64 = PARTS / 100;
/// More processes than Linux has numbers for.
const MOST_PROCESSES: i128 = 1 << 22;

/// The limit of a container's memory, in bytes.
pub struct Memory;

/// How much memory processes of the container can share in `/dev/shm`, in bytes.
pub struct SharedMemory;

/// How much of the processors it may use, in parts of one.
pub struct Processors;

/// How many processes and threads it may have.
pub struct Processes;

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

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = value.map_or_else(|| "no limit".to_owned(), |most| format!("at most {}", bytes(most)));
        ValueText::line(label, text)
    }
}

impl Kind for SharedMemory {
    type Value = Option<u64>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let bytes = reader.size(node, path)?;
        if bytes == 0 {
            reader.out_of_range(node, path, "more than 0");
            return None;
        }
        Some(bytes)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        size::schema(generator)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|most| ValueText::line(label, format!("at most {}", bytes(*most)))).collect()
    }
}

impl Kind for Processors {
    type Value = Option<u64>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let scalar = node.scalar();
        let kind = scalar.map(|scalar| scalar.kind);
        let is_number =
            matches!(kind, Some(ScalarKind::Integer(_) | ScalarKind::Float(_) | ScalarKind::String));
        let Some(parts) = scalar.filter(|_| is_number).and_then(|scalar| parts(&scalar.text)) else {
            let hint = "Write how many processors it may use: 2, 0.5, \"1.5\".";
            reader.wrong(path, "a number of processors", node, hint);
            return None;
        };
        if parts < SMALLEST_PART {
            reader.out_of_range(node, path, "at least 0.01, which is the system's minimum");
            return None;
        }
        Some(parts)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "number", "minimum": 0.01 },
                { "type": "string", "pattern": "^([0-9]+\\.?[0-9]*|\\.[0-9]+)$" },
            ]
        })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |parts: u64| {
            let fraction = format!("{:09}", parts % PARTS);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("at most {}{point}{fraction} processors", parts / PARTS)
        };
        value.iter().flat_map(|parts| ValueText::line(label, text(*parts))).collect()
    }
}

/// A decimal number in parts; digits beyond what an engine can tell apart are left out.
fn parts(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let parts = whole.checked_mul(PARTS)?.checked_add(nine.parse().ok()?)?;
    i64::try_from(parts).is_ok().then_some(parts)
}

impl Kind for Processes {
    type Value = Option<u64>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let Some(ScalarKind::Integer(number)) = node.scalar().map(|scalar| scalar.kind) else {
            let hint = "Write a whole number without quotes: 100.";
            reader.wrong(path, "a number of processes", node, hint);
            return None;
        };
        match number {
            Some(most @ 1..=MOST_PROCESSES) => u64::try_from(most).ok(),
            // As compose and docker have it.
            Some(-1) => {
                let message = format!("`{path}` is -1, which means that there is no limit");
                let problem = Problem::warning(Code::InvalidValue, message);
                reader.report(problem.hint("Remove it: there is none by itself."), &node.span);
                None
            }
            _ => {
                reader.out_of_range(node, path, "from 1 to 4194304");
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 4_194_304 })
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        value.iter().flat_map(|most| ValueText::line(label, format!("at most {most} processes"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_exactly() {
        for (text, expected) in [
            ("1", Some(PARTS)),
            ("1.0", Some(PARTS)),
            ("0.5", Some(PARTS / 2)),
            (".5", Some(PARTS / 2)),
            ("2.", Some(2 * PARTS)),
            ("0.123456789999", Some(123_456_789)),
            ("1.5", Some(PARTS + PARTS / 2)),
            ("", None),
            (".", None),
            ("-1", None),
            ("1e3", None),
            ("1.5.5", None),
            ("nan", None),
            ("9223372037", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }
}
