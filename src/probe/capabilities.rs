//! A capability: an interface of the contract that a component may import, with the grant that it needs and how it is
//! linked.
//!
//! Each is described by a [`Capability`] in a file of its own, and listed in the table of its contract's version
//! (`since_0_1_0`). Everything else follows from the tables: which imports a definition has to grant, what the hint says,
//! what the linker holds, and how `farrier probe inspect` puts it.
//!
//! To add a capability: the interface in `wit/probe.wit`, imported by the world `complete`, and in the copy
//! `probes/sdk/wit`; a file in `since_0_1_0` and its line in that table; for a grant that is `true` or absent, a line
//! of `definition/grants.rs`; what is used of it, in `usage` and in `event/record`; if an engine may lack what it
//! needs, a `EngineFeature` of `engine/capabilities.rs`; for `probe check`, an arm in `readiness/dry_run/grant.rs` and
//! the hint in `cli/probe/check.rs`; for `probe test`, what `readiness/scenario` plays. Functions return a `result`,
//! because one without can only trap where the host cannot answer. For authors in Rust: a module of `probes/sdk` and
//! its double in `testing/`. Each word of the contract is part of the stamp of every built component: rebuild them with
//! `cargo run --package farrier-probe-builder`, and `docs/wit.md` with its `wit-reference`. A new patch version of the
//! contract stands in `wit/probe.wit`; `tests/sources/contract_number.rs` names every other place that has to follow.

use std::collections::BTreeSet;

use wasmtime::component::Linker;

use super::component::ComponentFile;
use super::contract::{HOSTED, PACKAGE};
use super::store::HostState;
use super::wasi;
use crate::definition::grants::Grants;
use crate::engine::EngineFeature;

/// One interface that a component may import.
pub struct Capability {
    /// Its name in `farrier:probe`, and that of its grant if it needs one.
    pub name: &'static str,
    /// What it lets a component do, in plain words.
    pub sentence: &'static str,
    /// The grant that it needs; `None` if it is always linked, because it reaches nothing.
    pub grant: Option<Grant>,
    /// What the engine has to be able to do for it; `None` if it needs no engine.
    pub needs: Option<EngineFeature>,
    /// Links it, with the part of the store that it sees.
    pub link: fn(&mut Linker<HostState>) -> wasmtime::Result<()>,
}

/// What a definition writes within `grants` for a capability.
pub enum Grant {
    /// `true`: a line of the table of switches ([`crate::definition::grants::SWITCHES`]).
    Switch,
    /// What the definition chooses.
    Choice {
        /// An example of it, for hints.
        example: &'static str,
        /// These grants' own part, as a definition writes it; `None` if they do not cover the capability.
        written: fn(&Grants) -> Option<String>,
    },
}

impl Capability {
    /// What a definition writes to grant it, for example; `None` if it needs no grant.
    pub fn example(&self) -> Option<String> {
        Some(match self.grant.as_ref()? {
            Grant::Switch => format!("{} = true", self.name),
            Grant::Choice { example, .. } => (*example).to_owned(),
        })
    }

    /// These grants' own part, as a definition writes it; `None` if they do not cover it, or need not.
    pub fn written(&self, grants: &Grants) -> Option<String> {
        match self.grant.as_ref()? {
            Grant::Switch => grants.allows(self.name).then(|| format!("{} = true", self.name)),
            Grant::Choice { written, .. } => written(grants),
        }
    }
}

/// What an import means, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// One word for it: the grant's name, if it needs one.
    pub word: &'static str,
    /// What it lets a component do.
    pub sentence: &'static str,
    /// What the definition has to write within `grants`; `None` if it needs nothing.
    pub grant: Option<String>,
}

/// What the engine has to be able to do for these of them, by name, each once.
#[must_use]
pub fn needs(interfaces: &[&str]) -> Vec<EngineFeature> {
    let needed = all().filter(|capability| interfaces.contains(&capability.name));
    needed.filter_map(|capability| capability.needs).collect()
}

/// All capabilities, each name once.
pub fn all() -> impl Iterator<Item = &'static Capability> {
    HOSTED.iter().enumerate().flat_map(|(index, version)| {
        let earlier = HOSTED.iter().take(index).flat_map(|earlier| earlier.capabilities);
        let is_known =
            move |capability: &&Capability| earlier.clone().any(|known| known.name == capability.name);
        version.capabilities.iter().filter(move |capability| !is_known(capability))
    })
}

/// What a component's imports let it do, each once, in the order of the tables; types do nothing.
#[must_use]
pub fn capabilities(file: &ComponentFile) -> Vec<Meaning> {
    of_imports(&file.imports)
}

/// What one import lets a component do.
#[must_use]
pub fn capabilities_of(import: &str) -> Vec<Meaning> {
    of_imports(&[import.to_owned()])
}

fn of_imports(all_imports: &[String]) -> Vec<Meaning> {
    let interface = |import: &str| import.split('@').next().unwrap_or_default().to_owned();
    let imports: BTreeSet<String> = all_imports.iter().map(|import| interface(import)).collect();
    let own = all().filter(|capability| imports.contains(&format!("{PACKAGE}{}", capability.name)));
    let own = own.map(|capability| Meaning {
        word: capability.name,
        sentence: capability.sentence,
        grant: capability.example(),
    });
    let wasi = wasi::MEANINGS
        .iter()
        .filter(|(package, ..)| imports.iter().any(|name| name.starts_with(&format!("wasi:{package}/"))));
    own.chain(wasi.map(|(_, word, sentence)| Meaning { word, sentence, grant: None })).collect()
}

/// Imports that no probe gets.
#[must_use]
pub fn foreign(file: &ComponentFile) -> Vec<&str> {
    let known = |import: &str| {
        let own = import.strip_prefix(PACKAGE);
        let wasi = import.strip_prefix("wasi:").and_then(|rest| rest.split('/').next());
        own.is_some_and(|rest| {
            let name = rest.split('@').next().unwrap_or_default();
            name == "types" || all().any(|capability| capability.name == name)
        }) || wasi.is_some_and(|package| wasi::MEANINGS.iter().any(|(known, ..)| *known == package))
    };
    file.imports.iter().map(String::as_str).filter(|import| !known(import)).collect()
}

/// The line of `grants` that a definition needs for a component; `None` if it needs none.
#[must_use]
pub fn grant_line(file: &ComponentFile) -> Option<String> {
    let mut grants: Vec<String> = capabilities(file).into_iter().filter_map(|found| found.grant).collect();
    let dials = grants.iter().any(|grant| grant.starts_with("dial"));
    if !dials && file.imports.iter().any(|import| import.starts_with("wasi:sockets/")) {
        grants.insert(0, "dial = [\"self\"]".to_owned());
    }
    (!grants.is_empty()).then(|| format!("grants = {{ {} }}", grants.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::grants::SWITCHES;

    #[test]
    fn a_switch_of_a_definition_is_the_grant_of_one_capability() {
        let switches: BTreeSet<&str> = SWITCHES.iter().map(|switch| switch.name).collect();
        let granted = all().filter(|capability| matches!(capability.grant, Some(Grant::Switch)));
        assert_eq!(granted.map(|capability| capability.name).collect::<BTreeSet<_>>(), switches);
        let grants = Grants { switches, ..Grants::default() };
        let written: Vec<String> = all().filter_map(|capability| capability.written(&grants)).collect();
        assert_eq!(written, ["health = true", "logs = true"]);
        assert!(all().all(|capability| capability.written(&Grants::default()).is_none()));
    }
}
