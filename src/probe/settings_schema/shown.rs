//! The settings of a probe as people read them.

use super::{Others, Schema, SettingsSchema};

/// Settings that are shown; of more, the number is told.
const MOST_SHOWN: usize = 100;

/// A setting in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As `path`, `headers.NAME` or `json[].pointer`.
    pub path: String,
    /// What it may be.
    pub kind: String,
    /// Whether the settings, or the table that it belongs to, must have it.
    pub is_required: bool,
    /// What it is if it is absent, as JSON.
    pub default: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

impl Setting {
    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let required = if self.is_required { ", required" } else { "" };
        let default =
            self.default.as_ref().map(|default| format!(", by default {default}")).unwrap_or_default();
        let description = self.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        format!("{} ({}{required}{default}){description}", self.path, self.kind)
    }
}

impl SettingsSchema {
    /// The settings, those within tables and lists included, and how many more there are.
    #[must_use]
    pub fn settings(&self) -> (Vec<Setting>, usize) {
        let (mut all, mut more) = (Vec::new(), 0);
        self.0.list("", &mut all, &mut more);
        (all, more)
    }
}

impl Schema {
    fn list(&self, path: &str, all: &mut Vec<Setting>, more: &mut usize) {
        for (name, schema) in &self.properties {
            if all.len() >= MOST_SHOWN {
                *more += 1;
                schema.list("", all, more);
                continue;
            }
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            all.push(Setting {
                path: inner.clone(),
                kind: schema.expected(),
                is_required: self.required.contains(name),
                default: schema.default.as_ref().map(ToString::to_string),
                description: schema.description.clone(),
            });
            schema.list(&inner, all, more);
        }
        if let Others::Each(schema) = &self.others {
            schema.list(&format!("{path}.NAME"), all, more);
        }
        if let Some(items) = &self.items {
            items.list(&format!("{path}[]"), all, more);
        }
    }
}
