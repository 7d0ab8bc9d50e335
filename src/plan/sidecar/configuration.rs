//! The configuration of a sidecar's container: its hash, its record in a label, and in what two of them differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{LABEL_CONFIGURATION, LABEL_OLDER_DATA};
use crate::definition::model::Definition;
use crate::definition::{KEYS, familiar_image, salted};
use crate::plan::instance::Instance;
use crate::system::digest::sha256_hex;

/// How fields of the environment begin.
const ENV: &str = "env.";

/// The part of a definition that makes the container what it is: its image, the keys of the table, and its names on
/// the network. Readiness is not in it.
#[derive(Clone, Copy, Debug)]
pub struct Configuration<'a>(&'a Definition);

/// A configuration as it stands in a label: values of the environment are digests.
#[derive(Debug, Deserialize)]
struct Recorded {
    salt: String,
    configuration: serde_json::Map<String, Json>,
}

/// What a variable was when a container's data was first written; as a digest, since it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstValue {
    salt: String,
    digest: Option<String>,
}

/// The first values of fields (`env.NAME`) that have others now.
pub type FirstValues = BTreeMap<String, FirstValue>;

/// The fields of the environment that have changed since a container's data was first written, as its label says.
#[must_use]
pub fn older_data(instance: &Instance) -> FirstValues {
    let label = instance.labels.get(LABEL_OLDER_DATA);
    label.and_then(|label| serde_json::from_str(label).ok()).unwrap_or_default()
}

impl<'a> Configuration<'a> {
    pub(super) const fn of(definition: &'a Definition) -> Self {
        Self(definition)
    }

    /// SHA-256 over the canonical JSON.
    pub(super) fn hash(self) -> String {
        let keys = &self.0.container;
        sha256_hex(self.object(KEYS.iter().filter_map(|key| Some((key.name, key.canonical(keys)?)))))
    }

    /// The label's text.
    pub(super) fn record(self, salt: &str) -> String {
        let keys = &self.0.container;
        let fields = KEYS.iter().filter_map(|key| Some((key.name, key.recorded(keys, salt)?)));
        object([("salt", json(salt)), ("configuration", self.object(fields))])
    }

    fn object(self, keys: impl Iterator<Item = (&'static str, String)>) -> String {
        let image = self.0.image.iter().map(|image| ("image", json(&familiar_image(image))));
        object(image.chain(keys).chain([("aliases", json(&self.0.aliases()))]))
    }

    /// Which fields differ from what a label recorded, never their values; `None` if the label is unreadable.
    #[must_use]
    pub fn differences(self, label: &str) -> Option<Vec<String>> {
        let Recorded { salt, configuration: before } = serde_json::from_str(label).ok()?;
        let Recorded { configuration: now, .. } = serde_json::from_str(&self.record(&salt)).ok()?;
        let mut fields = Vec::new();
        // Earlier versions recorded it as it was written.
        let image = before.get("image").and_then(Json::as_str).map(familiar_image);
        let runs_another_kind = image.is_some() != now.contains_key("image");
        if !runs_another_kind && image.as_deref() != now.get("image").and_then(Json::as_str) {
            fields.push("image".to_owned());
        }
        for key in KEYS {
            fields.extend(key.differences(before.get(key.name), now.get(key.name)));
        }
        if before.get("aliases") != now.get("aliases") {
            fields.push("interface.aliases".to_owned());
        }
        Some(fields)
    }

    /// The fields of the environment that are not what they were when this instance's data was first written.
    #[must_use]
    pub fn changed_since_data(self, instance: &Instance) -> FirstValues {
        let env = &self.0.container.env;
        let mut first = older_data(instance);
        let label = instance.labels.get(LABEL_CONFIGURATION);
        if let Some(Recorded { salt, configuration }) =
            label.and_then(|label| serde_json::from_str::<Recorded>(label).ok())
        {
            let before = configuration.get("env").and_then(Json::as_object).cloned().unwrap_or_default();
            for name in before.keys().chain(env.keys()) {
                let digest = before.get(name).and_then(Json::as_str).map(str::to_owned);
                let value = || FirstValue { salt: salt.clone(), digest };
                first.entry(format!("{ENV}{name}")).or_insert_with(value);
            }
        }
        first.retain(|field, value| {
            let name = field.strip_prefix(ENV).unwrap_or(field);
            value.digest != env.get(name).map(|now| salted(&value.salt, name, now))
        });
        first
    }
}

/// An object whose fields have one order. Their names are keys of definitions, in which nothing has to be escaped.
fn object(fields: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let fields = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// Texts and lists of them can always be written.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
