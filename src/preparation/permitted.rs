//! Definitions that every policy permits. Everything behind this, from the download of a probe to the plan, takes
//! definitions in this form only, so that none gets past a policy.

use crate::definition::{self, Definition, Disablement, LayerReport, Loaded};
use crate::preparation::policy::{Policies, PolicyReport, Surroundings};
use crate::preparation::settings::Settings;
use crate::report::error::Problem;

/// What the layers say, without the definitions that a policy refuses.
#[derive(Debug, Default)]
pub struct Permitted {
    loaded: Loaded,
    declared: usize,
    policies: Vec<PolicyReport>,
}

/// The parts of [`Permitted`].
pub(super) struct Parts {
    /// The layers that were read.
    pub layers: Vec<LayerReport>,
    /// The definitions that are permitted.
    pub definitions: Vec<Definition>,
    /// The trusted sidecars that the workspace disables.
    pub disabled: Vec<Disablement>,
    /// All problems so far, the refusals among them.
    pub problems: Vec<Problem>,
    /// How many definitions there are, those that are refused included.
    pub declared: usize,
    /// The policies that are in force.
    pub policies: Vec<PolicyReport>,
}

impl Permitted {
    /// Judges definitions. If a policy cannot be used, none is permitted.
    #[must_use]
    pub fn of(settings: &Settings, mut loaded: Loaded) -> Self {
        let declared = loaded.definitions.len();
        // Without definitions, nothing asks for anything, and a launch opens no file for it.
        let policies = if declared == 0 { Ok(Policies::default()) } else { policies(settings) };
        let policies = match policies {
            Ok(policies) => policies,
            Err(problems) => {
                loaded.problems.extend(problems);
                loaded.definitions.clear();
                return Self { loaded, declared, policies: Vec::new() };
            }
        };
        let surroundings = surroundings(settings);
        let Loaded { definitions, problems, .. } = &mut loaded;
        definitions.retain(|definition| {
            let refusals = policies.refusals(definition, surroundings);
            let is_permitted = refusals.is_empty();
            problems.extend(refusals.into_iter().map(definition::in_the_files_language));
            is_permitted
        });
        Self { loaded, declared, policies: policies.reports() }
    }

    /// The definitions that are permitted.
    #[must_use]
    pub fn definitions(&self) -> &[Definition] {
        &self.loaded.definitions
    }

    /// Adds problems.
    pub fn note(&mut self, problems: Vec<Problem>) {
        self.loaded.problems.extend(problems);
    }

    pub(super) fn into_parts(self) -> Parts {
        let Self { loaded: Loaded { layers, definitions, disabled, problems }, declared, policies } = self;
        Parts { layers, definitions, disabled, problems, declared, policies }
    }
}

/// The policies that bound these settings' definitions.
///
/// # Errors
/// Everything that is wrong with a file.
pub fn policies(settings: &Settings) -> Result<Policies, Vec<Problem>> {
    let trees = || settings.directories.working_trees.clone().and(settings.scopes.workspace.clone());
    Policies::read(&settings.policies, &trees)
}

/// What definitions are judged with.
#[must_use]
pub fn surroundings(settings: &Settings) -> Surroundings<'_> {
    Surroundings {
        workspace: settings.directories.workspace_root.as_deref(),
        environment: &settings.environment,
    }
}
