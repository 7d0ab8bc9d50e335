//! The decision: a pure function from what is declared and what engines observed to plans, or to every reason against
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::{Instance, Status};
use super::sidecar::{LABEL_AFTER, LABEL_CONFIGURATION, LABEL_HASH, Sidecar};
use super::snapshot::{Found, Observed, Rival, Snapshot};
use super::{Action, Cause, Plan, SidecarPlan, Step};
use crate::definition::JobRuns;
use crate::definition::order::{edges, sort};
use crate::report::error::{Code, Problem};
use crate::system::lock::Holder;

/// Decides about sidecars that all live on one engine.
///
/// # Errors
/// All reasons why nothing may be done, in the order of names.
pub fn reconcile(
    sidecars: &[Arc<Sidecar>],
    snapshot: Snapshot,
    recreate: bool,
) -> Result<Plan, Vec<Problem>> {
    let mut plans = reconcile_all(vec![(sidecars.to_vec(), snapshot)], recreate)?;
    plans.pop().ok_or_else(Vec::new)
}

/// Decides about the sidecars on several engines, each with what its engine observed. A job runs again if what it comes
/// after is another instance than when it ran, on whichever engine that is.
///
/// # Errors
/// All reasons why nothing may be done, on each engine in the order of names.
pub fn reconcile_all(
    engines: Vec<(Vec<Arc<Sidecar>>, Snapshot)>,
    recreate: bool,
) -> Result<Vec<Plan>, Vec<Problem>> {
    let (mut parts, mut snapshots) = (Vec::new(), Vec::new());
    for (sidecars, Snapshot { network, sidecars: observed, warnings }) in engines {
        snapshots.push((network, warnings, sidecars.len()));
        parts.extend(sidecars.into_iter().zip(observed));
    }
    let mut decided = decide_in_order(parts, recreate).into_iter();
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    for (network, warnings, count) in snapshots {
        let network = network.map_err(|problem| problems.push(problem)).ok();
        let mut sidecars = Vec::with_capacity(count);
        for (refusals, part) in decided.by_ref().take(count) {
            problems.extend(refusals);
            match part {
                Ok(part) => sidecars.push(part),
                Err(problem) => problems.push(problem),
            }
        }
        plans.extend(network.map(|network| Plan { network, sidecars, warnings }));
    }
    if problems.is_empty() { Ok(plans) } else { Err(problems) }
}

type Decided = (Vec<Problem>, Result<SidecarPlan, Problem>);

/// Decides about each, those first that others come after. The result is in the order of the sidecars.
fn decide_in_order(parts: Vec<(Arc<Sidecar>, Observed)>, recreate: bool) -> Vec<Decided> {
    let after = edges(parts.iter().map(|(sidecar, _)| &sidecar.definition));
    let before: Vec<Vec<usize>> =
        after.iter().map(|after| after.iter().map(|(place, _)| *place).collect()).collect();
    // Definitions with a circle are not started, so there is none.
    let order = sort(&before).unwrap_or_else(|_| (0..parts.len()).collect());
    let mut parts: Vec<Option<(Arc<Sidecar>, Observed)>> = parts.into_iter().map(Some).collect();
    let mut decided: Vec<Option<Decided>> = parts.iter().map(|_| None).collect();
    for place in order {
        let Some((sidecar, observed)) = parts[place].take() else { continue };
        let predecessors = before[place].iter().filter_map(|other| {
            let part = decided[*other].as_ref()?.1.as_ref().ok()?;
            Some((part.name().to_owned(), part.kept().map(|instance| instance.id.clone())))
        });
        let Observed { refusals, found, create, rivals } = observed;
        let part = decide(&sidecar, found, create, recreate, &predecessors.collect());
        let part = part.and_then(|part| match rivals.first().filter(|_| !recreate) {
            Some(rival) => Err(wanted_otherwise(&sidecar, rival)),
            None => Ok(part),
        });
        decided[place] = Some((refusals, part));
    }
    decided.into_iter().flatten().collect()
}

/// What a sidecar comes after: the id of each instance, or none for one that is made.
type Predecessors = BTreeMap<String, Option<String>>;

fn decide(
    sidecar: &Arc<Sidecar>,
    found: Option<Found>,
    create: Vec<Step>,
    recreate: bool,
    predecessors: &Predecessors,
) -> Result<SidecarPlan, Problem> {
    let part = |existing, action, causes, steps| SidecarPlan {
        sidecar: Arc::clone(sidecar),
        existing,
        action,
        causes,
        steps,
    };
    let Some(found) = found else { return Ok(part(None, Action::Create, vec![Cause::Absent], create)) };
    let mut causes = staleness(sidecar, &found, recreate);
    if causes.is_empty()
        && let Some(job) = sidecar.definition.job()
    {
        causes.extend(reasons_to_run_again(job, &found, predecessors));
    }
    let Found { instance, mut keep, replace, holders, .. } = found;
    if causes.is_empty() {
        let (action, cause) = match instance.status {
            Status::Paused => (Action::Resume, Cause::Paused),
            Status::Exited => (Action::Reuse, Cause::Succeeded),
            _ => (Action::Reuse, Cause::Matches),
        };
        if sidecar.definition.job().is_some() {
            // Nobody reaches it.
            keep.retain(|step| !matches!(step, Step::Connect { .. }));
        }
        return Ok(part(Some(instance), action, vec![cause], keep));
    }
    if instance.is_up()
        && !recreate
        && let Some(holder) = holders.first()
    {
        return Err(in_use(sidecar, &causes, holder));
    }
    Ok(part(Some(instance), Action::Recreate, causes, replace))
}

/// Replacing the instance would pull it away from another launch.
#[must_use]
pub fn in_use(sidecar: &Sidecar, causes: &[Cause], holder: &Holder) -> Problem {
    let changed: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let (name, changed) = (sidecar.name(), changed.join("; "));
    let Holder { process, command } = holder;
    let message =
        format!("sidecar `{name}` would be recreated ({changed}), but process {process} uses it: {command}");
    Problem::error(Code::SidecarInUse, message)
        .of(name)
        .at(sidecar.definition.place("image"))
        .hint("Wait until that launch ends.")
        .hint("Or add `--recreate` to replace it despite that launch.")
}

/// Another machine's command came first: changing the sidecar would pull away what that one is about to use, and using it
/// as it is would end with that one's change.
fn wanted_otherwise(sidecar: &Sidecar, Rival { holder, removes }: &Rival) -> Problem {
    let does = if *removes { "removes" } else { "uses another definition of" };
    let message =
        format!("process {} {does} the sidecar `{}`: {}", holder.process, sidecar.name(), holder.command);
    Problem::error(Code::SidecarInUse, message)
        .of(sidecar.name())
        .at(sidecar.definition.place("image"))
        .hint("Wait until that command ends, and run this one again.")
        .hint("Or add `--recreate` to replace the sidecar despite that command.")
}

/// Why a job that matches runs again.
fn reasons_to_run_again(job: JobRuns, found: &Found, predecessors: &Predecessors) -> Option<Cause> {
    // A run that another launch began is this one's, too.
    let is_shared = found.is_awaited || (found.instance.is_up() && !found.holders.is_empty());
    if job == JobRuns::EveryLaunch && !is_shared {
        return Some(Cause::EveryLaunch);
    }
    let label = found.instance.labels.get(LABEL_AFTER).map(String::as_str).unwrap_or_default();
    let recorded: BTreeMap<String, String> = serde_json::from_str(label).unwrap_or_default();
    let is_another = |(name, now): &(&String, &Option<String>)| match (recorded.get(*name), now) {
        (Some(before), Some(now)) => before != now,
        (_, None) => true,
        // It has come after that one only since its definition was changed.
        (None, Some(_)) => false,
    };
    let changed: Vec<String> = predecessors.iter().filter(is_another).map(|(name, _)| name.clone()).collect();
    (!changed.is_empty()).then_some(Cause::After(changed))
}

/// Whether a job's instance has done what it was made for.
fn has_succeeded(sidecar: &Sidecar, instance: &Instance) -> bool {
    sidecar.definition.job().is_some() && instance.status == Status::Exited && instance.exit_code == 0
}

/// Every reason to recreate the instance; none if it is as it should be.
#[must_use]
pub fn staleness(sidecar: &Sidecar, found: &Found, recreate: bool) -> Vec<Cause> {
    let Found { instance, image, drift, .. } = found;
    let mut causes = Vec::new();
    match instance.status {
        Status::Created => causes.push(Cause::HalfMade),
        // Whoever made it waits for it, and nobody does better by making another one.
        Status::Starting | Status::Running | Status::Paused => {}
        _ if has_succeeded(sidecar, instance) => {}
        Status::Restarting if sidecar.definition.job().is_some() => {}
        Status::Exited if sidecar.definition.job().is_some() => {
            causes.push(Cause::Failed(instance.exit_code));
        }
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
