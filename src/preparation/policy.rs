//! The policy: what no definition and no probe may get, whoever approved it. A user's file and the machine's each bound
//! everything: what either of them refuses is refused, so that the stricter one wins.
//!
//! `file` opens a policy, `rules` reads it, `judgement` compares a definition with it, and `host_paths` knows which
//! files of this host a definition gives away. [`super::permitted`] is the only way on for definitions, and asks here.

mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod host_paths;
mod judgement;
mod rules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::judgement::Judgement;
pub use self::judgement::Surroundings;
use self::rules::{Programs, Rules};
use crate::definition::model::{Definition, Readiness};
use crate::definition::working_trees::WorkingTrees;
use crate::definition::{ArtifactReference, Repository};
use crate::report::error::{Code, Place, Problem};
use crate::report::quoted::bytes;

/// The machine's policy, which whoever administers this machine writes.
pub const OF_MACHINE: &str = "/etc/farrier/policy.toml";

/// Where policies are, if they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    /// The machine's.
    pub machine: Option<PathBuf>,
    /// The user's; `None` if there is no home.
    pub user: Option<PathBuf>,
}

/// The policies that are in force; empty if there is no file.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    all: Vec<Policy>,
}

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    path: PathBuf,
    is_of_machine: bool,
    rules: Rules,
}

/// What commands tell of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReport {
    /// The file.
    pub path: PathBuf,
    /// The names of its rules, in the order of the documents.
    pub rules: Vec<&'static str>,
}

impl PolicyReport {
    /// What it bounds.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.rules.is_empty() { "no rule".to_owned() } else { self.rules.join(", ") }
    }
}

impl Policies {
    /// Reads the policies that are there. A file in one of these working trees cannot bound what is in them. The trees
    /// are asked for only if there is a file.
    ///
    /// # Errors
    /// Everything that is wrong with a file: until it is corrected, nothing may start.
    pub fn read(files: &PolicyFiles, trees: &dyn Fn() -> WorkingTrees) -> Result<Self, Vec<Problem>> {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for (path, is_of_machine) in [(&files.machine, true), (&files.user, false)] {
            let Some(path) = path else { continue };
            match file::read(path, trees) {
                Ok(None) => {}
                Ok(Some(source)) => match Rules::parse(&source) {
                    Ok(rules) => all.push(Policy { path: path.clone(), is_of_machine, rules }),
                    Err(found) => problems.extend(found),
                },
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { all }) } else { Err(problems) }
    }

    /// What commands tell of each.
    #[must_use]
    pub fn reports(&self) -> Vec<PolicyReport> {
        let report =
            |policy: &Policy| PolicyReport { path: policy.path.clone(), rules: policy.rules.names() };
        self.all.iter().map(report).collect()
    }

    /// Everything that they refuse of a sidecar and its probes.
    #[must_use]
    pub fn refusals(&self, definition: &Definition, surroundings: Surroundings<'_>) -> Vec<Problem> {
        self.judged(definition, |judgement| judgement.sidecar(surroundings))
    }

    /// Everything that they refuse of one probe.
    #[must_use]
    pub fn probe_refusals(&self, definition: &Definition, readiness: &Readiness) -> Vec<Problem> {
        self.judged(definition, |judgement| judgement.probe(readiness))
    }

    /// What they refuse of the registries that a definition's probes come from.
    #[must_use]
    pub fn registry_refusals(&self, definition: &Definition) -> Vec<Problem> {
        self.judged(definition, |judgement| {
            definition.readiness.iter().for_each(|readiness| judgement.probe_origin(readiness));
        })
    }

    fn judged(&self, definition: &Definition, judge: impl Fn(&mut Judgement<'_>)) -> Vec<Problem> {
        let each = self.all.iter().flat_map(|policy| {
            let mut judgement = Judgement { policy, definition, problems: Vec::new() };
            judge(&mut judgement);
            judgement.problems
        });
        each.collect()
    }

    /// What they refuse of a probe in a registry that a command names, without any definition.
    #[must_use]
    pub fn reference_refusals(&self, reference: &ArtifactReference) -> Vec<Problem> {
        let repository = Repository::of(reference.image());
        self.of_command("registries", |rules| {
            let bound = rules.registries.as_ref()?;
            let is_permitted = repository.as_ref().is_some_and(|repository| bound.value.permit(repository));
            (!is_permitted)
                .then(|| (bound.place.clone(), format!("the command uses the probe `{reference}`")))
        })
    }

    /// What they refuse of a probe in a registry that a command runs by its tag.
    #[must_use]
    pub fn tag_refusals(&self, reference: &ArtifactReference) -> Vec<Problem> {
        self.of_command("digests_only", |rules| {
            let bound = rules.digests_only.as_ref().filter(|bound| bound.value)?;
            let sentence = format!("the command runs the probe `{reference}` by its tag");
            reference.digest().is_none().then(|| (bound.place.clone(), sentence))
        })
    }

    /// What they refuse of a probe that a command tries: whether it accepts any certificate, how many bytes of memory it may
    /// use, and whether it runs commands on this host.
    #[must_use]
    pub fn trial_refusals(&self, is_insecure: bool, memory: u64, runs_commands: bool) -> Vec<Problem> {
        let mut problems = self.of_command("insecure_tls", |rules| {
            let bound = rules.insecure_tls.as_ref().filter(|bound| is_insecure && !bound.value)?;
            Some((bound.place.clone(), "the command lets the probe accept any certificate".to_owned()))
        });
        problems.extend(self.of_command("probe_memory", |rules| {
            let bound = rules.probe_memory.as_ref().filter(|bound| memory > bound.value)?;
            let (may, most) = (bytes(memory), bytes(bound.value));
            let sentence = format!("the command lets the probe use {may} of memory, more than {most}");
            Some((bound.place.clone(), sentence))
        }));
        problems.extend(self.of_command("programs", |rules| {
            let bound =
                rules.programs.as_ref().filter(|bound| runs_commands && bound.value != Programs::Any)?;
            Some((bound.place.clone(), "the command runs commands on this host, unconfined".to_owned()))
        }));
        problems
    }

    /// The refusals of each policy in which a rule refuses what a command asks for.
    fn of_command(&self, rule: &str, find: impl Fn(&Rules) -> Option<(Place, String)>) -> Vec<Problem> {
        let refusal = |policy: &Policy| {
            let (place, sentence) = find(&policy.rules)?;
            Some(policy.with_other_way_out(policy.refusal(&place, rule, &sentence), &place, rule))
        };
        self.all.iter().filter_map(refusal).collect()
    }
}

impl Policy {
    /// A refusal by the rule that is at this place.
    fn refusal(&self, place: &Place, rule: &str, sentence: &str) -> Problem {
        let position = place.line_column().map(|(line, column)| format!(":{line}:{column}"));
        let (path, position) = (self.path.display(), position.unwrap_or_default());
        let message = format!("{sentence}, which the policy does not permit ({path}{position}, `{rule}`)");
        Problem::error(Code::PolicyRefused, message)
    }

    /// The last way out: another policy.
    fn with_other_way_out(&self, refusal: Problem, place: &Place, rule: &str) -> Problem {
        let line = place.line_column().map_or(0, |(line, _)| line);
        let path = self.path.display();
        refusal.hint(if self.is_of_machine {
            format!("Or ask whoever administers this machine to change `{rule}` in line {line} of {path}.")
        } else {
            format!("Or change `{rule}` in line {line} of {path}, if that is your decision.")
        })
    }
}

/// The policies of this machine and of the user whose configuration is in this folder.
#[must_use]
pub fn files(configuration: Option<&Path>) -> PolicyFiles {
    let of_user = |configuration: &Path| configuration.join("farrier/policy.toml");
    PolicyFiles { machine: Some(PathBuf::from(OF_MACHINE)), user: configuration.map(of_user) }
}
