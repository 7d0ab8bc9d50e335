//! The decision: a pure function from what is declared and what an engine observed to a plan, or to every reason against
//! it.

use std::sync::Arc;

use super::instance::Status;
use super::sidecar::{LABEL_CONFIGURATION, LABEL_HASH, Sidecar};
use super::snapshot::{Found, Observed, Snapshot};
use super::{Action, Cause, Plan, SidecarPlan};
use crate::report::error::{Code, Problem};

/// Decides.
///
/// # Errors
/// All reasons why nothing may be done, in the order of names.
pub fn reconcile(
    sidecars: &[Arc<Sidecar>],
    snapshot: Snapshot,
    recreate: bool,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let network = snapshot.network.map_err(|problem| problems.push(problem)).ok();
    let mut parts = Vec::new();
    for (sidecar, observed) in sidecars.iter().zip(snapshot.sidecars) {
        let Observed { refusals, found, create } = observed;
        problems.extend(refusals);
        match decide(sidecar, found, create, recreate) {
            Ok(part) => parts.push(part),
            Err(problem) => problems.push(problem),
        }
    }
    match network {
        Some(network) if problems.is_empty() => {
            Ok(Plan { network, sidecars: parts, warnings: snapshot.warnings })
        }
        _ => Err(problems),
    }
}

fn decide(
    sidecar: &Arc<Sidecar>,
    found: Option<Found>,
    create: Vec<super::Step>,
    recreate: bool,
) -> Result<SidecarPlan, Problem> {
    let part = |existing, action, causes, steps| SidecarPlan {
        sidecar: Arc::clone(sidecar),
        existing,
        action,
        causes,
        steps,
    };
    let Some(found) = found else { return Ok(part(None, Action::Create, vec![Cause::Absent], create)) };
    let causes = staleness(sidecar, &found, recreate);
    let Found { instance, keep, replace, holders, .. } = found;
    if causes.is_empty() {
        let (action, cause) = match instance.status {
            Status::Paused => (Action::Resume, Cause::Paused),
            _ => (Action::Reuse, Cause::Matches),
        };
        return Ok(part(Some(instance), action, vec![cause], keep));
    }
    if instance.is_up()
        && !recreate
        && let Some(holder) = holders.first()
    {
        let changed: Vec<String> = causes.iter().map(ToString::to_string).collect();
        return Err(Problem::error(
            Code::SidecarInUse,
            format!(
                "sidecar `{}` would be recreated ({}), but process {} uses it: {}",
                sidecar.name(),
                changed.join("; "),
                holder.process,
                holder.command
            ),
        )
        .of(sidecar.name())
        .at(sidecar.definition.place("image"))
        .hint("Wait until that launch ends.")
        .hint("Or add `--recreate` to replace it despite that launch."));
    }
    Ok(part(Some(instance), Action::Recreate, causes, replace))
}

/// Every reason to recreate the instance; none if it is as it should be.
#[must_use]
pub fn staleness(sidecar: &Sidecar, found: &Found, recreate: bool) -> Vec<Cause> {
    let Found { instance, image, drift, .. } = found;
    let mut causes = Vec::new();
    match instance.status {
        Status::Created => causes.push(Cause::HalfMade),
        Status::Running | Status::Paused => {}
        status => causes.push(Cause::Stopped(status, instance.exit_code)),
    }
    if instance.status != Status::Created && found.is_misnamed {
        causes.push(Cause::Misnamed);
    }
    if instance.labels.get(LABEL_HASH) != Some(&sidecar.hash) {
        let before = instance.labels.get(LABEL_CONFIGURATION).map(String::as_str).unwrap_or_default();
        causes.push(Cause::Configuration(sidecar.configuration().differences(before).unwrap_or_default()));
    } else if let Some(image) = image.as_ref().filter(|image| **image != instance.image_id) {
        let (from, to) = (instance.image_id.clone(), image.clone());
        causes.push(match sidecar.definition.image {
            Some(_) => Cause::Image { from, to },
            None => Cause::Program { from, to },
        });
    } else if !drift.is_empty() {
        causes.push(Cause::Drifted(drift.clone()));
    }
    if recreate {
        causes.push(Cause::Asked);
    }
    causes
}

#[cfg(test)]
mod tests;
