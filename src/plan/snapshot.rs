//! What an engine observed at one moment: everything that the decision needs, with what each outcome would take on that
//! engine. It is data: an engine makes it, and the decision reads it.

use super::NetworkPlan;
use super::instance::Instance;
use super::step::Step;
use crate::report::error::Problem;
use crate::system::leases::Leases;
use crate::system::lock::Holder;

/// An engine at one moment, as far as the wanted sidecars go.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What has to be done with the harness's network, or why it cannot be used.
    pub network: Result<NetworkPlan, Problem>,
    /// What was observed of each sidecar, in the order in which they were asked about.
    pub sidecars: Vec<Observed>,
    /// What a person has to know about the engine, whatever is done.
    pub warnings: Vec<Problem>,
}

/// What was observed of one sidecar.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Why nothing may be done with it: a name that is taken, a network that is missing.
    pub refusals: Vec<Problem>,
    /// Its instance, if it has one.
    pub found: Option<Found>,
    /// What creating its first instance would take.
    pub create: Vec<Step>,
    /// Commands on other machines that began earlier, and want it otherwise.
    pub rivals: Vec<Rival>,
}

/// A command on another machine that wants a sidecar otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The command.
    pub holder: Holder,
    /// Whether it removes the sidecar, instead of using another definition of it.
    pub removes: bool,
}

/// A sidecar's instance, compared with what is declared now.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The instance.
    pub instance: Instance,
    /// The id of the image that the sidecar would be made from now; `None` if it is not present.
    pub image: Option<String>,
    /// In what the instance is not what farrier would have made, whatever its labels say.
    pub drift: Vec<String>,
    /// It was started under the name that it was to have only until the one before it was gone.
    pub is_misnamed: bool,
    /// What using it would take.
    pub keep: Vec<Step>,
    /// What replacing it would take.
    pub replace: Vec<Step>,
    /// Launches on other machines that use it, as far as the engine tells.
    pub elsewhere: Vec<Holder>,
    /// Whether its last run was made for a launch on another machine that still waits for it.
    pub is_awaited: bool,
    /// Other launches that use it, if somebody asked for them.
    pub holders: Vec<Holder>,
}

impl Snapshot {
    /// Asks which other launches use the instances that were found.
    pub fn note_holders(&mut self, leases: &Leases) {
        for found in self.sidecars.iter_mut().filter_map(|observed| observed.found.as_mut()) {
            found.holders = holders(leases, &found.instance);
            found.holders.extend(found.elsewhere.iter().cloned());
        }
    }
}

/// The other launches that use an instance, or one that it replaced.
#[must_use]
pub fn holders(leases: &Leases, instance: &Instance) -> Vec<Holder> {
    let mut all: Vec<Holder> = leases.holders_of(instance.lease_ids()).into_values().flatten().collect();
    all.sort_by_key(|holder| holder.process);
    all
}
