//! What `check` and `test` have in common: a probe outside a launch, loaded, with settings that it accepts.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Chosen;
use crate::definition::Limits;
use crate::probe::component::ComponentFile;
use crate::probe::guest::Verdict;
use crate::probe::host::{LoadError, LoadedProbe, ProbeHost};
use crate::probe::settings_schema::SettingsSchema;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::system::folders::own_folders;

/// The exit code of a probe that did not do what was asked of it.
pub const NOT_READY: u8 = 1;

/// Compiles a probe, or takes it from the cache.
///
/// # Errors
/// Why it cannot be loaded.
pub async fn load(file: &ComponentFile, interfaces: &[&'static str]) -> Result<LoadedProbe, Failure> {
    let (cache, state) = own_folders();
    let host = Arc::new(ProbeHost::new(cache, state));
    let file = Arc::new(file.clone());
    host.load_in_time(&file, interfaces).await.map_err(|error| {
        let problem =
            error.problem(Code::ProbeInvalid, |reason| format!("the probe cannot be loaded: {reason}"));
        let problem = match error {
            LoadError::Component(_) => problem.hint("Build the component again."),
            LoadError::Limit(_) => problem,
        };
        problem.into()
    })
}

/// Checks the settings against the schema that the component carries.
///
/// # Errors
/// Everything that is wrong with them, with this next step.
pub fn expect_described(chosen: &Chosen, settings: &str, hint: &str) -> Result<(), Failure> {
    let Ok(Some(schema)) = SettingsSchema::of(&chosen.file) else { return Ok(()) };
    let settings: Map<String, Value> = serde_json::from_str(settings).unwrap_or_default();
    let problems = schema.check(&settings).into_iter().map(|violation| {
        let dot = if violation.path.is_empty() { "" } else { "." };
        let path = format!("settings{dot}{}", violation.path);
        violation.problem(&path).hint(hint)
    });
    let problems: Vec<Problem> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

/// Lets the component itself check its settings.
///
/// # Errors
/// Everything that it finds wrong with them, with this next step, or that it crashes.
pub async fn accept_settings(
    probe: &LoadedProbe,
    name: &str,
    settings: &str,
    hint: &str,
    limits: Limits,
) -> Result<(), Failure> {
    let problems = match probe.validate(settings, limits).await {
        Ok(found) => found.into_iter().map(|wrong| {
            let dot = if wrong.path.is_empty() { "" } else { "." };
            let message = format!("settings{dot}{}: {}", escape(&wrong.path), escape(&wrong.message));
            Problem::error(Code::ProbeSettings, message).hint(hint)
        }),
        Err(crash) => {
            let message = format!("the probe `{name}` cannot check its settings: {crash}");
            return Err(Failure {
                exit: NOT_READY,
                problems: vec![
                    Problem::error(Code::ProbeCrashed, message)
                        .hint("Report the crash to the probe's author."),
                ],
            });
        }
    };
    let problems: Vec<Problem> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

/// The word for a verdict, and what it says.
pub fn told(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Ready => ("ready", None),
        Verdict::Pending { reason, .. } => ("pending", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
        Verdict::Crashed(reason) => ("crashed", Some(reason)),
        Verdict::TimedOut => ("timed-out", None),
    }
}
