//! `schema`: the JSON Schema of definitions, or of events.

use crate::cli::options::Schema;
use crate::definition::json_schema;
use crate::event::record::Line;
use crate::report::exit;

/// Prints it.
pub fn schema(options: &Schema) -> u8 {
    let schema = if options.events { schemars::schema_for!(Line).to_value() } else { json_schema() };
    super::data::print_json(&schema);
    exit::SUCCESS
}
