//! The schema of a probe's settings, which the component carries in a custom section: a small part of JSON Schema, read from
//! untrusted text within limits.
//!
//! It can only refuse settings earlier than the probe itself would. Keywords that farrier does not know, it ignores; then
//! the probe decides.

mod check;
mod shown;

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::component::ComponentFile;

pub use check::{Violation, problems};
pub use shown::Setting;

/// The largest schema that is read.
pub const MOST_BYTES: usize = 64 << 10;
/// How deep schemas may nest.
const MOST_LEVELS: usize = 16;
/// The longest name of a setting, in bytes: names are compared with each other.
const LONGEST_NAME: usize = 128;
/// How many settings a table may have, and how many values one setting.
const MOST_NAMED: usize = 256;
/// Characters of a description that are kept.
const MOST_CHARACTERS: usize = 300;

/// Why a schema cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// More than [`MOST_BYTES`].
    #[error("it is larger than {} KiB", MOST_BYTES >> 10)]
    TooLarge,
    /// No JSON, or JSON that nests too deeply for its parser.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// Deeper than [`MOST_LEVELS`].
    #[error("it nests deeper than {MOST_LEVELS} levels")]
    TooDeep,
    /// Neither a table nor a truth value where a schema belongs.
    #[error("a schema in it is not a table")]
    NotASchema,
    /// A keyword with a value that JSON Schema does not give it, or that exceeds a limit.
    #[error("`{0}` must be {1}")]
    Keyword(&'static str, &'static str),
    /// It describes something other than a table.
    #[error("it describes no table of settings: `type` must be \"object\"")]
    NoTable,
}

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// A table.
    Object,
}

impl Kind {
    const ALL: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("null", |(name, _)| name)
    }
}

/// What keys of a table may be whose names the schema does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Others {
    /// Anything.
    #[default]
    Anything,
    /// There are none.
    Refused,
    /// What this says.
    Each(Box<Schema>),
}

/// What a value may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// Its types; any if there are none.
    pub kinds: Vec<Kind>,
    /// The only values; any if there are none.
    pub values: Vec<Value>,
    /// Of a table: the known keys.
    pub properties: BTreeMap<String, Self>,
    /// Of a table: the keys that it must have.
    pub required: Vec<String>,
    /// Of a table: all other keys.
    pub others: Others,
    /// Of a list: its items.
    pub items: Option<Box<Self>>,
    /// Of a number: the smallest.
    pub minimum: Option<Number>,
    /// Of a number: the largest.
    pub maximum: Option<Number>,
    /// What it is if it is absent.
    pub default: Option<Value>,
    /// What it is for, as one line.
    pub description: Option<String>,
}

/// The schema of a probe's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsSchema(Schema);

impl SettingsSchema {
    /// The schema that a component carries; `None` if it carries none.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn of(component: &ComponentFile) -> Result<Option<Self>, SchemaError> {
        component.settings_schema().map(Self::parse).transpose()
    }

    /// Reads a schema.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn parse(text: &[u8]) -> Result<Self, SchemaError> {
        if text.len() > MOST_BYTES {
            return Err(SchemaError::TooLarge);
        }
        let value: Value =
            serde_json::from_slice(text).map_err(|error| SchemaError::NotJson(error.to_string()))?;
        let schema = Schema::read(&value, 0)?;
        let is_table = schema.kinds.is_empty() || schema.kinds.contains(&Kind::Object);
        if is_table && value.is_object() { Ok(Self(schema)) } else { Err(SchemaError::NoTable) }
    }

    /// What farrier understood, as a JSON Schema.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.to_json()
    }
}

impl Schema {
    fn read(value: &Value, level: usize) -> Result<Self, SchemaError> {
        if level >= MOST_LEVELS {
            return Err(SchemaError::TooDeep);
        }
        // `true` and `false` are schemas, too.
        let Value::Object(members) = value else {
            return if value.is_boolean() { Ok(Self::default()) } else { Err(SchemaError::NotASchema) };
        };
        let mut schema = Self { description: description(members), ..Self::default() };
        // What it refers to is not looked up, here or elsewhere.
        if members.contains_key("$ref") {
            return Ok(schema);
        }
        schema.kinds = kinds(members)?;
        schema.values = values(members)?;
        schema.minimum = number(members, "minimum")?;
        schema.maximum = number(members, "maximum")?;
        schema.default = members.get("default").cloned();
        schema.required = required(members)?;
        schema.properties = properties(members, level)?;
        schema.others = match members.get("additionalProperties") {
            // What patterns would allow, farrier does not know.
            _ if members.contains_key("patternProperties") => Others::Anything,
            None | Some(Value::Bool(true)) => Others::Anything,
            Some(Value::Bool(false)) => Others::Refused,
            Some(each) => Others::Each(Box::new(Self::read(each, level + 1)?)),
        };
        schema.items = match members.get("items") {
            Some(items @ Value::Object(_)) if !members.contains_key("prefixItems") => {
                Some(Box::new(Self::read(items, level + 1)?))
            }
            _ => None,
        };
        Ok(schema)
    }

    fn to_json(&self) -> Value {
        let mut members = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(key.to_owned(), value);
            }
        };
        add("description", self.description.clone().map(Value::String));
        add(
            "type",
            match self.kinds.as_slice() {
                [] => None,
                [one] => Some(one.name().into()),
                several => Some(several.iter().map(|kind| kind.name()).collect()),
            },
        );
        add("enum", (!self.values.is_empty()).then(|| self.values.clone().into()));
        add("minimum", self.minimum.clone().map(Value::Number));
        add("maximum", self.maximum.clone().map(Value::Number));
        add("default", self.default.clone());
        let properties = self.properties.iter().map(|(name, schema)| (name.clone(), schema.to_json()));
        add("properties", (!self.properties.is_empty()).then(|| Value::Object(properties.collect())));
        add("required", (!self.required.is_empty()).then(|| self.required.clone().into()));
        add(
            "additionalProperties",
            match &self.others {
                Others::Anything => None,
                Others::Refused => Some(false.into()),
                Others::Each(schema) => Some(schema.to_json()),
            },
        );
        add("items", self.items.as_ref().map(|items| items.to_json()));
        Value::Object(members)
    }
}

type Members = Map<String, Value>;

/// One line, however it was written and however long.
fn description(members: &Members) -> Option<String> {
    let text = members.get("description")?.as_str()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let kept: String = words.join(" ").chars().take(MOST_CHARACTERS).collect();
    (!kept.is_empty()).then_some(kept)
}

fn kinds(members: &Members) -> Result<Vec<Kind>, SchemaError> {
    const EXPECTED: SchemaError = SchemaError::Keyword("type", "the name of a JSON type, or a list of them");
    let names = match members.get("type") {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names.as_slice(),
        Some(name) => std::slice::from_ref(name),
    };
    let kinds: Option<Vec<Kind>> = names.iter().map(|name| name.as_str().and_then(Kind::named)).collect();
    let mut kinds = kinds.filter(|kinds| !kinds.is_empty()).ok_or(EXPECTED)?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

fn values(members: &Members) -> Result<Vec<Value>, SchemaError> {
    const EXPECTED: SchemaError = SchemaError::Keyword("enum", "a list of 1 to 256 values");
    match (members.get("enum"), members.get("const")) {
        (Some(Value::Array(values)), _) if (1..=MOST_NAMED).contains(&values.len()) => Ok(values.clone()),
        (Some(_), _) => Err(EXPECTED),
        (None, Some(value)) => Ok(vec![value.clone()]),
        (None, None) => Ok(Vec::new()),
    }
}

fn number(members: &Members, keyword: &'static str) -> Result<Option<Number>, SchemaError> {
    match members.get(keyword) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.clone())),
        Some(_) => Err(SchemaError::Keyword(keyword, "a number")),
    }
}

fn required(members: &Members) -> Result<Vec<String>, SchemaError> {
    const EXPECTED: SchemaError =
        SchemaError::Keyword("required", "a list of at most 256 names, each of at most 128 bytes");
    let names = match members.get("required") {
        // Draft 3 has a truth value in the property itself.
        None | Some(Value::Bool(_)) => return Ok(Vec::new()),
        Some(Value::Array(names)) if names.len() <= MOST_NAMED => names,
        Some(_) => return Err(EXPECTED),
    };
    let name = |name: &Value| name.as_str().filter(|name| name.len() <= LONGEST_NAME).map(str::to_owned);
    names.iter().map(name).collect::<Option<_>>().ok_or(EXPECTED)
}

fn properties(members: &Members, level: usize) -> Result<BTreeMap<String, Schema>, SchemaError> {
    const EXPECTED: SchemaError =
        SchemaError::Keyword("properties", "a table of at most 256 schemas, with names of at most 128 bytes");
    let properties = match members.get("properties") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(properties)) if properties.len() <= MOST_NAMED => properties,
        Some(_) => return Err(EXPECTED),
    };
    if properties.keys().any(|name| name.len() > LONGEST_NAME || name.is_empty()) {
        return Err(EXPECTED);
    }
    properties.iter().map(|(name, schema)| Ok((name.clone(), Schema::read(schema, level + 1)?))).collect()
}

#[cfg(test)]
mod tests;
