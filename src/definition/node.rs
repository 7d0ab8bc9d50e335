//! A definition file as a tree, whichever format it is written in: every key and value with its byte span.

use std::ops::Range;

/// How deep lists and tables may nest. A definition needs five levels; the rest is room for probe settings.
pub const MAX_DEPTH: usize = 64;

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Byte offsets into the file's text.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the file.
    Table(Vec<Entry>),
}

/// A single value: its text as written (quotes and escapes resolved), and what that text means.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The text; a container's environment gets exactly this.
    pub text: String,
    /// Its type.
    pub kind: ScalarKind,
}

/// The type of a single value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarKind {
    /// YAML's empty value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number; none where it is too large for 128 bits.
    Integer(Option<i128>),
    /// A number with a fraction or an exponent, `nan` or `inf`.
    Float(f64),
    /// Text.
    String,
    /// TOML's date or time.
    Datetime,
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

/// Why a text is not a tree, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// One sentence without a final period.
    pub message: String,
    /// Byte offsets into the text.
    pub span: Range<usize>,
    /// What to do.
    pub hint: String,
}

impl Node {
    /// An empty table: what an empty file is.
    pub fn empty() -> Self {
        Self { span: 0..0, value: Value::Table(Vec::new()) }
    }

    /// The single value, where it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// How many nodes it is made of, and how many bytes of text they hold.
    pub fn weight(&self) -> (usize, usize) {
        match &self.value {
            Value::Scalar(scalar) => (1, scalar.text.len()),
            Value::List(items) => {
                items.iter().map(Self::weight).fold((1, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            }
            Value::Table(entries) => entries.iter().fold((1, 0), |sum, entry| {
                let (nodes, bytes) = entry.value.weight();
                (sum.0 + nodes, sum.1 + bytes + entry.key.len())
            }),
        }
    }

    /// How many levels it has: 1 for a single value.
    pub fn height(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::height).max().unwrap_or(0),
            Value::Table(entries) => 1 + entries.iter().map(|entry| entry.value.height()).max().unwrap_or(0),
        }
    }

    /// The value in words, for the "not …" half of a message.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Scalar(scalar) => {
                let text = shortened(&scalar.text);
                match scalar.kind {
                    ScalarKind::Null => "an empty value".to_owned(),
                    ScalarKind::Boolean(_) => format!("the boolean {text}"),
                    ScalarKind::Integer(_) | ScalarKind::Float(_) => format!("the number {text}"),
                    ScalarKind::String => format!("the string \"{text}\""),
                    ScalarKind::Datetime => format!("the date {text}"),
                }
            }
        }
    }
}

/// At most 60 characters of a text.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().nth(LONGEST).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}
