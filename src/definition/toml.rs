//! TOML text to a tree.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Entry, Node, Scalar, ScalarKind, SyntaxError, Value};

/// More syntax errors than these are mostly consequences of the first.
const MAX_ERRORS: usize = 10;

/// Parses a whole file.
///
/// # Errors
/// Every syntax error that the parser can tell apart, in the order of the file.
pub fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { span: document.span(), value: table(text, document.get_ref()) });
    }
    let mut found: Vec<SyntaxError> = errors
        .iter()
        .map(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            let hint = if message.contains("duplicate key") {
                "Keep one of the two: TOML does not allow a key twice."
            } else {
                "Correct the TOML at this place; https://toml.io has the grammar."
            };
            SyntaxError {
                message: format!("the file is not valid TOML: {message}"),
                span: error.span().unwrap_or(0..0),
                hint: hint.to_owned(),
            }
        })
        .collect();
    found.sort_by_key(|error| error.span.start);
    found.dedup();
    found.truncate(MAX_ERRORS);
    Err(found)
}

fn table(text: &str, table: &DeTable<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_span: key.span(),
            value: node(text, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Value::Table(entries)
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.get_ref() {
        DeValue::Table(inner) => table(text, inner),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(text, item)).collect()),
        DeValue::String(string) => {
            Value::Scalar(Scalar { text: Cow::clone(string).into_owned(), kind: ScalarKind::String })
        }
        DeValue::Integer(number) => {
            let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
            as_written(text, &span, number.as_str(), ScalarKind::Integer(parsed))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().unwrap_or(f64::NAN);
            as_written(text, &span, number.as_str(), ScalarKind::Float(parsed))
        }
        DeValue::Boolean(flag) => {
            as_written(text, &span, if *flag { "true" } else { "false" }, ScalarKind::Boolean(*flag))
        }
        DeValue::Datetime(moment) => as_written(text, &span, &moment.to_string(), ScalarKind::Datetime),
    };
    Node { span, value }
}

/// A value that is not text: what stands in the file, underscores and radix included.
fn as_written(text: &str, span: &Range<usize>, otherwise: &str, kind: ScalarKind) -> Value {
    let written = text.get(span.clone()).map_or(otherwise, str::trim).to_owned();
    Value::Scalar(Scalar { text: written, kind })
}
