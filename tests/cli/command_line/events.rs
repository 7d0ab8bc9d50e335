//! `docs/events.md`: the page about `--events`, made from the schema. `INSTA_UPDATE=always cargo test --test cli
//! command_line` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::Scene;

const HEAD: &str = "\
# Events

`farrier launch --events FILE` and `farrier up --events FILE` append everything that happens to a file, one JSON object
a line, written in one piece, so that launches beside each other may share a file of this machine; `-` is standard error,
which then holds nothing else. `farrier schema --events` prints the JSON Schema, from which this page is made.

Each line has `schema`, the version of this form (1), `at_ms`, the milliseconds since farrier started, and `event`, its
kind. Within one version, kinds and fields are only added: pass over what you do not know. Text of others (names, answers,
log lines) is what it was; characters that a terminal would act on are written as JSON escapes.

A new file can be read by this user alone. Arguments of commands and paths of requests, which may hold passwords and tokens,
are left out. `answer`, `message` and `log` quote what the sidecar and its probe wrote, such as the output of a readiness
command, passwords and tokens in it, too. The file may be a pipe: one that nobody reads is refused, and a reader that stops reading is given up, which
a warning says, after 4 MiB or when a second at the end of the launch did not help.
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
        Value::String(one) if one == "array" => format!("list of {}", kind(&schema["items"])),
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
    page.push_str("\n# Parts of them\n");
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
