//! The keys that make the container what it is: finds each in the file, and has its kind read it.

use std::collections::BTreeMap;

use crate::definition::keys::{ContainerKeys, KEYS};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;

/// Reads all of them, in the order of their table.
pub fn decode(table: Table<'_>, reader: &mut Reader<'_>) -> ContainerKeys {
    let mut container = ContainerKeys::default();
    let mut inner = BTreeMap::new();
    for key in KEYS {
        let node = match key.path.rsplit_once('.') {
            None => table.get(key.path),
            Some((parent, name)) => {
                let opened = inner.entry(parent).or_insert_with(|| {
                    let known = schema::known_keys(parent);
                    reader.table(table.get(parent)?, parent, &known, table.key_span(parent))
                });
                opened.and_then(|opened| opened.get(name))
            }
        };
        if let Some(node) = node {
            key.decode(node, reader, &mut container);
        }
    }
    container
}
