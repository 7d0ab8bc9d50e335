//! Which declaration of a name is in force, and what the workspace may do to the names of trusted layers: nothing but
//! disable them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::declaration;
use super::folder::Candidate;
use crate::definition::ReadingBudget;
use crate::definition::declared::Declared;
use crate::definition::decode::Declaration;
use crate::definition::model::{Definition, Disablement, Layer};
use crate::definition::names::is_same_sidecar;
use crate::definition::rules::hosts;
use crate::report::error::{Code, Place, Problem};

/// What the layers come to.
#[derive(Debug, Default)]
pub struct Merged {
    /// The definitions in force that are whole, by name.
    pub definitions: Vec<Definition>,
    /// The names of those that are not, whose errors were reported.
    pub broken: Vec<String>,
    /// The trusted sidecars that the workspace disables, by name.
    pub disabled: Vec<Disablement>,
}

/// What holds a name while the layers are gone through.
struct Holder {
    layer: Layer,
    path: PathBuf,
    required: bool,
    /// `None` if the definition is broken, which was reported.
    definition: Option<Definition>,
}

/// The names in force, and the trusted ones that the workspace disables.
#[derive(Default)]
struct Merge {
    holders: BTreeMap<String, Holder>,
    disabled: BTreeMap<String, (Holder, Disablement)>,
}

/// Goes through the files of all layers, from the lowest layer to the highest.
pub fn merge(candidates: &[Candidate], budget: &ReadingBudget, problems: &mut Vec<Problem>) -> Merged {
    let mut merge = Merge::default();
    for candidate in candidates {
        if let Some(declaration) = declaration(candidate, budget, problems) {
            problems.extend(merge.take(candidate, declaration));
        }
    }
    problems.extend(merge.refuse_other_spellings());
    let is_broken = |(_, holder): &(&String, &Holder)| holder.definition.is_none();
    let broken = merge.holders.iter().filter(is_broken).map(|(name, _)| name.clone()).collect();
    Merged {
        broken,
        definitions: merge.holders.into_values().filter_map(|holder| holder.definition).collect(),
        disabled: merge.disabled.into_values().map(|(_, disablement)| disablement).collect(),
    }
}

impl Merge {
    fn take(&mut self, candidate: &Candidate, declaration: Declaration) -> Option<Problem> {
        let name = candidate.stem.as_str();
        let from_workspace = !candidate.layer.is_trusted();
        let trusted = |holder: &&Holder| from_workspace && holder.layer.is_trusted();
        match declaration {
            Declaration::Disabled { place, declared } => {
                match self.holders.get(name).filter(trusted) {
                    Some(holder) if holder.required => return Some(required(name, holder, place)),
                    Some(_) => return self.disable(name, place, declared),
                    None => self.holders.remove(name),
                };
            }
            Declaration::Sidecar(_) | Declaration::Broken => {
                // The name stays the trusted layer's: disabling it is no way to take it over.
                let disabled = self.disabled.get(name).map(|(holder, _)| holder);
                if let Some(holder) = self.holders.get(name).filter(trusted).or(disabled) {
                    return Some(redefined(candidate, holder));
                }
                let definition = match declaration {
                    Declaration::Sidecar(definition) => Some(*definition),
                    _ => None,
                };
                let required = definition.as_ref().is_some_and(|definition| definition.required);
                let (layer, path) = (candidate.layer, candidate.path.clone());
                self.holders.insert(name.to_owned(), Holder { layer, path, required, definition });
            }
        }
        None
    }

    /// Takes a trusted sidecar out, which is always said.
    fn disable(&mut self, name: &str, place: Place, declared: Declared) -> Option<Problem> {
        let holder = self.holders.remove(name)?;
        let message = format!(
            "the workspace disables `{name}`, which the {} layer declares in {}",
            holder.layer,
            holder.path.display()
        );
        let problem = Problem::warning(Code::WorkspaceOverride, message).at(place.clone()).of(name).hint(
            "Remove this file to start it again, or write `required = true` into the trusted definition: the \
             workspace then cannot disable it.",
        );
        let (layer, file) = (holder.layer, holder.path.clone());
        let disablement = Disablement { name: name.to_owned(), layer, file, place, declared };
        self.disabled.insert(name.to_owned(), (holder, disablement));
        Some(problem)
    }

    /// A name that the workspace disabled is not taken over by a sidecar of the workspace that is only spelled
    /// otherwise, or that answers to the name.
    fn refuse_other_spellings(&self) -> Vec<Problem> {
        let of_workspace = self.holders.values().filter(|holder| !holder.layer.is_trusted());
        let definitions = of_workspace.filter_map(|holder| holder.definition.as_ref());
        definitions
            .flat_map(|definition| {
                self.disabled.iter().filter_map(|(name, (holder, _))| {
                    let field = takes_over(definition, name, holder)?;
                    Some(taken_over(definition, &field, name, &holder.path))
                })
            })
            .collect()
    }
}

/// The field by which a definition takes the place of a sidecar: empty for its own name.
fn takes_over(definition: &Definition, name: &str, holder: &Holder) -> Option<String> {
    if is_same_sidecar(&definition.name, name) {
        return Some(String::new());
    }
    let held = holder.definition.as_ref().map(hosts).unwrap_or_default();
    let held: Vec<&str> = held.iter().map(|(host, _)| host.as_str()).chain([name]).collect();
    let own = hosts(definition).into_iter();
    let taken = |host: &str| held.iter().any(|other| other.eq_ignore_ascii_case(host));
    own.into_iter().find(|(host, _)| taken(host)).map(|(_, field)| field)
}

fn taken_over(definition: &Definition, field: &str, name: &str, path: &Path) -> Problem {
    let message = format!(
        "the workspace disables `{name}`, which {} declares, and its `{}` would take that sidecar's place",
        path.display(),
        definition.name
    );
    let hint = if field.is_empty() || field == "interface.name" {
        "Give it a name that differs in more than case and separators, and is no alias of the disabled sidecar."
    } else {
        "Remove the alias: it is a name of the disabled sidecar."
    };
    Problem::error(Code::WorkspaceOverride, message)
        .at(definition.place(field))
        .of(&definition.name)
        .hint(hint)
}

fn required(name: &str, holder: &Holder, place: Place) -> Problem {
    let message = format!(
        "the workspace disables `{name}`, which {} declares with `required = true`",
        holder.path.display()
    );
    let hint = "Remove this file, or the `required` from the trusted definition.";
    Problem::error(Code::WorkspaceOverride, message).at(place).of(name).hint(hint)
}

/// A workspace file that would take a trusted sidecar's name.
fn redefined(candidate: &Candidate, holder: &Holder) -> Problem {
    let name = candidate.stem.as_str();
    let message = format!(
        "the workspace cannot redefine `{name}`, which the {} layer declares in {}; this file is ignored",
        holder.layer,
        holder.path.display()
    );
    let hint =
        "Give it another name, or remove it: a workspace can disable a trusted sidecar, but not replace it.";
    Problem::warning(Code::WorkspaceOverride, message).at(Place::file(&candidate.path)).of(name).hint(hint)
}
