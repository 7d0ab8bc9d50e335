//! The decision: what a definition means on an engine (`sidecar`), what the engine holds (`snapshot`), what to do about
//! the difference (`reconcile`), and the plan, which is data only. Nothing here changes anything.

pub mod reconcile;
pub mod sidecar;
pub mod snapshot;

use std::fmt;

use crate::engine::{Container, Mounted, Status};
use crate::plan::sidecar::FirstValues;
use crate::report::escape::escape;

/// Why an action is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It runs, and configuration and image match.
    Matches,
    /// It matches, but is paused.
    Paused,
    /// There is no such container.
    Absent,
    /// It is not running.
    Stopped(Status, i64),
    /// These fields of the definition changed; none where the old ones are not known.
    Configuration(Vec<String>),
    /// The tag names another image now.
    Image {
        /// The container's image.
        from: String,
        /// The tag's image.
        to: String,
    },
    /// The container is not what its labels claim, in these respects.
    Drifted(Vec<String>),
    /// It was created but never started.
    HalfMade,
    /// It was started under the name that it was to have only until the one before it was gone.
    Misnamed,
    /// `--recreate`.
    Asked,
}

/// The beginning of an id, as people compare ids.
#[must_use]
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

impl Cause {
    /// The stable name in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Paused => "paused",
            Self::Absent => "absent",
            Self::Stopped(..) => "stopped",
            Self::Configuration(_) => "configuration",
            Self::Image { .. } => "image",
            Self::Drifted(_) => "drifted",
            Self::HalfMade => "half-made",
            Self::Misnamed => "misnamed",
            Self::Asked => "asked",
        }
    }
}

impl Cause {
    /// As data for scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::json!({"kind": self.kind(), "message": self.to_string()});
        match self {
            Self::Configuration(fields) | Self::Drifted(fields) => {
                value["fields"] = serde_json::json!(fields);
            }
            Self::Image { from, to } => {
                value["from"] = serde_json::json!(from);
                value["to"] = serde_json::json!(to);
            }
            Self::Stopped(status, exit_code) => {
                value["state"] = serde_json::json!(status.to_string());
                value["exit_code"] = serde_json::json!(exit_code);
            }
            Self::Matches | Self::Paused | Self::Absent | Self::HalfMade | Self::Misnamed | Self::Asked => {}
        }
        value
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => write!(formatter, "it runs and matches"),
            Self::Paused => write!(formatter, "it matches but is paused"),
            Self::Absent => write!(formatter, "it does not exist"),
            Self::Stopped(status, code) => write!(formatter, "it is {status} (exit code {code})"),
            Self::Configuration(fields) if fields.is_empty() => {
                write!(formatter, "its configuration changed")
            }
            Self::Configuration(fields) => write!(formatter, "{} changed", fields.join(", ")),
            Self::Image { from, to } => {
                write!(formatter, "its image changed from {} to {}", short(from), short(to))
            }
            Self::Drifted(what) => write!(formatter, "it drifted from its labels: {}", what.join(", ")),
            Self::HalfMade => write!(formatter, "it was created but never started"),
            Self::Misnamed => write!(formatter, "it still has its temporary name"),
            Self::Asked => write!(formatter, "--recreate was given"),
        }
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarPlan {
    /// Index into the launch's sidecars.
    pub index: usize,
    /// The sidecar's name.
    pub name: String,
    /// Its container.
    pub container: String,
    /// What.
    pub action: Action,
    /// Why; never empty.
    pub causes: Vec<Cause>,
    /// Whether its image is pulled first.
    pub pull: bool,
    /// Networks that the running container is connected to; the boolean says that it is taken off first,
    /// because it lacks its aliases there.
    pub connect: Vec<(String, bool)>,
    /// Anonymous volumes that the new container takes over.
    pub carried: Vec<Mounted>,
    /// Anonymous volumes that nothing uses any more.
    pub orphaned: Vec<Mounted>,
    /// Fields of the environment that have changed since the carried volumes were first written.
    pub changed_since_data: FirstValues,
    /// The container there is.
    pub existing: Option<Container>,
    /// The id of a container that a launch began to make beside it, and that is removed.
    pub leftover: Option<String>,
}

impl SidecarPlan {
    /// Whether its container runs and is left as it is.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.action == Action::Reuse && self.connect.is_empty()
    }
}

/// What is done with the main network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkPlan {
    /// It exists.
    Use {
        /// Its id.
        id: String,
        /// Ids of others of ours with the same name, which are removed.
        surplus: Vec<String>,
    },
    /// It is made first.
    Create,
}

impl NetworkPlan {
    /// Whether it is there, and is left as it is.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        matches!(self, Self::Use { surplus, .. } if surplus.is_empty())
    }
}

/// Everything that will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The main network's name.
    pub network: String,
    /// What is done with it.
    pub network_plan: NetworkPlan,
    /// In the order of names.
    pub sidecars: Vec<SidecarPlan>,
}

impl Plan {
    /// Whether the engine is as it should be.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        let is_kept =
            |step: &SidecarPlan| step.is_untouched() && step.leftover.is_none() && step.orphaned.is_empty();
        self.network_plan.is_untouched() && self.sidecars.iter().all(is_kept)
    }

    /// As data for scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let sidecars: Vec<serde_json::Value> = self.sidecars.iter().map(sidecar_json).collect();
        let network = match &self.network_plan {
            NetworkPlan::Use { id, surplus } => {
                serde_json::json!({"name": self.network, "action": "use", "id": id, "removes_surplus": surplus})
            }
            NetworkPlan::Create => serde_json::json!({"name": self.network, "action": "create"}),
        };
        serde_json::json!({ "network": network, "sidecars": sidecars })
    }
}

fn sidecar_json(plan: &SidecarPlan) -> serde_json::Value {
    let causes: Vec<serde_json::Value> = plan.causes.iter().map(Cause::to_json).collect();
    let networks = |again: bool| -> Vec<&String> {
        plan.connect.iter().filter(|(_, taken_off)| *taken_off == again).map(|(network, _)| network).collect()
    };
    serde_json::json!({
        "name": plan.name,
        "container": plan.container,
        "action": plan.action.to_string(),
        "causes": causes,
        "pull": plan.pull,
        "connect": networks(false),
        "reconnect": networks(true),
        "removes_leftover": plan.leftover.is_some(),
        "unused_volumes": plan.orphaned.iter().map(|volume| &volume.source).collect::<Vec<_>>(),
        "changed_since_data": plan.changed_since_data.keys().collect::<Vec<_>>(),
        "carried_volumes": plan.carried.iter().map(|volume| &volume.target).collect::<Vec<_>>(),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network_plan {
            NetworkPlan::Use { .. } => writeln!(formatter, "network {}: use", escape(&self.network))?,
            NetworkPlan::Create => writeln!(formatter, "network {}: create", escape(&self.network))?,
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
        write!(formatter, "{}: {}, because {}", escape(&self.name), self.action, causes.join("; "))?;
        if self.pull {
            write!(formatter, "\n  its image is pulled")?;
        }
        for (network, again) in &self.connect {
            let word = if *again { "reconnected" } else { "connected" };
            write!(formatter, "\n  {word} to network {}", escape(network))?;
        }
        if self.leftover.is_some() {
            write!(formatter, "\n  what an interrupted recreation left behind is removed")?;
        }
        for volume in &self.carried {
            write!(formatter, "\n  the anonymous volume at {} is carried over", escape(&volume.target))?;
        }
        if !self.changed_since_data.is_empty() {
            let fields: Vec<String> = self.changed_since_data.keys().map(|field| escape(field)).collect();
            let fields = fields.join(", ");
            write!(formatter, "\n  the carried data is older than the change of {fields}")?;
        }
        for volume in &self.orphaned {
            let (name, target) = (escape(short(&volume.source)), escape(&volume.target));
            let whole = escape(&volume.source);
            write!(
                formatter,
                "\n  the anonymous volume {name} at {target} is left unused; `docker volume rm {whole}` removes it"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older(field: &str) -> FirstValues {
        let value = serde_json::json!({ field: { "salt": "", "digest": null } });
        serde_json::from_value(value).expect("first values")
    }

    #[test]
    fn no_name_begins_a_line_of_a_plan() {
        let forged = || "x\nnetwork y: use\u{1b}[2J".to_owned();
        let volume =
            || Mounted { kind: "volume".to_owned(), source: forged(), target: forged(), writable: true };
        let sidecar = SidecarPlan {
            index: 0,
            name: forged(),
            container: forged(),
            action: Action::Recreate,
            causes: vec![Cause::Drifted(vec![forged()]), Cause::Configuration(vec![forged()])],
            pull: true,
            connect: vec![(forged(), false)],
            carried: vec![volume()],
            orphaned: vec![volume()],
            changed_since_data: older(&forged()),
            existing: None,
            leftover: None,
        };
        let plan = Plan { network: forged(), network_plan: NetworkPlan::Create, sidecars: vec![sidecar] };
        let text = plan.to_string();
        assert_eq!(text.lines().count(), 7, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("network ")).count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
