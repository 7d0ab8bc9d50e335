//! `probe inspect`: a component from outside, in plain words.

use serde_json::{Value, json};

use super::{Chosen, Origin, choose};
use crate::cli::data::{print, print_json};
use crate::cli::options::{Format, ProbeInspect};
use crate::probe::capabilities::{capabilities, foreign, grant_line};
use crate::probe::component::{CONTRACT, ComponentFile};
use crate::probe::metadata::{Metadata, Producers, versions};
use crate::probe::settings_schema::{Setting, SettingsSchema};
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

/// Prints what it can do, what it needs and where it comes from.
pub fn inspect(options: &ProbeInspect) -> Result<u8, Failure> {
    let chosen = choose(&options.probe, &options.layers)?;
    match options.format {
        Format::Human => print(&human(&chosen)),
        Format::Json => print_json(&as_json(&chosen)),
    }
    Ok(exit::SUCCESS)
}

/// The version of the contract; what is no probe is not read at all.
pub fn contract(file: &ComponentFile) -> String {
    let versions = versions(file);
    let own = versions.get("farrier:probe").and_then(|versions| versions.first());
    own.map_or(CONTRACT, String::as_str).to_owned()
}

/// Its size as people read it.
pub fn human_size(file: &ComponentFile) -> String {
    const KIBI: usize = 1024;
    let bytes = file.bytes.len();
    if bytes < KIBI * KIBI {
        format!("{}.{} KiB", bytes / KIBI, bytes % KIBI * 10 / KIBI)
    } else {
        format!("{}.{} MiB", bytes / KIBI / KIBI, bytes / KIBI % KIBI * 10 / KIBI)
    }
}

/// The lines that a definition needs, without those that ships with farrier needs none.
pub fn definition_lines(file: &ComponentFile, probe: &str) -> String {
    let mut lines = format!("[readiness]\nprobe = \"{probe}\"\nsha256 = \"{}\"\n", file.digest);
    if let Some(grants) = grant_line(file) {
        lines.push_str(&format!("{grants}\n"));
    }
    lines
}

pub(super) fn human(chosen: &Chosen) -> String {
    let Chosen { name, file, origin } = chosen;
    let mut text = format!("{}: {}\n\n", escape(name), escape(&origin.human()));
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<12} {}\n", escape(value)));
    for (field, text) in Metadata::of(file).fields() {
        line(field, text);
    }
    line("size", &format!("{} ({} bytes)", human_size(file), file.bytes.len()));
    line("sha256", &file.digest);
    for (package, versions) in versions(file) {
        line("wit", &format!("{package} {}", versions.into_iter().collect::<Vec<_>>().join(", ")));
    }
    for export in &file.exports {
        line("exports", export);
    }
    let capabilities = capabilities(file);
    for (index, capability) in capabilities.iter().enumerate() {
        line(
            if index == 0 { "probe" } else { "" },
            &format!("{} ({})", capability.sentence, capability.word),
        );
    }
    if capabilities.is_empty() {
        line("probe", "can only return a verdict");
    }
    for import in foreign(file) {
        line("refused", &format!("it imports {import}, which farrier offers to no probe"));
    }
    for (field, values) in Producers::of(file).fields {
        let values: Vec<String> =
            values.iter().map(|(name, version)| format!("{name} {version}").trim().to_owned()).collect();
        line(&field, &values.join(", "));
    }
    for (index, setting) in settings(file).iter().enumerate() {
        line(if index == 0 { "settings" } else { "" }, setting);
    }
    if !matches!(origin, Origin::Shipped) {
        text.push_str(&format!("\nA definition that uses it:\n\n{}", definition_lines(file, &escape(name))));
    }
    text
}

/// The settings as its schema describes them, a line each; none if it has none.
fn settings(file: &ComponentFile) -> Vec<String> {
    let (settings, more) = match SettingsSchema::of(file) {
        Ok(Some(schema)) => schema.settings(),
        Ok(None) if file.validates_settings() => {
            return vec!["described by no schema; only the probe checks them".to_owned()];
        }
        Ok(None) => return Vec::new(),
        Err(error) => return vec![format!("farrier ignores their schema: {error}")],
    };
    let more = (more > 0).then(|| format!("and {more} more"));
    settings.iter().map(Setting::line).chain(more).collect()
}

pub(super) fn as_json(chosen: &Chosen) -> Value {
    let Chosen { name, file, origin } = chosen;
    let producers = Producers::of(file);
    let fields: serde_json::Map<String, Value> = producers
        .fields
        .iter()
        .map(|(field, values)| {
            let values: Vec<Value> =
                values.iter().map(|(name, version)| json!({ "name": name, "version": version })).collect();
            (field.clone(), values.into())
        })
        .collect();
    let capabilities: Vec<Value> = capabilities(file)
        .iter()
        .map(|found| json!({ "name": found.word, "meaning": found.sentence, "grant": found.grant }))
        .collect();
    json!({
        "name": name,
        "origin": origin.as_json(),
        "bytes": file.bytes.len(),
        "sha256": file.digest,
        "contract": contract(file),
        "versions": versions(file),
        "imports": file.imports,
        "exports": file.exports,
        "capabilities": capabilities,
        "refused_imports": foreign(file),
        "grants": grant_line(file),
        "metadata": Metadata::of(file).fields().collect::<std::collections::BTreeMap<_, _>>(),
        "settings_schema": SettingsSchema::of(file).ok().flatten().map(|schema| schema.to_json()),
        "languages": producers.languages(),
        "producers": fields,
    })
}
