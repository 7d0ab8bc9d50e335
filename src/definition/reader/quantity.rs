//! Durations and amounts of memory in a tree.

use std::time::Duration;

use super::Reader;
use crate::definition::node::{Node, ScalarKind};
use crate::definition::{duration, size};
use crate::report::error::{Code, Problem};

impl Reader<'_> {
    /// A duration: seconds as a number, or text with units.
    pub fn duration(&mut self, node: &Node, field: &str) -> Option<Duration> {
        let scalar = node.scalar();
        let parsed = match scalar.map(|scalar| scalar.kind) {
            #[expect(clippy::cast_precision_loss, reason = "whole seconds up to a day are exact")]
            Some(ScalarKind::Integer(Some(seconds))) => duration::parse_seconds(seconds as f64),
            Some(ScalarKind::Integer(None)) => Err("it is longer than 24 hours".to_owned()),
            Some(ScalarKind::Float(seconds)) => duration::parse_seconds(seconds),
            Some(ScalarKind::String) => duration::parse(scalar.map_or("", |scalar| scalar.text.as_str())),
            _ => Err("it must be a number or a string".to_owned()),
        };
        let hint = "Write seconds or a number with a unit: 30, \"500ms\", \"30s\", \"2m\"; at most 24 hours.";
        self.usable(parsed, node, field, "a duration", hint)
    }

    /// A duration that may also be 0.
    pub fn interval(&mut self, node: &Node, field: &str) -> Option<Duration> {
        let is_zero = |text: &str| {
            let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
            ["", "ms", "s", "m", "h"].contains(&&text[digits.len()..])
                && digits.trim_end().parse::<f64>().is_ok_and(|number| number == 0.0)
        };
        if node.scalar().is_some_and(|scalar| is_zero(scalar.text.trim())) {
            Some(Duration::ZERO)
        } else {
            self.duration(node, field)
        }
    }

    /// A whole number in a range.
    pub fn whole_number(&mut self, node: &Node, field: &str, least: u64, most: u64) -> Option<u64> {
        let number = match node.scalar().map(|scalar| scalar.kind) {
            Some(ScalarKind::Integer(Some(number))) => u64::try_from(number).ok(),
            _ => None,
        };
        let found = number.filter(|number| (least..=most).contains(number));
        if found.is_none() {
            let expected = format!("a whole number from {least} to {most}");
            self.wrong(field, &expected, node, "Write a number in this range, without quotes.");
        }
        found
    }

    /// An amount of memory in bytes.
    pub fn size(&mut self, node: &Node, field: &str) -> Option<u64> {
        let scalar = node.scalar();
        let parsed = match scalar.map(|scalar| scalar.kind) {
            Some(ScalarKind::Integer(number)) => number
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|bytes| i64::try_from(*bytes).is_ok())
                .ok_or_else(|| "it is out of the range that the engine accepts".to_owned()),
            Some(ScalarKind::Float(_) | ScalarKind::String) => {
                size::parse(scalar.map_or("", |scalar| scalar.text.as_str()))
            }
            _ => Err("it must be a number or a string".to_owned()),
        };
        let hint = "Write a number with a unit (B, KiB, MiB, GiB, TiB or PiB), for example \"512MiB\".";
        self.usable(parsed, node, field, "an amount of memory", hint)
    }

    /// Adds that a value is outside its range.
    pub fn out_of_range(&mut self, node: &Node, field: &str, range: &str) {
        let message = format!("`{field}` must be {range}, not {}", node.describe());
        let hint = "Choose a value in this range, or remove the key to get the default.";
        self.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
    }

    fn usable<T>(
        &mut self,
        parsed: Result<T, String>,
        node: &Node,
        field: &str,
        what: &str,
        hint: &str,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(reason) => {
                let message = format!("`{field}` is {}, which is not {what}: {reason}", node.describe());
                self.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
                None
            }
        }
    }
}
