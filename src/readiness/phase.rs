//! How far each sidecar of a launch is, for the report about one that failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::event::failure::phase::Phase;

/// How far all are, by name.
#[derive(Debug, Default)]
pub struct Phases(Mutex<BTreeMap<String, Phase>>);

impl Phases {
    /// All of these are being started.
    #[must_use]
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(Mutex::new(names.map(|name| (name.to_owned(), Phase::Starting)).collect()))
    }

    /// Notes how far one is.
    pub fn note(&self, name: &str, phase: Phase) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), phase);
    }

    /// How far the others are.
    #[must_use]
    pub fn others(&self, name: &str) -> Vec<(String, Phase)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(other, _)| *other != name).map(|(other, at)| (other.clone(), *at)).collect()
    }
}
