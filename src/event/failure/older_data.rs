//! Data that was carried over to a container whose environment changed: servers read a password or the name of a
//! database from their environment only when they first create their data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cause::Cause;
use crate::plan::instance::Instance;
use crate::plan::sidecar::older_data;

/// The fields of the environment whose values a probe's settings have too, as the login that both mean.
pub fn in_settings<'a>(
    env: &BTreeMap<String, String>,
    settings: impl Iterator<Item = &'a Value>,
) -> Vec<String> {
    let set: BTreeSet<&str> = settings.filter_map(Value::as_str).collect();
    env.iter()
        .filter(|(_, value)| set.contains(value.as_str()))
        .map(|(name, _)| format!("env.{name}"))
        .collect()
}

/// What the cause comes from, if the server refuses a login or a database that its data is older than.
pub fn behind(cause: Cause, container: &Instance, in_settings: &[String]) -> Cause {
    if !matches!(cause, Cause::LoginRefused | Cause::DatabaseMissing) {
        return cause;
    }
    let mut older = older_data(container);
    older.retain(|field, _| in_settings.contains(field));
    if older.is_empty() { cause } else { Cause::OlderData { fields: older.into_keys().collect() } }
}
