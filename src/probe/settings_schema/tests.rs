use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::probe::built_in::{built_in, built_in_names};
use crate::probe::limits::SETTINGS_PROBLEMS;

fn schema(value: &Value) -> SettingsSchema {
    SettingsSchema::parse(value.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// The schema of a probe that ships with farrier.
fn shipped(name: &str) -> SettingsSchema {
    let file = ComponentFile::parse(built_in(name).unwrap_or_default()).expect(name);
    SettingsSchema::of(&file).expect(name).unwrap_or_else(|| panic!("{name} has no schema"))
}

/// Each mistake as `path: message`.
fn told(schema: &SettingsSchema, settings: &Value) -> Vec<String> {
    let found = schema.check(settings.as_object().expect("a table")).into_iter();
    found.map(|violation| format!("{}: {}", violation.path, violation.message)).collect()
}

#[test]
fn mistakes_have_the_words_of_the_probes_themselves() {
    for (probe, settings, expected) in [
        ("tcp", json!({ "port": 9000 }), None),
        ("tcp", json!({ "host": "x" }), Some("host: unknown field `host`, expected `port`")),
        (
            "tcp",
            json!({ "port": 0 }),
            Some("port: invalid value: integer `0`, expected a number from 1 to 65535"),
        ),
        (
            "tcp",
            json!({ "port": "9000" }),
            Some("port: invalid type: string \"9000\", expected a number from 1 to 65535"),
        ),
        ("http", json!({ "status": ["2xx", 301], "headers": { "X-A": "b" } }), None),
        (
            "http",
            json!({ "status": 70_000 }),
            Some(
                "status: invalid value: integer `70000`, expected a number from 200 to 599, a string or a list",
            ),
        ),
        (
            "http",
            json!({ "scheme": "ftp" }),
            Some("scheme: invalid value: string \"ftp\", expected \"http\" or \"https\""),
        ),
        (
            "http",
            json!({ "headers": { "X-A": 1 } }),
            Some("headers.X-A: invalid type: integer `1`, expected a string"),
        ),
        ("http", json!({ "json": [{ "exists": true }] }), Some("json[0]: missing field `pointer`")),
        (
            "http",
            json!({ "json": [{ "pointer": "/a", "equls": 1 }] }),
            Some("json[0].equls: unknown field `equls`, expected one of `equals`, `exists`, `pointer`"),
        ),
        ("http", json!({ "json": [{ "pointer": "/a", "equals": [1, { "b": 2 }] }] }), None),
        ("redis", json!({ "tls": "insecure" }), None),
        (
            "redis",
            json!({ "tls": "yes" }),
            Some("tls: invalid value: string \"yes\", expected true, false or \"insecure\""),
        ),
        (
            "log",
            json!({ "text": "up", "count": 1001 }),
            Some("count: invalid value: integer `1001`, expected a number from 1 to 1000"),
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(told(&shipped(probe), &settings), expected, "{probe}: {settings}");
    }
}

#[test]
fn every_built_in_probe_with_settings_describes_each_of_them() {
    for name in built_in_names() {
        let file = ComponentFile::parse(built_in(name).unwrap_or_default()).expect(name);
        let schema = SettingsSchema::of(&file).expect(name);
        assert_eq!(schema.is_some(), file.validates_settings(), "{name}");
        let (settings, more) = schema.iter().map(SettingsSchema::settings).next().unwrap_or_default();
        assert_eq!(more, 0, "{name}");
        for setting in settings {
            assert!(setting.description.is_some(), "{name}: {} has no doc comment", setting.path);
        }
    }
}

#[test]
fn what_cannot_be_used_is_told() {
    let deep = (0..16).fold(json!({}), |inner, _| json!({ "properties": { "a": inner } }));
    let many: Map<String, Value> = (0..257).map(|number| (number.to_string(), json!({}))).collect();
    for (text, expected) in [
        ("{".to_owned(), "it is not JSON"),
        ("[".repeat(60_000), "it is not JSON: recursion limit exceeded"),
        (" ".repeat(MOST_BYTES + 1), "it is larger than 64 KiB"),
        ("[]".to_owned(), "a schema in it is not a table"),
        ("true".to_owned(), "it describes no table of settings"),
        (r#"{"type":"string"}"#.to_owned(), "it describes no table of settings"),
        (r#"{"type":"text"}"#.to_owned(), "`type` must be the name of a JSON type"),
        (r#"{"properties":{"a":{"enum":[]}}}"#.to_owned(), "`enum` must be a list of 1 to 256 values"),
        (r#"{"properties":{"a":{"minimum":"1"}}}"#.to_owned(), "`minimum` must be a number"),
        (r#"{"properties":{"a":5}}"#.to_owned(), "a schema in it is not a table"),
        (r#"{"required":[1]}"#.to_owned(), "`required` must be a list"),
        (json!({ "properties": { "x".repeat(129): {} } }).to_string(), "`properties` must be"),
        (json!({ "properties": many }).to_string(), "`properties` must be a table of at most 256"),
        (deep.to_string(), "it nests deeper than 16 levels"),
    ] {
        let error = SettingsSchema::parse(text.as_bytes()).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_farrier_does_not_know_refuses_nothing() {
    let anything = json!({ "a": 5, "b": { "c": [null, "x"] } });
    for known in [
        json!({}),
        json!({ "$ref": "https://example.com/schema.json", "additionalProperties": false }),
        json!({ "$ref": "#/definitions/A", "required": ["z"] }),
        json!({ "patternProperties": { "(a+)+$": {} }, "additionalProperties": false }),
        json!({ "allOf": [{ "required": ["z"] }], "not": {}, "if": false, "propertyNames": { "pattern": "(x*)*y" } }),
        json!({ "properties": { "b": { "properties": { "c": { "prefixItems": [{}], "items": { "type": "string" } } } } } }),
        json!({ "properties": { "a": { "pattern": "^(a|a)*$", "format": "ipv4", "multipleOf": 7 } } }),
    ] {
        assert_eq!(told(&schema(&known), &anything), Vec::<String>::new(), "{known}");
    }
    // What is absent, YAML may write as an empty value.
    let port = json!({ "properties": { "port": { "type": "integer" } } });
    assert_eq!(told(&schema(&port), &json!({ "port": null })), Vec::<String>::new());
    assert_eq!(told(&schema(&port), &json!({ "port": 1.0 })), Vec::<String>::new());
}

#[test]
fn a_misspelt_name_is_told_where_it_stands_with_the_nearest() {
    let text = "image = \"x\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\nprobe = \"http\"\n\
                settings = { pathh = \"/\", json = [{ pointr = \"/a\" }] }\n";
    let definition = crate::definition::fuzzing::definition("web", text).expect("a definition");
    let file = ComponentFile::parse(built_in("http").unwrap_or_default()).expect("http");
    let readiness = &definition.readiness[0];
    let found = problems(&file, "http", &definition, readiness).expect("a schema");
    let told: Vec<(usize, &str, &str)> = found
        .iter()
        .map(|problem| {
            let place = problem.place.as_ref().expect("a place");
            assert_eq!(place.source.path, Path::new("db.toml"));
            let column = place.line_column().map_or(0, |(line, column)| if line == 7 { column } else { 0 });
            (column, place.source.text.get(place.span.clone()).unwrap_or_default(), problem.hints[0].as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            (37, "pointr", "Did you mean `pointer`?"),
            (
                35,
                "{ pointr = \"/a\" }",
                "`pointer`: Where to look: a JSON pointer (RFC 6901) such as `/checks/0/status`."
            ),
            (14, "pathh", "Did you mean `path`?"),
        ]
    );
    assert!(Arc::strong_count(&found[0].place.as_ref().expect("a place").source) > 1);
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/shelf.md");
const GENERATED: &str = "<!-- Generated: UPDATE_DOCS=1 cargo test --lib the_page_of_settings -->\n";

/// The tables of all settings.
fn tables() -> String {
    let mut text = String::new();
    for name in built_in_names() {
        let file = ComponentFile::parse(built_in(name).unwrap_or_default()).expect(name);
        let Some(schema) = SettingsSchema::of(&file).expect(name) else { continue };
        text.push_str(&format!(
            "\n### {name}\n\n| setting | value | default | meaning |\n|---|---|---|---|\n"
        ));
        for setting in schema.settings().0 {
            let required = if setting.is_required { " (required)" } else { "" };
            let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
            let description = setting.description.unwrap_or_default().replace('|', "\\|");
            text.push_str(&format!(
                "| `{}`{required} | {} | {default} | {description} |\n",
                setting.path, setting.kind
            ));
        }
    }
    text
}

#[test]
fn the_page_of_settings() {
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let (written, _) = page.split_once(GENERATED).expect("where the tables begin");
    let now = format!("{written}{GENERATED}{}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(PAGE, &now).expect("written");
    } else {
        assert!(
            page == now,
            "docs/shelf.md is out of date: `UPDATE_DOCS=1 cargo test --lib the_page_of_settings`"
        );
    }
    // The short list names each of them.
    for name in built_in_names() {
        let row = written.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).expect(name);
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut listed: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        listed.sort_unstable();
        let file = ComponentFile::parse(built_in(name).unwrap_or_default()).expect(name);
        let schema = SettingsSchema::of(&file).expect(name);
        let known: Vec<String> =
            schema.map(|schema| schema.0.properties.into_keys().collect()).unwrap_or_default();
        assert_eq!(listed, known, "{name}");
    }
}

/// Any JSON, with keywords of schemas among its names.
fn json_value() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("type".to_owned()),
        Just("properties".to_owned()),
        Just("additionalProperties".to_owned()),
        Just("required".to_owned()),
        Just("items".to_owned()),
        Just("enum".to_owned()),
        Just("minimum".to_owned()),
        Just("default".to_owned()),
        Just("description".to_owned()),
        "[a-c]{1,2}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Those that JSON gives back as they were.
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        prop_oneof![Just("object"), Just("string"), Just("integer"), Just("array"), Just("b")]
            .prop_map(Value::from),
        "\\PC{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_understood_means_the_same_and_mistakes_are_few(text in json_value(), settings in json_value()) {
        if let Ok(schema) = SettingsSchema::parse(text.to_string().as_bytes()) {
            prop_assert_eq!(SettingsSchema::parse(schema.to_json().to_string().as_bytes()), Ok(schema.clone()));
            if let Some(settings) = settings.as_object() {
                prop_assert!(schema.check(settings).len() <= SETTINGS_PROBLEMS);
            }
        }
    }
}
