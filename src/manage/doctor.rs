//! What a launch needs of this machine, looked at one by one; nothing is changed.

use serde_json::{Value, json};

use crate::definition;
use crate::preparation::permitted::policies;
use crate::preparation::policy::PolicyReport;
use crate::preparation::settings::Settings;
use crate::probe::contract::CONTRACT;
use crate::report::error::Problem;

mod engine;
mod folders;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What, in a word or two; stable for scripts.
    pub name: &'static str,
    /// What was found.
    pub finding: String,
    /// How to repair it; empty where it is well.
    pub fixes: Vec<String>,
}

impl Check {
    fn well(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, finding: finding.into(), fixes: Vec::new() }
    }

    fn broken(name: &'static str, finding: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, finding: finding.into(), fixes: vec![fix.into()] }
    }

    fn problem(name: &'static str, problem: &Problem) -> Self {
        Self { name, finding: problem.message.clone(), fixes: problem.hints.clone() }
    }

    /// Whether nothing needs repair.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.fixes.is_empty()
    }

    /// As data for scripts.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let status = if self.is_well() { "ok" } else { "broken" };
        json!({"name": self.name, "status": status, "finding": self.finding, "fixes": self.fixes})
    }
}

/// Looks at everything. It takes seconds at most, whatever the engine does.
pub async fn examine(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![versions()];
    let (engine, of_engine) = engine::examine(settings).await;
    checks.extend(of_engine);
    if let Some(reason) = settings.engine.reason() {
        checks.push(Check::well("docker", format!("{reason}: farrier itself runs images")));
    }
    checks.extend(engine::examine_others(settings).await);
    checks.push(folders::cache(settings.cache.as_deref()));
    checks.push(folders::state(settings.state.as_deref()));
    checks.push(folders::approvals(settings.approvals.as_deref()));
    checks.push(folders::locks(engine.as_ref().map(|info| info.id.as_str())));
    checks.extend(layers(settings));
    checks.extend(policy(settings));
    checks
}

/// The policies that bound everything, or why they keep everything from starting.
fn policy(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "policy";
    match policies(settings) {
        Err(problems) => problems.iter().map(|problem| Check::problem(NAME, problem)).collect(),
        Ok(policies) if policies.reports().is_empty() => {
            let files = [&settings.policies.user, &settings.policies.machine];
            let places: Vec<String> =
                files.into_iter().flatten().map(|file| file.display().to_string()).collect();
            vec![Check::well(NAME, format!("none ({})", places.join(", ")))]
        }
        Ok(policies) => {
            let reports = policies.reports();
            let check = |report: &PolicyReport| {
                Check::well(NAME, format!("{}: {}", report.path.display(), report.in_words()))
            };
            reports.iter().map(check).collect()
        }
    }
}

fn versions() -> Check {
    let (own, host) = (env!("CARGO_PKG_VERSION"), env!("FARRIER_WASMTIME_VERSION"));
    Check::well("version", format!("farrier {own}, wasmtime {host}, probe contract farrier:probe@{CONTRACT}"))
}

fn layers(settings: &Settings) -> Vec<Check> {
    let loaded = definition::load(&settings.directories);
    let mut checks: Vec<Check> = loaded
        .layers
        .iter()
        .map(|layer| {
            let directory = layer.directory.display();
            let finding = match (layer.present, layer.files) {
                (false, _) => format!("{}: {directory} (no such folder)", layer.layer),
                (true, 1) => format!("{}: {directory} (1 file)", layer.layer),
                (true, files) => format!("{}: {directory} ({files} files)", layer.layer),
            };
            Check::well("layer", finding)
        })
        .collect();
    let errors = loaded.problems.iter().filter(|problem| problem.is_error()).count();
    checks.push(match (errors, loaded.definitions.len()) {
        (0, 1) => Check::well("definitions", "1 sidecar is defined"),
        (0, count) => Check::well("definitions", format!("{count} sidecars are defined")),
        (errors, _) => Check::broken(
            "definitions",
            format!("errors in the definitions: {errors}"),
            "Run `farrier validate` to see each error with its line.",
        ),
    });
    checks
}
