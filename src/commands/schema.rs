//! `schema`: the JSON Schema of definitions.

use crate::definition::json_schema;
use crate::exit;

/// Prints it.
pub fn schema() -> u8 {
    super::data::print_json(&json_schema());
    exit::SUCCESS
}
