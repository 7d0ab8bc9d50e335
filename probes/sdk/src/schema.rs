//! What a probe's settings may be, as data. `export!` writes it into the component as a JSON Schema, in the custom section
//! `farrier:settings-schema`; farrier checks definitions against that before it compiles the component.
//!
//! The text is made while the probe is compiled, so that nothing of it is in the probe's code or memory.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// What a type of settings may contain. Derive it: `#[derive(farrier_probe::Schema)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what settings it accepts",
    label = "no schema",
    note = "add `#[derive(farrier_probe::Schema)]` to a type of your own, or `#[setting(anything)]` to a field of another type",
    note = "a probe without a schema is exported with `export!(Type with settings and no schema)`"
)]
pub trait Schema {
    /// What a value may be.
    const SHAPE: Shape;
    /// The type's default as JSON, if JSON can write it.
    const DEFAULT: Option<&'static str> = None;
}

/// What a value of the settings may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything that a definition can hold.
    Anything {},
    /// `true` or `false`.
    Boolean {},
    /// A whole number.
    Integer {
        /// The smallest one.
        minimum: Option<i128>,
        /// The largest one.
        maximum: Option<i128>,
    },
    /// Any number.
    Number {},
    /// Text.
    Text {},
    /// One of these values.
    OneOf {
        /// Each as JSON.
        values: &'static [&'static str],
    },
    /// A list.
    List {
        /// What each item may be.
        items: &'static Shape,
    },
    /// A table whose keys have any name.
    Map {
        /// What each value may be.
        values: &'static Shape,
    },
    /// A table with known keys.
    Table {
        /// The keys.
        fields: &'static [Field],
        /// Whether other keys are refused.
        is_closed: bool,
    },
    /// What none of the others says.
    Json {
        /// The members of a JSON Schema, without the braces around them.
        members: &'static str,
    },
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is for, as one line.
    pub description: &'static str,
    /// Whether the settings must have it.
    pub is_required: bool,
    /// What it is if it is absent, as JSON.
    pub default: Option<&'static str>,
    /// The smallest number, if its type allows a smaller one.
    pub minimum: Option<i128>,
    /// The largest number, if its type allows a larger one.
    pub maximum: Option<i128>,
    /// The only values, each as JSON; empty if its type says which there are.
    pub values: &'static [&'static str],
    /// What its value may be.
    pub shape: &'static Shape,
}

/// The length of a type's schema as JSON.
#[must_use]
pub const fn length<T: Schema>() -> usize {
    let mut writer = Writer::<0>::new();
    writer.schema(&T::SHAPE);
    writer.length
}

/// A type's schema as JSON; `N` is its [`length`].
#[must_use]
pub const fn text<T: Schema, const N: usize>() -> [u8; N] {
    let mut writer = Writer::<N>::new();
    writer.schema(&T::SHAPE);
    writer.bytes
}

/// Writes JSON, and counts what it writes.
struct Writer<const N: usize> {
    bytes: [u8; N],
    length: usize,
    last: u8,
}

impl<const N: usize> Writer<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0, last: 0 }
    }

    const fn byte(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
        self.last = byte;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            self.byte(bytes[index]);
            index += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        let mut index = 0;
        self.byte(b'"');
        while index < bytes.len() {
            let byte = bytes[index];
            if byte < 0x20 {
                self.raw("\\u00");
                self.byte(DIGITS[(byte >> 4) as usize]);
                self.byte(DIGITS[(byte & 15) as usize]);
            } else {
                if byte == b'"' || byte == b'\\' {
                    self.byte(b'\\');
                }
                self.byte(byte);
            }
            index += 1;
        }
        self.byte(b'"');
    }

    const fn integer(&mut self, number: i128) {
        if number < 0 {
            self.byte(b'-');
        }
        let mut unit: u128 = 1;
        let number = number.unsigned_abs();
        while number / unit > 9 {
            unit *= 10;
        }
        while unit > 0 {
            self.byte(b'0' + (number / unit % 10) as u8);
            unit /= 10;
        }
    }

    /// Begins another item of a list, or member of an object.
    const fn next(&mut self) {
        if self.last != b'{' && self.last != b'[' {
            self.byte(b',');
        }
    }

    const fn key(&mut self, key: &str) {
        self.next();
        self.string(key);
        self.byte(b':');
    }

    const fn schema(&mut self, shape: &Shape) {
        self.byte(b'{');
        self.members(shape, None, None);
        self.byte(b'}');
    }

    const fn members(&mut self, shape: &Shape, minimum: Option<i128>, maximum: Option<i128>) {
        match shape {
            Shape::Anything {} => {}
            Shape::Boolean {} => self.kind("boolean"),
            Shape::Integer { minimum: least, maximum: most } => {
                self.kind("integer");
                self.bound("minimum", if minimum.is_some() { minimum } else { *least });
                self.bound("maximum", if maximum.is_some() { maximum } else { *most });
            }
            Shape::Number {} => {
                self.kind("number");
                self.bound("minimum", minimum);
                self.bound("maximum", maximum);
            }
            Shape::Text {} => self.kind("string"),
            Shape::OneOf { values } => self.values(values),
            Shape::List { items } => {
                self.kind("array");
                self.key("items");
                self.schema(items);
            }
            Shape::Map { values } => {
                self.kind("object");
                self.key("additionalProperties");
                self.schema(values);
            }
            Shape::Table { fields, is_closed } => self.table(fields, *is_closed),
            Shape::Json { members } => {
                self.next();
                self.raw(members);
            }
        }
    }

    const fn kind(&mut self, kind: &str) {
        self.key("type");
        self.string(kind);
    }

    const fn bound(&mut self, key: &str, bound: Option<i128>) {
        if let Some(bound) = bound {
            self.key(key);
            self.integer(bound);
        }
    }

    const fn values(&mut self, values: &[&str]) {
        self.key("enum");
        self.byte(b'[');
        let mut index = 0;
        while index < values.len() {
            self.next();
            self.raw(values[index]);
            index += 1;
        }
        self.byte(b']');
    }

    const fn table(&mut self, fields: &[Field], is_closed: bool) {
        self.kind("object");
        self.key("properties");
        self.byte(b'{');
        let mut index = 0;
        let mut required = 0;
        while index < fields.len() {
            let field = &fields[index];
            self.key(field.name);
            self.field(field);
            required += field.is_required as usize;
            index += 1;
        }
        self.byte(b'}');
        if required > 0 {
            self.key("required");
            self.byte(b'[');
            index = 0;
            while index < fields.len() {
                if fields[index].is_required {
                    self.next();
                    self.string(fields[index].name);
                }
                index += 1;
            }
            self.byte(b']');
        }
        if is_closed {
            self.key("additionalProperties");
            self.raw("false");
        }
    }

    const fn field(&mut self, field: &Field) {
        self.byte(b'{');
        if !field.description.is_empty() {
            self.key("description");
            self.string(field.description);
        }
        self.members(field.shape, field.minimum, field.maximum);
        if !field.values.is_empty() {
            self.values(field.values);
        }
        if let Some(default) = field.default {
            self.key("default");
            self.raw(default);
        }
        self.byte(b'}');
    }
}

macro_rules! schema_of {
    ($($type:ty: $shape:expr, $default:expr;)*) => {
        $(impl Schema for $type {
            const SHAPE: Shape = $shape;
            const DEFAULT: Option<&'static str> = $default;
        })*
    };
}

macro_rules! schema_of_integers {
    ($($type:ty)*) => {
        $(impl Schema for $type {
            const SHAPE: Shape =
                Shape::Integer { minimum: Some(<$type>::MIN as i128), maximum: Some(<$type>::MAX as i128) };
            const DEFAULT: Option<&'static str> = Some("0");
        })*
    };
}

schema_of! {
    bool: Shape::Boolean {}, Some("false");
    String: Shape::Text {}, Some("\"\"");
    Box<str>: Shape::Text {}, Some("\"\"");
    f32: Shape::Number {}, Some("0.0");
    f64: Shape::Number {}, Some("0.0");
}

schema_of_integers! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }

/// Whatever JSON can hold.
#[cfg(feature = "settings")]
impl Schema for serde_json::Value {
    const SHAPE: Shape = Shape::Anything {};
}

/// A value that may be absent.
impl<T: Schema> Schema for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Schema> Schema for Box<T> {
    const SHAPE: Shape = T::SHAPE;
    const DEFAULT: Option<&'static str> = T::DEFAULT;
}

impl<T: Schema> Schema for Vec<T> {
    const SHAPE: Shape = Shape::List { items: &T::SHAPE };
    const DEFAULT: Option<&'static str> = Some("[]");
}

impl<T: Schema> Schema for BTreeMap<String, T> {
    const SHAPE: Shape = Shape::Map { values: &T::SHAPE };
    const DEFAULT: Option<&'static str> = Some("{}");
}

#[cfg(feature = "std")]
impl<T: Schema> Schema for std::collections::HashMap<String, T> {
    const SHAPE: Shape = Shape::Map { values: &T::SHAPE };
    const DEFAULT: Option<&'static str> = Some("{}");
}
