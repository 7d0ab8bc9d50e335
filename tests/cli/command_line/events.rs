//! `docs/events.md`: the page about `--events`, made from the schema. `INSTA_UPDATE=always cargo test --test cli
//! command_line` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::Scene;

const HEAD: &str = "\
# Events

`farrier launch --events FILE` and `farrier up --events FILE` append every event to a file, one JSON object per line. farrier
writes each line in one piece, so that concurrent launches on one machine can share a file. `-` means standard error, which
then contains nothing else. `farrier schema --events` prints the JSON Schema from which this page is generated.

Each line has `schema`, the version of the format (1); `at_ms`, the milliseconds since farrier started; and `event`, the event's
kind. Within one version, farrier only adds kinds and fields: ignore kinds and fields that you do not know. farrier writes the
text of names, answers and log lines as it is, although it may shorten the text, and uses JSON escapes for characters that a
terminal would act on.

Only the current user can read a new file. farrier omits command arguments and request paths, which may contain passwords
and tokens. `answer`, `message` and `log` quote the output of the sidecar and its probe, such as the output of a readiness
command, including any passwords and tokens in it. The file may be a pipe. farrier rejects a pipe without a reader. If the reader
stops reading, farrier warns and stops writing once 4 MiB are unread, or, at the end of the launch, after waiting for one
second.
";

fn text(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => match kind(&schema["items"]) {
            record if record.starts_with('[') => format!("list of {record}"),
            value => format!("list of {value}s"),
        },
        Value::String(one) => one.clone(),
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn fields(schema: &Value) -> String {
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let mut rows = String::new();
    for (name, field) in properties.iter().filter(|(name, _)| *name != "event") {
        writeln!(rows, "| `{name}` | {} | {} |", kind(field), text(field)).expect("text");
    }
    if rows.is_empty() {
        String::new()
    } else {
        format!("\n| field | type | meaning |\n|---|---|---|\n{rows}")
    }
}

fn page(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    for record in schema["oneOf"].as_array().expect("the kinds of events") {
        let name = record["properties"]["event"]["const"].as_str().expect("a name");
        write!(page, "\n## {name}\n\n{}\n", text(record)).expect("text");
        if let Some(reference) = record["$ref"].as_str() {
            let name = reference.rsplit('/').next().expect("a name");
            page.push_str(&fields(&schema["$defs"][name]));
        }
        page.push_str(&fields(record));
    }
    page.push_str("\n# Types\n");
    for (name, part) in schema["$defs"].as_object().expect("parts") {
        write!(page, "\n## {name}\n\n{}\n{}", text(part), fields(part)).expect("text");
    }
    page
}

#[test]
fn the_page_of_events() {
    let printed = Scene::new().farrier(["schema", "--events"]).output().assert_code(0).stdout();
    let schema: Value = serde_json::from_str(&printed).expect("JSON");
    let page = page(&schema);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == committed, "make it anew with `INSTA_UPDATE=always cargo test --test cli command_line`");
}
