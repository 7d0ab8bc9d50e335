//! The profiles in which a definition takes part.

use crate::definition::node::Value;
use crate::definition::reader::{Reader, Table};

/// Reads `profiles`; empty for one that always takes part.
pub fn decode(table: Table<'_>, reader: &mut Reader<'_>) -> Vec<String> {
    let Some(node) = table.get("profiles") else { return Vec::new() };
    let (Some(names), Value::List(items)) = (reader.strings(node, "profiles"), &node.value) else {
        return Vec::new();
    };
    for (index, (name, item)) in names.iter().zip(items).enumerate() {
        let right = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !right {
            let hint = "Use letters, digits, `_`, `.` and `-`: `profiles = [\"debug\"]`.";
            reader.wrong(&format!("profiles[{index}]"), "a profile's name", item, hint);
        }
    }
    names
}
