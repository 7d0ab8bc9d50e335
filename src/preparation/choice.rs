//! Which of the declared sidecars take part: those that were named, or those whose profile is in use.

use std::collections::{HashMap, HashSet};

use crate::definition::Definition;
use crate::report::error::{Code, Problem};

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarChoice {
    /// Only these and what they come after, whatever their profiles; empty for no choice.
    pub only: Vec<String>,
    /// Profiles that are in use. A definition without profiles always takes part.
    pub profiles: Vec<String>,
    /// All of them, whatever their profiles.
    pub all: bool,
}

impl SidecarChoice {
    /// Keeps the definitions that take part.
    ///
    /// # Errors
    /// One problem for each name and each profile that nothing has.
    pub fn keep(&self, definitions: &mut Vec<Definition>) -> Result<(), Vec<Problem>> {
        let mut problems: Vec<Problem> = Vec::new();
        for name in self.only.iter().filter(|name| definitions.iter().all(|other| other.name != **name)) {
            problems.push(unknown("sidecar", name, definitions.iter().map(|other| other.name.as_str())));
        }
        let known = || definitions.iter().flat_map(|definition| &definition.profiles);
        for profile in self.profiles.iter().filter(|profile| known().all(|other| other != *profile)) {
            problems.push(unknown("profile", profile, known().map(String::as_str)));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let chosen = self.with_what_they_come_after(definitions);
        definitions.retain(|definition| chosen.contains(&definition.name));
        Ok(())
    }

    fn is_chosen(&self, definition: &Definition) -> bool {
        if self.only.is_empty() {
            self.all
                || definition.profiles.is_empty()
                || definition.profiles.iter().any(|profile| self.profiles.contains(profile))
        } else {
            self.only.contains(&definition.name)
        }
    }

    /// The names of the chosen ones, and of all that they come after, whatever their profiles.
    fn with_what_they_come_after(&self, definitions: &[Definition]) -> HashSet<String> {
        let named: HashMap<&str, &Definition> =
            definitions.iter().map(|definition| (definition.name.as_str(), definition)).collect();
        let mut open: Vec<&Definition> =
            definitions.iter().filter(|definition| self.is_chosen(definition)).collect();
        let mut chosen: HashSet<String> = HashSet::new();
        while let Some(definition) = open.pop() {
            if chosen.insert(definition.name.clone()) {
                let before = definition.after.iter().filter_map(|after| named.get(after.sidecar.as_str()));
                open.extend(before);
            }
        }
        chosen
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let near = known
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let problem = Problem::error(Code::SidecarNotFound, format!("no definition has the {what} `{name}`"));
    match near {
        Some((_, near)) => problem.hint(format!("Did you mean `{near}`?")),
        None => problem.hint("List the definitions with `farrier plan`."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fuzzing::definition;

    fn all() -> Vec<Definition> {
        let of = |name: &str, more: &str| {
            let text = format!(
                "image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'\n{more}"
            );
            definition(name, &text).expect("a definition")
        };
        vec![
            of("db", "profiles = []"),
            of("admin", "profiles = ['debug', 'tools']\nafter = ['pool']"),
            of("trace", "profiles = ['debug']"),
            of("pool", "profiles = ['pooled']\nafter = ['db']"),
        ]
    }

    #[test]
    fn names_win_over_profiles_bring_what_they_come_after_and_unknown_ones_are_told() {
        for (only, profiles, expected) in [
            (&[][..], &[][..], &["db"][..]),
            (&[], &["tools"], &["db", "admin", "pool"]),
            (&[], &["debug"], &["db", "admin", "trace", "pool"]),
            (&["trace"], &[], &["trace"]),
            (&["pool"], &["debug"], &["db", "pool"]),
            (&["admin"], &[], &["db", "admin", "pool"]),
        ] {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let choice = SidecarChoice { only: owned(only), profiles: owned(profiles), all: false };
            let mut definitions = all();
            choice.keep(&mut definitions).expect("known names");
            let names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            assert_eq!(names, expected);
        }
        let choice =
            SidecarChoice { only: vec!["bd".to_owned()], profiles: vec!["none".to_owned()], all: false };
        let problems = choice.keep(&mut all()).expect_err("unknown");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].hints[0].contains("`db`"), "{problems:?}");
    }
}
