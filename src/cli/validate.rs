//! `validate`: definitions, probes and settings, without an engine.

use std::sync::Arc;

use serde_json::{Value, json};

use super::data::{layer_lines, layers_json, policies_json, policy_lines, print, print_json};
use crate::approval;
use crate::cli::options::{self, Format};
use crate::cli::runtime::CommandRuntime;
use crate::cli::unused_workspace;
use crate::definition::in_the_files_language;
use crate::event::problem_json;
use crate::preparation::permitted::policies;
use crate::preparation::settings::Settings;
use crate::preparation::{self, Preparation, ValidationPhase, validate_settings, validates_settings};
use crate::probe::host::ProbeHost;
use crate::report::error::{Failure, Problem};
use crate::report::exit::code_of;
use crate::report::snippet::render;

/// The width that quoted source is cut to.
const WIDTH: usize = 110;

/// Prints every problem, and each layer with its count.
pub fn validate(options: &options::Validate, color: bool) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &options.launch);
    let settings = Settings { engine: settings.engine.clone().as_expected(), ..settings };
    let mut preparation = preparation::prepare(&settings);
    if preparation.definitions == 0 {
        // Nobody asked for it yet, and whoever writes a policy wants to know whether it is right.
        match policies(&settings) {
            Ok(policies) => preparation.policies = policies.reports(),
            Err(problems) => preparation.problems.extend(problems),
        }
    }
    preparation.problems.extend(unused_workspace::warnings(&options.layers));
    preparation.problems.extend(approval::not_run(&settings, &mut preparation.sidecars));
    preparation.problems.extend(approval::not_run(&settings, &mut preparation.disabled));
    if let Err(failure) = approval::refuse_denied_imports(&preparation.sidecars) {
        preparation.problems.extend(failure.problems);
    }
    let turns = [ValidationPhase::Trusted, ValidationPhase::Approved];
    if validates_settings(&preparation.sidecars, &turns) {
        let host = Arc::new(ProbeHost::new(settings.cache.clone(), settings.state.clone()));
        let mut runtime = CommandRuntime::start()?;
        for turn in turns {
            let found =
                runtime.run(async { Ok(validate_settings(&host, &preparation.sidecars, turn).await) })?;
            preparation.problems.extend(found);
        }
    }
    let probes = preparation.sidecars.iter().flat_map(|prepared| &prepared.probes);
    let remarks: Vec<Problem> =
        probes.flat_map(|found| found.remarks.clone()).map(in_the_files_language).collect();
    preparation.problems.extend(remarks);
    match options.format {
        Format::Human => print(&human(&preparation, color)),
        Format::Json => print_json(&as_json(&preparation)),
    }
    Ok(code_of(&preparation.problems))
}

fn human(preparation: &Preparation, color: bool) -> String {
    let mut text = String::new();
    for problem in &preparation.problems {
        text.push_str(render(problem, color, WIDTH).trim_end());
        text.push_str("\n\n");
    }
    text.push_str(&layer_lines(&preparation.layers));
    text.push_str(&policy_lines(&preparation.policies));
    let errors = preparation.problems.iter().filter(|problem| problem.is_error()).count();
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let warnings = preparation.problems.len() - errors;
    text.push_str(&format!(
        "{}, {}, {}\n",
        count(preparation.definitions, "sidecar"),
        count(errors, "error"),
        count(warnings, "warning")
    ));
    text
}

fn as_json(preparation: &Preparation) -> Value {
    json!({
        "layers": layers_json(&preparation.layers),
        "policies": policies_json(&preparation.policies),
        "sidecars": preparation.sidecars.iter().map(|prepared| prepared.sidecar.name()).collect::<Vec<_>>(),
        "problems": preparation.problems.iter().map(problem_json).collect::<Vec<_>>(),
        "valid": !preparation.problems.iter().any(Problem::is_error),
    })
}
