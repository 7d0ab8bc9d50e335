//! What is there beside what is declared. Nothing here changes anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::NETWORK;
use super::confining;
use super::container::mounts::ContainerMount;
use super::fingerprint::Fingerprint;
use super::health::HealthRecord;
use super::isolation::Isolation;
use super::limited;
use super::processes::{Process, has_mark, place};
use super::refusals;
use super::roles::Failure;
use super::specification::{MARK, Runs, signal_named};
use super::store::{Store, Stored};
use crate::definition::ReadingBudget;
use crate::engine::image_file::FileImage;
use crate::engine::replaced_volumes;
use crate::plan::instance::{Endpoint, Instance, Mounted, Status};
use crate::plan::sidecar::{ImageReference, LABEL_DEFINITION, LABEL_HASH, LABEL_SIDECAR, Sidecar};
use crate::plan::snapshot::{Found, Observed, Snapshot};
use crate::plan::{HarnessNetwork, NetworkAction, NetworkPlan, Step};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::listeners;

/// What removes the volumes that nothing has any more.
pub const REMOVE_VOLUMES: &str = "farrier engine prune --volumes";
/// What the exit code is said to be of a run whose end nobody saw.
const KILLED: i64 = 137;

impl Stored {
    /// Where this host reaches its ports.
    fn address(&self) -> IpAddr {
        IpAddr::V4(self.specification.container().map_or(Ipv4Addr::LOCALHOST, |container| container.address))
    }

    /// Whether its run has ended, and another one is about to begin.
    pub fn is_between_runs(&self) -> bool {
        let followed = self.specification.restart.as_ref().zip(self.state.as_ref());
        followed.is_some_and(|(policy, state)| {
            let keeper = state.keeper.filter(|_| state.is_followed(policy) && state.place == place());
            keeper.is_some_and(Process::is_listed)
        })
    }

    /// Its volumes that no definition names.
    fn anonymous_volumes(&self) -> Vec<Mounted> {
        let mounts = self.specification.container().into_iter().flat_map(|container| &container.mounts);
        mounts.filter_map(ContainerMount::anonymous_volume).collect()
    }

    /// As the rest of farrier sees it.
    pub fn instance(&self) -> Instance {
        let specification = &self.specification;
        let container = specification.container();
        let state = self.state.as_ref();
        let end = state.and_then(|state| state.end.as_ref());
        let status = match state {
            None => Status::Created,
            Some(_) if self.is_between_runs() => Status::Restarting,
            Some(state) if state.end.is_some() || !self.is_supervised => Status::Exited,
            Some(state) if state.stopping => Status::Removing,
            Some(_) => Status::Running,
        };
        let was_lost = status == Status::Exited && end.is_none();
        let is_running = status == Status::Running;
        let endpoint = Endpoint {
            id: if is_running { self.id.clone() } else { String::new() },
            address: is_running.then(|| self.address()),
            aliases: specification.aliases.clone(),
            ..Endpoint::default()
        };
        let program = state.and_then(|state| state.program).filter(|_| is_running);
        let lost = || "its supervisor was killed, or this machine was restarted".to_owned();
        Instance {
            id: self.id.clone(),
            name: specification.name.clone(),
            labels: specification.labels.clone(),
            image_id: specification.image().to_owned(),
            status,
            exit_code: end.map_or(if was_lost { KILLED } else { 0 }, |end| end.exit_code),
            error: end.map_or_else(|| if was_lost { lost() } else { String::new() }, |end| end.error.clone()),
            oom_killed: end.is_some_and(|end| end.out_of_memory),
            started_at: state.map(|state| state.started_at.clone()).unwrap_or_default(),
            finished_at: end.map(|end| end.at.clone()).unwrap_or_default(),
            process_id: program.and_then(|program| u32::try_from(program.id).ok()).unwrap_or(0),
            grace: specification.grace,
            restarts: state.map_or(0, |state| state.restarts.into()),
            lacks_isolation: container.is_some_and(|container| !container.isolation.is_isolated()),
            health_command: container.and_then(|container| container.health.clone()).map(Into::into),
            memory: specification.limits().memory.unwrap_or(0),
            health: self.health.as_ref().map(HealthRecord::health),
            volumes: self.anonymous_volumes(),
            networks: BTreeMap::from([(specification.network.clone(), endpoint)]),
            ..Instance::default()
        }
    }
}

/// The id of the image that a sidecar would be made from now; `None` if its file is gone, or it would be pulled first.
fn image_now(store: &Store, sidecar: &Sidecar) -> Option<String> {
    match FileImage::find(&sidecar.definition) {
        Some(found) => found.ok().map(|image| image.id),
        None => store.images().named(sidecar.image.as_str()),
    }
}

/// What has to be done before an instance is made.
fn steps(store: &Store, sidecar: &Sidecar) -> Vec<Step> {
    let definition = &sidecar.definition;
    let is_by_reference = definition.image.is_some() && definition.image_file().is_none();
    let is_missing = is_by_reference && image_now(store, sidecar).is_none();
    if is_missing { vec![Step::Pull] } else { Vec::new() }
}

/// A sidecar's instance beside what is declared now.
pub fn compare(store: &Store, sidecar: &Sidecar, stored: &Stored) -> Found {
    let instance = stored.instance();
    let image = match &stored.specification.runs {
        Runs::Program(program) => {
            let file = sidecar.definition.find_program(&ReadingBudget::default()).and_then(Result::ok);
            file.and_then(|file| {
                if file.path == program.file {
                    return program.fingerprint.digest_now(&file.path).ok();
                }
                Fingerprint::of(&file.path).map(|found| found.digest).ok()
            })
        }
        Runs::Container(_) => image_now(store, sidecar),
    };
    let paths = image.as_ref().filter(|_| !instance.volumes.is_empty()).and_then(|image| {
        let read = || FileImage::find(&sidecar.definition)?.and_then(|found| found.config()).ok();
        let config = store.images().config(image).or_else(read)?;
        Some(config.config.volumes.into_keys().collect::<Vec<_>>())
    });
    let removal = |_: &Mounted| Some(REMOVE_VOLUMES.to_owned());
    let replace = replaced_volumes::steps(sidecar, &instance, paths.as_deref(), removal);
    Found { instance, image, replace, ..Found::default() }
}

/// The sidecar's instance, if it has one.
pub fn found(store: &Store, sidecar: &Sidecar) -> Option<Stored> {
    store.find(&sidecar.container).filter(|stored| sidecar.owns(&stored.specification.labels))
}

/// The wanted sidecars, each with what has its name, if anything. Read once: a launch that finds everything running is quick.
pub struct Looked<'a> {
    store: &'a Store,
    sidecars: Vec<(&'a Arc<Sidecar>, Option<Stored>)>,
}

impl<'a> Looked<'a> {
    /// Looks.
    pub fn at(store: &'a Store, wanted: &'a [Arc<Sidecar>]) -> Self {
        let look = |sidecar: &'a Arc<Sidecar>| (sidecar, store.find(&sidecar.container));
        Self { store, sidecars: wanted.iter().map(look).collect() }
    }

    /// Whether a confined program would be started, so that it matters whether that is possible.
    pub fn confines(&self) -> bool {
        let is_open = |(sidecar, stored): &(&Arc<Sidecar>, Option<Stored>)| {
            let stored = own(sidecar, stored.as_ref()).filter(|stored| stored.is_supervised);
            stored.is_none_or(|stored| stored.specification.labels.get(LABEL_HASH) != Some(&sidecar.hash))
        };
        let confined =
            self.sidecars.iter().filter(|(sidecar, _)| sidecar.definition.container.confine.is_some());
        confined.into_iter().any(is_open)
    }

    /// Whether a container would be made, so that it matters how far one can be kept apart.
    pub fn makes_container(&self) -> bool {
        let is_open = |(sidecar, stored): &(&Arc<Sidecar>, Option<Stored>)| match isolation_of(
            sidecar,
            stored.as_ref(),
        ) {
            None => true,
            // What it wants may be possible now.
            Some(isolation) => refusals::without_isolation(sidecar, isolation).is_some(),
        };
        let of_images = self.sidecars.iter().filter(|(sidecar, _)| sidecar.definition.image.is_some());
        of_images.into_iter().any(is_open)
    }

    /// The engine at that moment.
    pub fn snapshot(
        &self,
        network: &HarnessNetwork,
        (isolation, confining): (Option<Isolation>, Option<&Failure>),
    ) -> Snapshot {
        let taken = std::cell::LazyCell::new(listeners::taken);
        let sidecars = self.sidecars.iter().map(|(sidecar, stored)| {
            let stored = stored.as_ref();
            let mut observed = observed(self.store, sidecar, stored, network);
            let own = isolation.or_else(|| isolation_of(sidecar, stored));
            observed.refusals.extend(refusals::never(sidecar));
            observed
                .refusals
                .extend(own.and_then(|isolation| refusals::without_isolation(sidecar, isolation)));
            let is_supervised = stored.is_some_and(|stored| stored.is_supervised);
            // A container has an address of its own.
            if sidecar.definition.container.program.is_some() {
                if observed.refusals.is_empty() && !is_supervised {
                    observed.refusals.extend(port_taken(sidecar, &taken, stored));
                }
                // What runs as it is declared has its limits.
                let hash = stored.and_then(|stored| stored.specification.labels.get(LABEL_HASH));
                if !is_supervised || hash != Some(&sidecar.hash) {
                    observed.refusals.extend(limited::refusals(sidecar));
                    observed.refusals.extend(confining.and_then(|why| confining::refusal(sidecar, why)));
                }
                observed.refusals.extend(self.port_shared(sidecar));
            }
            observed
        });
        let sidecars: Vec<Observed> = sidecars.collect();
        let warnings = self.no_isolation(isolation).into_iter().collect();
        Snapshot { sidecars, network: network_plan(self.store, network), warnings }
    }

    /// Says which containers are not kept apart from this host.
    fn no_isolation(&self, new: Option<Isolation>) -> Option<Problem> {
        let is_open = |(sidecar, stored): &&(&Arc<Sidecar>, Option<Stored>)| {
            sidecar.definition.image.is_some()
                && isolation_of(sidecar, stored.as_ref()).or(new) == Some(Isolation::None)
        };
        let open = self.sidecars.iter().filter(is_open);
        let names: Vec<String> = open.map(|(sidecar, _)| format!("`{}`", sidecar.name())).collect();
        if names.is_empty() {
            return None;
        }
        let message = format!(
            "no isolation: on this host, only a separate root directory isolates {}",
            names.join(", ")
        );
        let mut problem = Problem::warning(Code::NoIsolation, message)
            .hint("Run `farrier doctor` to see what would allow namespaces.");
        problem.is_told_always = true;
        Some(problem)
    }

    fn port_shared(&self, sidecar: &Sidecar) -> Option<Problem> {
        let port = sidecar.definition.port()?;
        let before = self.sidecars.iter().map(|(other, _)| *other);
        let mut before = before.take_while(|other| other.name() != sidecar.name());
        let other = before.find(|other| {
            other.definition.container.program.is_some() && other.definition.port() == Some(port)
        })?;
        let message = format!("`{}` also uses port {port} on this host", other.name());
        Some(
            Problem::error(Code::PortTaken, message)
                .of(sidecar.name())
                .at(sidecar.definition.place("interface.port"))
                .hint("Let one of the programs listen on another port, and name it in `interface.port`."),
        )
    }
}

/// What has a sidecar's name, if it is the sidecar's.
fn own<'a>(sidecar: &Sidecar, stored: Option<&'a Stored>) -> Option<&'a Stored> {
    stored.filter(|stored| sidecar.owns(&stored.specification.labels))
}

/// How the sidecar's container is kept apart, if it has one; `None` if that is still to be found out.
fn isolation_of(sidecar: &Sidecar, stored: Option<&Stored>) -> Option<Isolation> {
    own(sidecar, stored)?.specification.container().map(|container| container.isolation)
}

fn network_plan(store: &Store, network: &HarnessNetwork) -> Result<NetworkPlan, Problem> {
    let name = network.name.clone();
    // This host's own network is always there.
    if name == NETWORK || store.has_network(&name) {
        return Ok(NetworkPlan {
            action: NetworkAction::Use { id: name.clone(), surplus: Vec::new() },
            is_own: true,
            session: None,
            name,
        });
    }
    if network.is_own {
        return Ok(NetworkPlan { name, is_own: true, session: None, action: NetworkAction::Create });
    }
    let message = format!("sidecars on this host cannot join the network `{name}`");
    Err(Problem::error(Code::NetworkUnusable, message)
        .hint("Leave `--network` out of the harness's command."))
}

fn observed(store: &Store, sidecar: &Sidecar, stored: Option<&Stored>, network: &HarnessNetwork) -> Observed {
    let mut refusals: Vec<Problem> = unknown_signal(sidecar).into_iter().chain(changed(sidecar)).collect();
    let create = steps(store, sidecar);
    refusals.extend(refusals::volumes_taken(store, sidecar));
    let Some(stored) = stored else {
        return Observed { refusals, create, ..Observed::default() };
    };
    if !sidecar.owns(&stored.specification.labels) {
        refusals.push(name_taken(sidecar, stored));
        return Observed { refusals, ..Observed::default() };
    }
    let mut found = compare(store, sidecar, stored);
    found.replace.splice(0..0, create.iter().cloned());
    if !found.instance.is_on(&network.name) {
        found.drift.push("network".to_owned());
    }
    Observed { refusals, found: Some(found), create, rivals: Vec::new() }
}

fn name_taken(sidecar: &Sidecar, stored: &Stored) -> Problem {
    let label = |label: &str| stored.specification.labels.get(label).map(String::as_str).unwrap_or_default();
    let (other, file) = (label(LABEL_SIDECAR), label(LABEL_DEFINITION));
    let name = &sidecar.container;
    let message = format!("the name `{name}` belongs to the sidecar `{other}`, of {file}");
    Problem::error(Code::NameTaken, message)
        .of(sidecar.name())
        .hint(format!(
            "Remove it with `{}` if it is not needed.",
            command_line(&["farrier", "down"], &[name], &[])
        ))
        .hint("Or rename the definition's file: the file name without its extension is the sidecar's name.")
}

fn unknown_signal(sidecar: &Sidecar) -> Option<Problem> {
    let signal = sidecar.definition.container.stop_signal.as_ref()?;
    signal_named(signal).is_none().then(|| {
        let message =
            format!("farrier cannot send `{signal}`, a signal without a name, to a sidecar on this host");
        Problem::error(Code::EngineLacks, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("stop_signal"))
            .hint("Name a signal such as \"SIGINT\".")
    })
}

/// A program or image of the workspace that is not the one that was looked at when the definitions were read.
fn changed(sidecar: &Sidecar) -> Option<Problem> {
    let definition = &sidecar.definition;
    let (field, what) = match &sidecar.image {
        ImageReference::ApprovedProgram(digest) => {
            let found = definition.find_program(&ReadingBudget::default())?.ok()?;
            let is_same = found.digest.as_ref() == Some(digest);
            ("program", (!is_same).then(|| format!("the program {}", found.path.display()))?)
        }
        ImageReference::Approved(id) => {
            let found = FileImage::find(definition)?.ok()?;
            let image = definition.image.as_deref().unwrap_or_default();
            ("image", (found.id != *id).then(|| format!("the image `{image}`"))?)
        }
        ImageReference::Declared(_) | ImageReference::Program => return None,
    };
    let message = format!("{what} changed a moment ago");
    Some(
        Problem::error(Code::StartFailed, message)
            .of(sidecar.name())
            .at(definition.place(field))
            .hint("Run the command again."),
    )
}

/// Refuses a port that somebody else listens on: a probe would take that for the sidecar. What is left of an instance whose
/// supervisor was killed is nobody else.
pub fn port_taken(sidecar: &Sidecar, taken: &BTreeMap<u16, u64>, before: Option<&Stored>) -> Option<Problem> {
    let port = sidecar.definition.port()?;
    let owner = listeners::owner(*taken.get(&port)?);
    if let (Some((process, _)), Some(before)) = (&owner, before)
        && has_mark(*process, MARK, &before.id)
    {
        return None;
    }
    let by = owner.map(|(id, name)| format!(" by process {id} ({name})"));
    let message = format!("port {port} on this host is in use{}", by.unwrap_or_default());
    Some(
        Problem::error(Code::PortTaken, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("interface.port"))
            .hint("End that process, or let the program listen on another port and name it in `interface.port`."),
    )
}
