//! What is there beside what is declared. Nothing here changes anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::ports;
use super::processes::has_mark;
use super::specification::{MARK, signal_named};
use super::store::{Store, Stored};
use crate::definition::ReadingBudget;
use crate::plan::instance::{Endpoint, Instance, Status};
use crate::plan::sidecar::{ImageReference, LABEL_DEFINITION, LABEL_SIDECAR, Sidecar};
use crate::plan::snapshot::{Found, Observed, Snapshot};
use crate::plan::{HarnessNetwork, NetworkAction, NetworkPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// What the exit code is said to be of a run whose end nobody saw.
const KILLED: i64 = 137;

/// Where a program's port is.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Stored {
    /// As the rest of farrier sees it.
    pub fn instance(&self) -> Instance {
        let specification = &self.specification;
        let state = self.state.as_ref();
        let end = state.and_then(|state| state.end.as_ref());
        let status = match state {
            None => Status::Created,
            Some(state) if state.end.is_some() || !self.is_supervised => Status::Exited,
            Some(state) if state.stopping => Status::Removing,
            Some(_) => Status::Running,
        };
        let was_lost = status == Status::Exited && end.is_none();
        let is_running = status == Status::Running;
        let endpoint = Endpoint {
            id: if is_running { self.id.clone() } else { String::new() },
            address: is_running.then_some(ADDRESS),
            aliases: specification.aliases.clone(),
            ..Endpoint::default()
        };
        let program = state.and_then(|state| state.program).filter(|_| is_running);
        let lost = || "its supervisor was killed, or this machine was restarted".to_owned();
        Instance {
            id: self.id.clone(),
            name: specification.name.clone(),
            labels: specification.labels.clone(),
            image_id: specification.fingerprint.digest.clone(),
            status,
            exit_code: end.map_or(if was_lost { KILLED } else { 0 }, |end| end.exit_code),
            error: end.map_or_else(|| if was_lost { lost() } else { String::new() }, |end| end.error.clone()),
            started_at: state.map(|state| state.started_at.clone()).unwrap_or_default(),
            finished_at: end.map(|end| end.at.clone()).unwrap_or_default(),
            process_id: program.and_then(|program| u32::try_from(program.id).ok()).unwrap_or(0),
            grace: specification.grace,
            networks: BTreeMap::from([(specification.network.clone(), endpoint)]),
            ..Instance::default()
        }
    }
}

/// A sidecar's instance beside what is declared now.
pub fn compare(sidecar: &Sidecar, stored: &Stored) -> Found {
    let specification = &stored.specification;
    let file = sidecar.definition.find_program(&ReadingBudget::default()).and_then(Result::ok);
    let image = file.and_then(|file| {
        if file.path == specification.file {
            return specification.fingerprint.digest_now(&file.path).ok();
        }
        super::fingerprint::Fingerprint::of(&file.path).map(|found| found.digest).ok()
    });
    Found { instance: stored.instance(), image, ..Found::default() }
}

/// The sidecar's instance, if it has one.
pub fn found(store: &Store, sidecar: &Sidecar) -> Option<Stored> {
    store.find(&sidecar.container).filter(|stored| sidecar.owns(&stored.specification.labels))
}

/// The engine at one moment.
pub fn snapshot(store: &Store, wanted: &[Arc<Sidecar>], network: &HarnessNetwork) -> Snapshot {
    let taken = std::cell::LazyCell::new(ports::taken);
    let sidecars = wanted.iter().map(|sidecar| {
        let stored = store.find(&sidecar.container);
        let mut observed = observed(sidecar, stored.as_ref(), network);
        let is_supervised = stored.as_ref().is_some_and(|stored| stored.is_supervised);
        if observed.refusals.is_empty() && !is_supervised {
            observed.refusals.extend(port_taken(sidecar, &taken, stored.as_ref()));
        }
        observed.refusals.extend(port_shared(sidecar, wanted));
        observed
    });
    Snapshot { sidecars: sidecars.collect(), network: network_plan(store, network) }
}

fn network_plan(store: &Store, network: &HarnessNetwork) -> Result<NetworkPlan, Problem> {
    let name = network.name.clone();
    if store.has_network(&name) {
        return Ok(NetworkPlan {
            action: NetworkAction::Use { id: name.clone(), surplus: Vec::new() },
            name,
        });
    }
    if network.is_own {
        return Ok(NetworkPlan { name, action: NetworkAction::Create });
    }
    let message = format!("programs on this host cannot join the network `{name}`");
    Err(Problem::error(Code::NetworkUnusable, message)
        .hint("Leave `--network` out of the harness's command."))
}

fn observed(sidecar: &Sidecar, stored: Option<&Stored>, network: &HarnessNetwork) -> Observed {
    let mut refusals: Vec<Problem> = unknown_signal(sidecar).into_iter().chain(changed(sidecar)).collect();
    let Some(stored) = stored else {
        return Observed { refusals, ..Observed::default() };
    };
    if !sidecar.owns(&stored.specification.labels) {
        refusals.push(name_taken(sidecar, stored));
        return Observed { refusals, ..Observed::default() };
    }
    let mut found = compare(sidecar, stored);
    if !found.instance.is_on(&network.name) {
        found.drift.push("network".to_owned());
    }
    Observed { refusals, found: Some(found), ..Observed::default() }
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
            format!("farrier cannot send `{signal}`, a signal without a name, to a program on this host");
        Problem::error(Code::EngineLacks, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("stop_signal"))
            .hint("Name a signal such as \"SIGINT\".")
    })
}

/// A program of the workspace that is not the one that was looked at when the definitions were read.
fn changed(sidecar: &Sidecar) -> Option<Problem> {
    let ImageReference::ApprovedProgram(digest) = &sidecar.image else { return None };
    let found = sidecar.definition.find_program(&ReadingBudget::default())?.ok()?;
    (found.digest.as_ref() != Some(digest)).then(|| {
        let message = format!("the program {} changed a moment ago", found.path.display());
        Problem::error(Code::StartFailed, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("program"))
            .hint("Run the command again.")
    })
}

/// Refuses a port that somebody else listens on: a probe would take that for the sidecar. What is left of an instance whose
/// supervisor was killed is nobody else.
pub fn port_taken(sidecar: &Sidecar, taken: &BTreeMap<u16, u64>, before: Option<&Stored>) -> Option<Problem> {
    let port = sidecar.definition.port()?;
    let owner = ports::owner(*taken.get(&port)?);
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

fn port_shared(sidecar: &Sidecar, wanted: &[Arc<Sidecar>]) -> Option<Problem> {
    let port = sidecar.definition.port()?;
    let other = wanted.iter().take_while(|other| other.name() != sidecar.name());
    let other = other.into_iter().find(|other| other.definition.port() == Some(port))?;
    let message = format!("`{}` also uses port {port} on this host", other.name());
    Some(
        Problem::error(Code::PortTaken, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("interface.port"))
            .hint("Let one of the programs listen on another port, and name it in `interface.port`."),
    )
}
