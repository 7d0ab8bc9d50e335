//! Volumes.

use std::collections::BTreeMap;

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name, which no other volume of the engine has.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}
