//! The decision: what a definition means on an engine (`sidecar`), what runs of it (`instance`), what an engine
//! observed (`snapshot`), what to do about the difference (`reconcile`), what belongs to one launch alone (`session`),
//! and the plan. All of it is data and pure functions: no engine is known here.

mod cause;
pub mod instance;
pub mod reconcile;
pub mod session;
pub mod sidecar;
pub mod snapshot;
mod step;

use std::fmt;
use std::sync::Arc;

use crate::definition::JobRuns;
use crate::plan::instance::{Instance, Mounted, Status};
use crate::plan::session::Session;
use crate::plan::sidecar::{FirstValues, Sidecar};
use crate::report::error::Problem;
use crate::report::escape::escape;

pub use cause::{Cause, short};
pub use step::Step;

/// What is done with a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but waiting for its readiness.
    Reuse,
    /// It is resumed.
    Resume,
    /// It is made and started.
    Create,
    /// The old container is removed, and a new one made and started.
    Recreate,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reuse => "reuse",
            Self::Resume => "resume",
            Self::Create => "create",
            Self::Recreate => "recreate",
        })
    }
}

/// What is done with one sidecar.
#[derive(Clone, Debug)]
pub struct SidecarPlan {
    /// What is wanted.
    pub sidecar: Arc<Sidecar>,
    /// The instance that exists.
    pub existing: Option<Instance>,
    /// What is done.
    pub action: Action,
    /// Why; never empty.
    pub causes: Vec<Cause>,
    /// What that takes on the engine.
    pub steps: Vec<Step>,
}

impl SidecarPlan {
    /// The sidecar's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.sidecar.name()
    }

    /// Whether its instance runs and is left as it is.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.action == Action::Reuse && self.connections().next().is_none()
    }

    /// Whether it is a job that succeeded, so that nothing is left to wait for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let has_succeeded =
            |instance: &Instance| instance.status == Status::Exited && instance.exit_code == 0;
        self.action == Action::Reuse
            && self.sidecar.definition.job().is_some()
            && self.existing.as_ref().is_some_and(has_succeeded)
    }

    /// This part after its image was pulled.
    #[must_use]
    pub fn without_pull(mut self) -> Self {
        self.steps.retain(|step| !matches!(step, Step::Pull));
        self
    }

    /// Whether nothing is started for it, nor left to wait for that others would have to wait for, too: what runs goes on, and
    /// what succeeded is done.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_untouched() && (self.sidecar.definition.job().is_none() || self.is_done())
    }

    /// The instance that stays.
    #[must_use]
    pub fn kept(&self) -> Option<&Instance> {
        self.existing.as_ref().filter(|_| matches!(self.action, Action::Reuse | Action::Resume))
    }

    /// Whether its image is pulled first.
    #[must_use]
    pub fn pulls(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Pull))
    }

    /// The networks that the running instance is connected to; the flag says that it is disconnected first.
    pub fn connections(&self) -> impl Iterator<Item = (&str, bool)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Connect { network, again } => Some((network.as_str(), *again)),
            _ => None,
        })
    }

    /// The id of what an interrupted recreation left behind.
    #[must_use]
    pub fn leftover(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::RemoveLeftover { instance } => Some(instance.as_str()),
            _ => None,
        })
    }

    /// The anonymous volumes that the new instance takes over, with the fields of the environment that have changed since
    /// their data was first written.
    #[must_use]
    pub fn carried(&self) -> (Vec<Mounted>, FirstValues) {
        let carried = self.steps.iter().find_map(|step| match step {
            Step::Carry { volumes, changed_since, .. } => Some((volumes.clone(), changed_since.clone())),
            _ => None,
        });
        carried.unwrap_or_default()
    }

    /// Whether people have to know what becomes of its data: the new values may have no effect on it, or nothing uses it any
    /// more.
    #[must_use]
    pub fn is_about_data(&self) -> bool {
        !self.carried().1.is_empty() || self.unused_volumes().next().is_some()
    }

    /// The anonymous volumes that nothing uses any more.
    pub fn unused_volumes(&self) -> impl Iterator<Item = &Mounted> {
        self.steps.iter().filter_map(|step| match step {
            Step::LeaveVolume { volume, .. } => Some(volume),
            _ => None,
        })
    }
}

/// The network that farrier makes if the harness names none.
pub const OWN_NETWORK: &str = "farrier";

/// The network on which harness and sidecars meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HarnessNetwork {
    /// Its name.
    pub name: String,
    /// Whether farrier makes it if it is absent.
    pub is_own: bool,
    /// farrier's own network, also if the harness names another one.
    pub home: String,
    /// The session whose network it is: nothing stays on it after the launch.
    pub session: Option<Session>,
    /// Other networks that the harness is on, where its name server finds others.
    pub beside: Vec<String>,
}

/// What is done with the harness's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Its name.
    pub name: String,
    /// Whether it is farrier's: sidecars stay on it when the launch has ended.
    pub is_own: bool,
    /// The session whose network it is, and the network that shared sidecars go to afterwards.
    pub session: Option<(Session, String)>,
    /// What is done.
    pub action: NetworkAction,
}

/// What is done with a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkAction {
    /// It exists.
    Use {
        /// Its id.
        id: String,
        /// Ids of others of farrier's with the same name, which are removed.
        surplus: Vec<String>,
    },
    /// It is created first.
    Create,
}

impl NetworkPlan {
    /// Whether it exists, and is left as it is.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        matches!(&self.action, NetworkAction::Use { surplus, .. } if surplus.is_empty())
    }
}

/// Everything that is done on one engine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// With the harness's network.
    pub network: NetworkPlan,
    /// With each sidecar, in the order of names.
    pub sidecars: Vec<SidecarPlan>,
    /// What a person has to know about the engine, whatever is done.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// Whether the engine is as it should be.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        let is_kept = |part: &SidecarPlan| part.action == Action::Reuse && part.steps.is_empty();
        self.network.is_untouched() && self.sidecars.iter().all(is_kept)
    }

    /// As data for scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let sidecars: Vec<serde_json::Value> = self.sidecars.iter().map(sidecar_json).collect();
        let name = &self.network.name;
        let network = match &self.network.action {
            NetworkAction::Use { id, surplus } => {
                serde_json::json!({"name": name, "action": "use", "id": id, "removes_surplus": surplus})
            }
            NetworkAction::Create => serde_json::json!({"name": name, "action": "create"}),
        };
        serde_json::json!({ "network": network, "sidecars": sidecars })
    }
}

fn sidecar_json(plan: &SidecarPlan) -> serde_json::Value {
    let causes: Vec<serde_json::Value> = plan.causes.iter().map(Cause::to_json).collect();
    let networks = |again: bool| -> Vec<&str> {
        plan.connections()
            .filter(|(_, reconnected)| *reconnected == again)
            .map(|(network, _)| network)
            .collect()
    };
    let (carried, changed_since) = plan.carried();
    let definition = &plan.sidecar.definition;
    let after: Vec<serde_json::Value> = definition
        .after
        .iter()
        .map(|after| serde_json::json!({ "sidecar": after.sidecar, "until": after.until.as_str() }))
        .collect();
    serde_json::json!({
        "name": plan.name(),
        "container": plan.sidecar.container,
        "action": plan.action.to_string(),
        "causes": causes,
        "job": definition.job().map(JobRuns::as_str),
        "after": after,
        "pull": plan.pulls(),
        "connect": networks(false),
        "reconnect": networks(true),
        "removes_leftover": plan.leftover().is_some(),
        "unused_volumes": plan.unused_volumes().map(|volume| &volume.source).collect::<Vec<_>>(),
        "changed_since_data": changed_since.keys().collect::<Vec<_>>(),
        "carried_volumes": carried.iter().map(|volume| &volume.target).collect::<Vec<_>>(),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.network.action {
            NetworkAction::Use { .. } => "use",
            NetworkAction::Create => "create",
        };
        writeln!(formatter, "network {}: {action}", escape(&self.network.name))?;
        if let NetworkAction::Use { surplus, .. } = &self.network.action
            && !surplus.is_empty()
        {
            writeln!(formatter, "  farrier removes its other networks of that name: {}", surplus.len())?;
        }
        for plan in &self.sidecars {
            writeln!(formatter, "{plan}")?;
        }
        Ok(())
    }
}

/// Lines whose names are escaped, so that none of them begins a line.
impl fmt::Display for SidecarPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes: Vec<String> = self.causes.iter().map(|cause| escape(&cause.to_string())).collect();
        write!(formatter, "{}: {}, because {}", escape(self.name()), self.action, causes.join("; "))?;
        let after: Vec<String> =
            self.sidecar.definition.after.iter().map(|after| escape(&after.to_string())).collect();
        if !after.is_empty() {
            write!(formatter, "\n  after {}", after.join(", "))?;
        }
        self.steps.iter().try_for_each(|step| write!(formatter, "{step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fuzzing::definition;
    use crate::plan::sidecar::Scopes;

    fn older(field: &str) -> FirstValues {
        let value = serde_json::json!({ field: { "salt": "", "digest": null } });
        serde_json::from_value(value).expect("first values")
    }

    #[test]
    fn no_name_begins_a_line_of_a_plan() {
        let forged = || "x\nnetwork y: use\u{1b}[2J".to_owned();
        let volume =
            || Mounted { kind: "volume".to_owned(), source: forged(), target: forged(), writable: true };
        let text = "image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";
        let definition = definition(&forged(), text).expect("a definition");
        let sidecar = SidecarPlan {
            sidecar: Arc::new(Sidecar::new(definition, &Scopes::default())),
            existing: None,
            action: Action::Recreate,
            causes: vec![Cause::Drifted(vec![forged()]), Cause::Configuration(vec![forged()])],
            steps: vec![
                Step::Pull,
                Step::Connect { network: forged(), again: false },
                Step::Carry { volumes: vec![volume()], changed_since: older(&forged()), sidecar: forged() },
                Step::LeaveVolume { volume: volume(), removal: None },
            ],
        };
        let network =
            NetworkPlan { name: forged(), is_own: true, session: None, action: NetworkAction::Create };
        let plan = Plan { network, sidecars: vec![sidecar], warnings: Vec::new() };
        let text = plan.to_string();
        assert_eq!(text.lines().count(), 7, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("network ")).count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
