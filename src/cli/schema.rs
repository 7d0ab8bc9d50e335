//! `schema`: the JSON Schema of definitions, or of events. That of definitions contains the settings of the built-in probes,
//! which their components describe.

use serde_json::{Value, json};

use crate::cli::options::Schema;
use crate::definition::json_schema;
use crate::event::record::Line;
use crate::probe::built_in::built_in_schemas;
use crate::report::exit;

/// Prints it.
pub fn schema(options: &Schema) -> u8 {
    let schema = if options.events { schemars::schema_for!(Line).to_value() } else { of_definitions() };
    super::data::print_json(&schema);
    exit::SUCCESS
}

/// The schema of definitions, with the settings of the built-in probes: which they are, `probe` says.
pub(super) fn of_definitions() -> Value {
    let mut schema = json_schema();
    let mut rules = Vec::new();
    for (name, settings) in built_in_schemas() {
        let key = format!("{}Settings", name[..1].to_uppercase() + &name[1..]);
        let then = json!({ "properties": { "settings": { "$ref": format!("#/definitions/{key}") } } });
        let named = |key: &str| json!({ "properties": { key: { "const": name } }, "required": [key] });
        let mut conditions = vec![named("probe"), named("mode")];
        if name == "tcp" {
            // The default.
            conditions
                .push(json!({ "not": { "anyOf": [{ "required": ["probe"] }, { "required": ["mode"] }] } }));
        }
        rules.push(json!({ "if": { "anyOf": conditions }, "then": then }));
        schema["definitions"][key] = settings;
    }
    schema["definitions"]["Readiness"]["allOf"] = rules.into();
    schema
}
