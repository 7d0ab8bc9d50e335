//! Settings held against a schema, in the words that a probe of the SDK has for the same mistakes.

use serde_json::{Map, Number, Value};

use super::{Kind, Others, Schema, SchemaError, SettingsSchema};
use crate::definition::model::{Definition, Readiness};
use crate::definition::nearest;
use crate::probe::component::ComponentFile;
use crate::probe::limits::SETTINGS_PROBLEMS;
use crate::report::error::{Code, Problem};

/// Names and values that are listed in a message.
const MOST_LISTED: usize = 24;
/// Characters of a value that are quoted.
const QUOTED_CHARACTERS: usize = 60;
/// Characters of a path that are told.
const PATH_CHARACTERS: usize = 200;

/// A mistake in settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, as `json[0].pointer`; empty for the settings as a whole.
    pub path: String,
    /// Whether the name at the path is the mistake, and not its value.
    pub is_name: bool,
    /// What is wrong.
    pub message: String,
    /// What might be meant.
    pub hint: Option<String>,
}

/// The mistakes in a definition's settings that the component's schema finds, and what is wrong with the schema itself.
///
/// # Errors
/// The schema cannot be used, so that only the probe can check its settings.
pub fn problems(
    component: &ComponentFile,
    probe: &str,
    definition: &Definition,
    readiness: &Readiness,
) -> Result<Vec<Problem>, SchemaError> {
    let Some(schema) = SettingsSchema::of(component)? else { return Ok(Vec::new()) };
    let found = schema.check(&readiness.settings).into_iter().map(|violation| {
        let field = format!("{}.settings", readiness.field);
        let path = if violation.path.is_empty() { field } else { format!("{field}.{}", violation.path) };
        let place = if violation.is_name { definition.key_place(&path) } else { definition.place(&path) };
        violation.problem(&path).at(place).hint(format!("Correct the settings of the probe `{probe}`."))
    });
    Ok(found.collect())
}

impl Violation {
    /// What is told about it, under this path of the whole.
    #[must_use]
    pub fn problem(self, path: &str) -> Problem {
        let path: String = path.chars().take(PATH_CHARACTERS).collect();
        let problem = Problem::error(Code::ProbeSettings, format!("{path}: {}", self.message));
        self.hint.into_iter().fold(problem, Problem::hint)
    }
}

impl SettingsSchema {
    /// The first mistakes in the settings: at most as many as a probe may report itself.
    #[must_use]
    pub fn check(&self, settings: &Map<String, Value>) -> Vec<Violation> {
        let mut found = Vec::new();
        self.0.table(settings, "", &mut found);
        found
    }
}

fn violation(path: &str, message: String, hint: Option<String>) -> Violation {
    Violation { path: path.to_owned(), is_name: false, message, hint }
}

impl Schema {
    fn value(&self, value: &Value, name: &str, path: &str, found: &mut Vec<Violation>) {
        if found.len() >= SETTINGS_PROBLEMS {
            return;
        }
        let hint = || self.description.as_ref().map(|text| format!("`{name}`: {text}"));
        let is_listed = self.values.is_empty() || self.values.iter().any(|one| is_same(one, value));
        if !is_listed {
            let message = format!("invalid value: {}, expected {}", told(value), self.expected());
            found.push(violation(path, message, hint()));
            return;
        }
        if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| is_of(*kind, value)) {
            let message = format!("invalid type: {}, expected {}", told(value), self.expected());
            found.push(violation(path, message, hint()));
            return;
        }
        match value {
            Value::Number(number) if !self.holds(number) => {
                let message = format!("invalid value: {}, expected {}", told(value), self.expected());
                found.push(violation(path, message, hint()));
            }
            Value::Object(table) => self.table(table, path, found),
            Value::Array(list) => {
                let Some(items) = &self.items else { return };
                for (index, item) in list.iter().enumerate() {
                    if found.len() >= SETTINGS_PROBLEMS {
                        return;
                    }
                    items.value(item, name, &format!("{path}[{index}]"), found);
                }
            }
            _ => {}
        }
    }

    fn table(&self, table: &Map<String, Value>, path: &str, found: &mut Vec<Violation>) {
        for (name, value) in table {
            if found.len() >= SETTINGS_PROBLEMS {
                return;
            }
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match (self.properties.get(name), &self.others) {
                // YAML's empty value stands for a key that is absent; where it may not be, the probe says so.
                (Some(_), _) if value.is_null() => {}
                (Some(schema), _) => schema.value(value, name, &inner, found),
                (None, Others::Each(schema)) => schema.value(value, name, &inner, found),
                (None, Others::Anything) => {}
                (None, Others::Refused) => {
                    let names: Vec<&str> = self.properties.keys().map(String::as_str).collect();
                    let meant = nearest(name, &names).map(|name| format!("Did you mean `{name}`?"));
                    let message = format!("unknown field `{}`, {}", cut(name), expected_names(&names));
                    found.push(Violation { is_name: true, ..violation(&inner, message, meant) });
                }
            }
        }
        for name in self.required.iter().filter(|name| !table.contains_key(*name)) {
            if found.len() >= SETTINGS_PROBLEMS {
                return;
            }
            let text = self.properties.get(name).and_then(|schema| schema.description.as_ref());
            let hint = text.map(|text| format!("`{name}`: {text}"));
            found.push(violation(path, format!("missing field `{name}`"), hint));
        }
    }

    /// Whether a number is within the bounds.
    fn holds(&self, number: &Number) -> bool {
        let is_below = self.minimum.as_ref().is_some_and(|least| is_less(number, least));
        let is_above = self.maximum.as_ref().is_some_and(|most| is_less(most, number));
        !is_below && !is_above
    }

    /// What a value may be, in words.
    pub(super) fn expected(&self) -> String {
        if !self.values.is_empty() {
            let more = (self.values.len() > MOST_LISTED).then(|| "another of its values".to_owned());
            let values = self.values.iter().take(MOST_LISTED).map(|value| cut(&value.to_string()));
            return joined(&values.chain(more).collect::<Vec<_>>());
        }
        let kinds: Vec<String> = self.kinds.iter().map(|kind| self.kind(*kind)).collect();
        if kinds.is_empty() { "any value".to_owned() } else { joined(&kinds) }
    }

    fn kind(&self, kind: Kind) -> String {
        match kind {
            Kind::Null => "no value".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::String => "a string".to_owned(),
            Kind::Array => "a list".to_owned(),
            Kind::Object => "a table".to_owned(),
            Kind::Integer | Kind::Number => {
                let noun = if kind == Kind::Integer { "a whole number" } else { "a number" };
                match (&self.minimum, &self.maximum) {
                    (Some(least), Some(most)) => format!("a number from {least} to {most}"),
                    (Some(least), None) => format!("{noun} of at least {least}"),
                    (None, Some(most)) => format!("{noun} of at most {most}"),
                    (None, None) => noun.to_owned(),
                }
            }
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// In the words of serde.
fn expected_names(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MOST_LISTED { ", …" } else { "" };
    match quoted.as_slice() {
        [] => "there are no fields".to_owned(),
        [one] => format!("expected {one}"),
        [one, other] => format!("expected {one} or {other}"),
        several => format!("expected one of {}{more}", several.join(", ")),
    }
}

/// A value in the words of serde.
fn told(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("boolean `{flag}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(text) => format!("string \"{}\"", cut(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().nth(QUOTED_CHARACTERS).is_none() {
        return text.to_owned();
    }
    text.chars().take(QUOTED_CHARACTERS - 1).chain(['…']).collect()
}

fn is_of(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        // As JSON Schema has it: 1.0 is whole, too.
        Kind::Integer => {
            value.as_i64().is_some()
                || value.as_u64().is_some()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Kind::Number => value.is_number(),
        Kind::String => value.is_string(),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
    }
}

/// 1 and 1.0 are the same.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => !is_less(one, other) && !is_less(other, one),
        _ => one == other,
    }
}

fn is_less(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one < other),
    }
}
