//! What a component imports, held against what its definition grants, before anything is compiled.

use crate::definition::model::Readiness;
use crate::error::{Code, Place, Problem};

use super::component::{CONTRACT, ComponentFile};

/// What the built-in probes get without being asked for, by name.
#[must_use]
pub fn built_in_grant(probe: &str) -> Option<&'static [&'static str]> {
    match probe {
        "tcp" => Some(&["dial"]),
        "healthcheck" => Some(&["health"]),
        "exec" => Some(&["exec"]),
        "skip" => Some(&[]),
        _ => None,
    }
}

/// The interfaces that a definition's grants cover.
#[must_use]
pub fn granted(readiness: &Readiness) -> Vec<&'static str> {
    let grants = &readiness.grants;
    let mut interfaces = Vec::new();
    if !grants.dial.is_empty() {
        interfaces.push("dial");
    }
    if !grants.exec.is_empty() {
        interfaces.push("exec");
    }
    if grants.health {
        interfaces.push("health");
    }
    if grants.logs {
        interfaces.push("logs");
    }
    interfaces
}

/// The line that grants an interface.
fn grant_line(interface: &str) -> &'static str {
    match interface {
        "dial" => "grants.dial = [\"self\"]",
        "exec" => "grants.exec = [[\"command\", \"argument\"]]",
        "health" => "grants.health = true",
        _ => "grants.logs = true",
    }
}

/// Every import that is not covered. `log` and types are always offered; they can do nothing.
#[must_use]
pub fn ungranted(component: &ComponentFile, granted: &[&str], probe: &str, place: &Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    for import in &component.imports {
        let interface = import
            .strip_prefix("farrier:probe/")
            .and_then(|rest| rest.strip_suffix(CONTRACT))
            .and_then(|rest| rest.strip_suffix('@'));
        let problem = match interface {
            Some("types" | "log") => continue,
            Some(interface) if granted.contains(&interface) => continue,
            Some(interface @ ("dial" | "exec" | "health" | "logs")) => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which its definition does not grant"),
            )
            .hint(format!("Grant it with `{}` under [readiness].", grant_line(interface))),
            _ => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which farrier does not offer"),
            )
            .hint("Build it for wasm32-unknown-unknown with the farrier-probe SDK: it then imports only farrier:probe."),
        };
        problems.push(problem.at(place.clone()));
    }
    problems
}
