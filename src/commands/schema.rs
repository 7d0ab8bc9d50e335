//! `schema`: the JSON Schema of definitions.

use crate::definition::json_schema;
use crate::exit;

/// Prints it.
pub fn schema() -> u8 {
    super::plan::print(&format!("{:#}\n", json_schema()));
    exit::SUCCESS
}
