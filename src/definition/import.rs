//! Definitions from a compose file, with an account of every key: translated, not needed, or not translatable.

mod build;
mod dependencies;
mod health;
mod mounts;
mod neighbours;
mod ports;
mod service;
mod writing;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::report::error::{Code, Problem};

/// The largest compose file, in bytes.
const MOST_BYTES: usize = 8 << 20;
/// Services that extend one another.
const DEEPEST: usize = 16;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the definition, as this.
    Translated(String),
    /// farrier does without, for this reason.
    NotNeeded(&'static str),
    /// It is lost; this is what to do.
    Lost(String),
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedService {
    /// The sidecar's name.
    pub name: String,
    /// The definition.
    pub toml: String,
    /// Each key of the service, with what became of it.
    pub keys: Vec<(String, Outcome)>,
}

/// Everything that was taken from a compose file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// By the services' names.
    pub services: Vec<ImportedService>,
    /// What stands beside the services.
    pub keys: Vec<(String, Outcome)>,
}

/// Translates the services that are named, or all. `folder` is the path from the definitions' folder to the compose file's,
/// which the file's relative paths start from.
///
/// # Errors
/// If the text is no compose file, or has no such service.
pub fn from_compose(text: &str, wanted: &[String], folder: &Path) -> Result<Imported, Problem> {
    let root = parsed(text)?;
    let Some(Json::Object(services)) = root.get("services") else {
        return Err(invalid("it has no `services`")
            .hint("Name a compose file, version 2 or later: `farrier import compose.yaml`."));
    };
    if let Some(name) = wanted.iter().find(|name| !services.contains_key(*name)) {
        let known: Vec<&str> = services.keys().map(String::as_str).collect();
        return Err(Problem::error(Code::Usage, format!("the compose file has no service `{name}`"))
            .hint(format!("Its services are {}.", known.join(", "))));
    }
    let named_volumes: BTreeSet<&str> = object(root.get("volumes")).map(|(name, _)| name.as_str()).collect();
    let shared = shared_volumes(services);
    let reached = neighbours::of(services);
    let (jobs, names) = (dependencies::jobs(services), dependencies::names(services, wanted));
    let mut imported = Imported { keys: beside(&root), ..Imported::default() };
    for (name, service) in services {
        if !wanted.is_empty() && !wanted.contains(name) {
            continue;
        }
        let merged = extended(services, service, 0)?;
        let around = service::Surroundings {
            folder,
            named_volumes: &named_volumes,
            shared_volumes: &shared,
            jobs: &jobs,
            imported: &names,
            secrets: root.get("secrets"),
            configs: root.get("configs"),
            reached: &reached,
        };
        imported.services.push(service::translated(name, &merged, &around));
    }
    Ok(imported)
}

fn invalid(reason: &str) -> Problem {
    Problem::error(Code::DefinitionSyntax, format!("the compose file cannot be read: {reason}"))
}

/// The tree of a file, with anchors and merge keys carried out. The parser bounds what they can blow up to.
fn parsed(text: &str) -> Result<Map<String, Json>, Problem> {
    if text.len() > MOST_BYTES {
        return Err(invalid("it is larger than 8 MiB").hint("Name a compose file."));
    }
    let root: Json = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
    match root {
        Json::Object(root) => Ok(root),
        _ => Err(invalid("it is not a table of keys").hint("Name a compose file.")),
    }
}

/// What the parser says, in one line.
fn unreadable(error: &serde_saphyr::Error) -> Problem {
    let reason = error.to_string();
    let first = reason.lines().next().unwrap_or("it is not valid YAML");
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let Some((place, _)) = first.split_once("budget breached") else {
        return invalid(first).hint("Check it with `docker compose config`.");
    };
    let place = place.trim_end_matches([':', ' ']);
    invalid(&format!("{place}: it becomes too large, with all of its aliases and merge keys carried out"))
        .hint("Import the services that you need from a smaller file.")
}

/// The pairs of a table; none of anything else.
fn object(value: Option<&Json>) -> impl Iterator<Item = (&String, &Json)> {
    value.and_then(Json::as_object).into_iter().flatten()
}

/// The keys beside `services`.
fn beside(root: &Map<String, Json>) -> Vec<(String, Outcome)> {
    let has_files = |key: &str| object(root.get(key)).all(|(_, declared)| declared.get("file").is_some());
    let of = |key: &str| match key {
        "services" => None,
        "version" => Some(Outcome::NotNeeded("compose itself ignores it")),
        "name" => Some(Outcome::NotNeeded("a sidecar's names come from its file and its layer")),
        "networks" => Some(Outcome::NotNeeded("sidecars meet on the harness's network")),
        "volumes" => Some(Outcome::Translated("mounts of the services".to_owned())),
        "secrets" | "configs" if has_files(key) => {
            Some(Outcome::Translated("mounts of the services".to_owned()))
        }
        "include" => Some(Outcome::Lost("import each included file by itself".to_owned())),
        key if key.starts_with("x-") => Some(Outcome::NotNeeded("it is a note, or was merged into services")),
        _ => Some(Outcome::Lost("see what it says, and write it into the definitions".to_owned())),
    };
    root.keys().filter_map(|key| Some((key.clone(), of(key)?))).collect()
}

/// Names of volumes that several services mount.
fn shared_volumes(services: &Map<String, Json>) -> BTreeSet<String> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for service in services.values() {
        let names: BTreeSet<String> = mounts::volume_names(service).collect();
        for name in names {
            if !seen.insert(name.clone()) {
                shared.insert(name);
            }
        }
    }
    shared
}

/// A service with what it takes from another one of the same file.
fn extended(
    services: &Map<String, Json>,
    service: &Json,
    depth: usize,
) -> Result<Map<String, Json>, Problem> {
    let own = service.as_object().cloned().unwrap_or_default();
    let base = match own.get("extends") {
        Some(Json::String(name)) => Some(name.as_str()),
        // One in another file is told of as lost.
        Some(Json::Object(table)) if !table.contains_key("file") => {
            table.get("service").and_then(Json::as_str)
        }
        _ => None,
    };
    let Some(base) = base.and_then(|name| services.get(name)) else { return Ok(own) };
    if depth >= DEEPEST {
        return Err(invalid("services extend one another in a circle").hint("Check `extends`."));
    }
    let mut merged = extended(services, base, depth + 1)?;
    for (key, value) in own {
        match (merged.get_mut(&key), value) {
            // Done: its account says so.
            (_, _) if key == "extends" => drop(merged.insert(key, true.into())),
            (Some(Json::Object(before)), Json::Object(now)) => before.extend(now),
            (Some(Json::Array(before)), Json::Array(now)) if key != "command" && key != "entrypoint" => {
                before.extend(now);
            }
            (_, value) => drop(merged.insert(key, value)),
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests;
