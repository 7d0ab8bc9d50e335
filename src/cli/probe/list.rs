//! `probe list`: every probe that a definition could name.

use std::sync::Arc;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::Origin;
use super::inspect::{contract, human_size};
use crate::cli::data::{print, print_json};
use crate::cli::options::{Format, ProbeList};
use crate::cli::settings::layer_directories;
use crate::probe::built_in::{built_in, built_in_names};
use crate::probe::capabilities::capabilities;
use crate::probe::component::{ComponentError, ComponentFile};
use crate::probe::folders::ProbeFolders;
use crate::probe::metadata::{Metadata, Producers};
use crate::report::escape::escape;
use crate::report::exit;

/// One line of the list.
struct Entry {
    name: String,
    origin: Origin,
    /// Why a definition that names it would be refused.
    file: Result<Arc<ComponentFile>, String>,
}

/// Prints them, those that cannot be used included.
pub fn list(options: &ProbeList) -> u8 {
    let entries = entries(&ProbeFolders::of(&layer_directories(&options.layers)));
    match options.format {
        Format::Human => print(&human(&entries)),
        Format::Json => {
            let probes: Vec<Value> = entries.iter().map(as_json).collect();
            print_json(&json!({ "probes": probes }));
        }
    }
    exit::SUCCESS
}

fn entries(folders: &ProbeFolders) -> Vec<Entry> {
    let shipped = built_in_names().map(|name| Entry {
        name: name.to_owned(),
        origin: Origin::Shipped,
        file: ComponentFile::parse(built_in(name).unwrap_or_default())
            .map(Arc::new)
            .map_err(|error| error.to_string()),
    });
    let mut entries: Vec<Entry> = shipped.collect();
    for folder in folders.iter() {
        let names = match folder.names() {
            Ok(names) => names,
            Err(error) => {
                let file = Err(format!("the folder cannot be listed: {error}"));
                let origin = Origin::Layer(folder.layer, folder.path.clone());
                entries.push(Entry { name: "*".to_owned(), origin, file });
                continue;
            }
        };
        for name in names {
            let file = match folder.read(&name, None) {
                Ok(Some(_)) if built_in(&name).is_some() => {
                    Err("no definition can name it: a built-in probe has the same name".to_owned())
                }
                Ok(Some(file)) => Ok(file),
                Ok(None) => Err(ComponentError::NotAFile.to_string()),
                Err(error) => Err(error.to_string()),
            };
            entries.push(Entry { origin: Origin::Layer(folder.layer, folder.file(&name)), name, file });
        }
    }
    entries
}

fn words(file: &ComponentFile) -> Vec<&'static str> {
    capabilities(file).iter().map(|capability| capability.word).collect()
}

fn human(entries: &[Entry]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PROBE", "VERSION", "ORIGIN", "CONTRACT", "SIZE", "SHA-256", "IMPORTS", "LANGUAGES"]);
    let mut broken = String::new();
    for Entry { name, origin, file } in entries {
        let word = match origin {
            Origin::Shipped => "shipped",
            Origin::Layer(layer, _) => layer.as_str(),
            Origin::File(_) => "file",
            Origin::Registry => "registry",
        };
        match file {
            Ok(file) => {
                table.add_row([
                    name.clone(),
                    escape(Metadata::of(file).version().unwrap_or_default()),
                    word.to_owned(),
                    contract(file),
                    human_size(file),
                    file.digest.chars().take(12).collect(),
                    words(file).join(" "),
                    escape(&Producers::of(file).languages().join(" ")),
                ]);
            }
            Err(reason) => {
                broken.push_str(&format!(
                    "{name} ({}) cannot be used: {}\n",
                    escape(&origin.human()),
                    escape(reason)
                ));
            }
        }
    }
    let lines: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if broken.is_empty() { lines } else { format!("{lines}\n{broken}") }
}

fn as_json(entry: &Entry) -> Value {
    let mut value = json!({ "name": entry.name, "origin": entry.origin.as_json() });
    match &entry.file {
        Ok(file) => {
            value["version"] = Metadata::of(file).version().into();
            value["contract"] = contract(file).into();
            value["bytes"] = file.bytes.len().into();
            value["sha256"] = file.digest.clone().into();
            value["capabilities"] = words(file).into();
            value["imports"] = file.imports.clone().into();
            value["languages"] = Producers::of(file).languages().into();
        }
        Err(reason) => value["error"] = reason.clone().into(),
    }
    value
}
