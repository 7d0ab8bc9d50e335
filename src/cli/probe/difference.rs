//! What changed between two versions of a probe, for people.

use std::collections::BTreeSet;

use super::inspect::human_size;
use crate::definition::ArtifactReference;
use crate::probe::capabilities::{capabilities_of, grant_line};
use crate::probe::component::ComponentFile;
use crate::report::escape::escape;

/// One version.
pub struct Side<'a> {
    /// Of the manifest; `None` if it is unknown.
    pub digest: Option<&'a str>,
    /// Of the component; `None` if it is unknown.
    pub sha256: Option<&'a str>,
    pub version: Option<String>,
    /// `None` if the component cannot be had any more.
    pub file: Option<&'a ComponentFile>,
}

/// The lines that differ: `-` before what was pinned, `+` before what the tag names now.
pub fn difference(
    reference: &ArtifactReference,
    sidecars: &BTreeSet<String>,
    before: &Side<'_>,
    now: &Side<'_>,
) -> String {
    let sidecars: Vec<String> = sidecars.iter().map(|name| format!("`{}`", escape(name))).collect();
    let mut text = format!("{reference}, the probe of {}, changed:\n", sidecars.join(", "));
    let both = |value: fn(&Side<'_>) -> Option<String>| (value(before), value(now));
    for (label, (before, now)) in [
        ("version", both(|side| side.version.clone())),
        ("digest", both(|side| side.digest.map(str::to_owned))),
        ("sha256", both(|side| side.sha256.map(str::to_owned))),
        (
            "size",
            both(|side| side.file.map(|file| format!("{} ({} bytes)", human_size(file), file.bytes.len()))),
        ),
    ] {
        text.push_str(&changed(label, before.as_deref(), now.as_deref()));
    }
    let Some((before, now)) = before.file.zip(now.file) else {
        text.push_str("  The pinned component is gone, so farrier cannot compare what it imports.\n");
        return text;
    };
    for (label, before, now) in
        [("imports", &before.imports, &now.imports), ("exports", &before.exports, &now.exports)]
    {
        let (before, now): (BTreeSet<&String>, BTreeSet<&String>) =
            (before.iter().collect(), now.iter().collect());
        before.difference(&now).for_each(|gone| text.push_str(&changed(label, Some(&meaning(gone)), None)));
        now.difference(&before).for_each(|added| text.push_str(&changed(label, None, Some(&meaning(added)))));
    }
    let needs = |file: &ComponentFile| grant_line(file).unwrap_or_else(|| "no grants".to_owned());
    text.push_str(&changed("needs", Some(&needs(before)), Some(&needs(now))));
    text
}

/// An interface, and what it lets a probe do.
fn meaning(interface: &str) -> String {
    let known = capabilities_of(interface);
    let sentence = known.first().map(|known| format!(": {}", known.sentence));
    format!("{interface}{}", sentence.unwrap_or_default())
}

/// Nothing if both are the same.
fn changed(label: &str, before: Option<&str>, now: Option<&str>) -> String {
    if before == now {
        return String::new();
    }
    let line = |sign: char, value: &str| format!("  {sign} {label:<8} {}\n", escape(value));
    let (before, now) = (before.map(|value| line('-', value)), now.map(|value| line('+', value)));
    before.into_iter().chain(now).collect()
}
