//! What a person approves: a sidecar of the workspace, or that the workspace disables a trusted one.

use super::fingerprint::{Attachment, fingerprint, fingerprint_of};
use super::statement::{Held, Statement, shows_grants};
use crate::definition::Disablement;
use crate::preparation::{Approval, Disabled, ResolvedSidecar};
use crate::probe::catalogue::FoundProbe;
use crate::probe::denial::{self, Denied};
use crate::report::error::{Place, Problem};

/// Something of the workspace that has no effect before it is approved.
pub trait Subject {
    /// The sidecar's name.
    fn name(&self) -> &str;
    /// Whether it is approved.
    fn approval(&self) -> Approval;
    /// Notes whether it is approved.
    fn set_approval(&mut self, approval: Approval);
    /// What the workspace does with the sidecar, in one word.
    fn verb(&self) -> &'static str;
    /// Names the sidecar, as the beginning of a message.
    fn told(&self) -> String;
    /// The names of the grants that can be denied alone.
    fn grants(&self) -> Vec<String>;
    /// Takes grants away that were denied with the approval.
    fn deny(&mut self, denied: &Denied);
    /// The grants that were taken away.
    fn denied(&self) -> Denied;
    /// Why it could not start without what was taken away.
    fn denied_imports(&self) -> Vec<Problem>;
    /// What an approval is for.
    fn hash(&self) -> String;
    /// What it is, in plain words.
    fn statement(&self, held: &Held) -> Statement;
    /// Where it is written.
    fn place(&self) -> Place;
    /// What a warning says of it while nobody has approved it.
    fn unapproved(&self) -> String;
}

impl Subject for ResolvedSidecar {
    fn name(&self) -> &str {
        self.sidecar.name()
    }

    fn approval(&self) -> Approval {
        self.approval
    }

    fn set_approval(&mut self, approval: Approval) {
        self.approval = approval;
    }

    fn verb(&self) -> &'static str {
        "declares"
    }

    fn told(&self) -> String {
        format!("`{}` comes from the workspace", self.name())
    }

    fn grants(&self) -> Vec<String> {
        let definition = &self.sidecar.definition;
        let asked = self.probes.iter().filter(|found| shows_grants(found, definition));
        let mut all = Vec::new();
        for name in asked.flat_map(|found| denial::names(&found.declared.grants)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    fn deny(&mut self, denied: &Denied) {
        let definition = &self.sidecar.definition;
        let own = (definition.name.as_str(), definition.port());
        self.probes
            .iter_mut()
            .filter(|found| shows_grants(found, definition))
            .for_each(|found| found.deny(denied, own));
    }

    fn denied(&self) -> Denied {
        Denied::from(self.probes.iter().flat_map(FoundProbe::denied).collect::<Vec<_>>())
    }

    fn denied_imports(&self) -> Vec<Problem> {
        let definition = &self.sidecar.definition;
        let each = definition.readiness.iter().zip(&self.probes).flat_map(|(readiness, found)| {
            found.denied_imports(|| definition.place(&format!("{}.probe", readiness.field)))
        });
        each.map(|problem| problem.of(self.name())).collect()
    }

    fn hash(&self) -> String {
        fingerprint_of(self)
    }

    fn statement(&self, held: &Held) -> Statement {
        Statement::of(self, held)
    }

    fn place(&self) -> Place {
        self.sidecar.definition.place("")
    }

    fn unapproved(&self) -> String {
        let name = self.name();
        if self.probes.iter().all(|found| found.built_in) {
            format!("`{name}` comes from the workspace and is not approved: a launch asks for approval first")
        } else {
            format!("`{name}` comes from the workspace and is not approved, so its component was not run")
        }
    }
}

impl Subject for Disabled {
    fn name(&self) -> &str {
        &self.disablement.name
    }

    fn approval(&self) -> Approval {
        self.approval
    }

    fn set_approval(&mut self, approval: Approval) {
        self.approval = approval;
    }

    fn verb(&self) -> &'static str {
        "disables"
    }

    fn told(&self) -> String {
        format!("the workspace disables `{}`", self.name())
    }

    fn grants(&self) -> Vec<String> {
        Vec::new()
    }

    fn deny(&mut self, _: &Denied) {}

    fn denied(&self) -> Denied {
        Denied::default()
    }

    fn denied_imports(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// For this file and for this layer's sidecar, whatever that is.
    fn hash(&self) -> String {
        let Disablement { name, layer, declared, .. } = &self.disablement;
        let disabled = Attachment { kind: "disables", field: layer.to_string(), digest: name.clone() };
        fingerprint(declared, &[disabled])
    }

    fn statement(&self, _: &Held) -> Statement {
        Statement::of_disabled(&self.disablement)
    }

    fn place(&self) -> Place {
        self.disablement.place.clone()
    }

    fn unapproved(&self) -> String {
        format!(
            "the workspace disables `{}`, which is not approved: a launch asks for approval first",
            self.name()
        )
    }
}
