//! The schema that is derived from a type of settings.

use std::collections::BTreeMap;

use farrier_probe::{Schema, schema};
use serde::Deserialize;

/// Not told: only fields are.
#[derive(Debug, Deserialize, Schema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The path of
    /// the "request".
    #[setting(default = "/")]
    path: String,
    #[setting(default = 3, minimum = 1, maximum = 9)]
    most_tries: u32,
    /// Which way.
    scheme: Scheme,
    #[setting(values("a", "b"))]
    word: Option<String>,
    headers: BTreeMap<String, Vec<bool>>,
    checks: Vec<Check>,
    ratio: f64,
    offset: i64,
    #[serde(skip)]
    secret: u8,
    #[setting(anything)]
    other: serde_json::Value,
    port: Option<Port>,
}

#[derive(Debug, Default, Deserialize, PartialEq, Schema)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    #[default]
    Http,
    #[serde(alias = "tls")]
    Https,
}

#[derive(Debug, Deserialize, Schema)]
struct Check {
    pointer: String,
    #[serde(default)]
    is_there: bool,
    #[serde(rename = "as", alias = "like")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize, Schema)]
struct Port(u16);

const TEXT: [u8; schema::length::<Settings>()] = schema::text::<Settings, _>();

#[test]
fn the_schema_says_what_serde_accepts() {
    let expected = serde_json::json!({
        "type": "object",
        "properties": {
            "path": { "description": "The path of the \"request\".", "type": "string", "default": "/" },
            "most-tries": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3 },
            "scheme": { "description": "Which way.", "enum": ["http", "https", "tls"] },
            "word": { "type": "string", "enum": ["a", "b"] },
            "headers": {
                "type": "object",
                "additionalProperties": { "type": "array", "items": { "type": "boolean" } },
                "default": {},
            },
            "checks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": { "type": "string" },
                        "is_there": { "type": "boolean", "default": false },
                        "as": { "type": "string" },
                        "like": { "description": "Another name of `as`.", "type": "string" },
                    },
                    "required": ["pointer"],
                },
                "default": [],
            },
            "ratio": { "type": "number", "default": 0.0 },
            "offset": { "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX, "default": 0 },
            "other": {},
            "port": { "type": "integer", "minimum": 0, "maximum": 65_535 },
        },
        "additionalProperties": false,
    });
    let found: serde_json::Value = serde_json::from_slice(&TEXT).expect("JSON");
    assert_eq!(found, expected);
}

#[test]
fn defaults_are_those_of_the_schema() {
    let settings: Settings = serde_json::from_str("{}").expect("settings");
    assert_eq!((settings.path.as_str(), settings.most_tries, settings.scheme), ("/", 3, Scheme::Http));
    assert!(settings.word.is_none() && settings.headers.is_empty() && settings.checks.is_empty());
    assert!(settings.ratio == 0.0 && settings.offset == 0 && settings.secret == 0);
    assert!(settings.other.is_null() && settings.port.is_none());
    let settings: Settings =
        serde_json::from_str(r#"{ "checks": [{ "pointer": "/", "like": "b" }], "port": 7 }"#)
            .expect("settings");
    let check = &settings.checks[0];
    assert_eq!((check.pointer.as_str(), check.is_there, check.kind.as_deref()), ("/", false, Some("b")));
    assert_eq!(settings.port.map(|Port(port)| port), Some(7));
}
