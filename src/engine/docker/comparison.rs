//! What Docker holds beside what is declared: why nothing may be done, and which steps each outcome takes. Pure functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::api::{Container, Image, Mounted, Network};
use super::drift::drift;
use super::look::{Neighbour, Seen, wants_socket};
use super::ports;
use super::spec::{NO_SOCKET, SOCKET_NEEDED, temporary_name};
use crate::definition::model::Mount;
use crate::engine::problem::volume_taken;
use crate::engine::replaced_volumes;
use crate::plan::instance::Status;
use crate::plan::session::Session;
use crate::plan::sidecar::{LABEL_DEFINITION, LABEL_NETWORK, LABEL_SIDECAR, Sidecar};
use crate::plan::snapshot::{Found, Observed, Snapshot};
use crate::plan::{HarnessNetwork, NetworkAction, NetworkPlan, Step};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// The engine's view of the sidecars, compared with what is declared. Pure.
#[must_use]
pub(super) fn snapshot(
    seen: &Seen,
    sidecars: &[Arc<Sidecar>],
    network: &HarnessNetwork,
    local: bool,
) -> Snapshot {
    let observed = |sidecar: &Arc<Sidecar>| {
        let mut observed = observed(seen, sidecar, network);
        observed.refusals.extend(out_of_reach(sidecar).filter(|_| !local));
        observed
    };
    Snapshot {
        warnings: Vec::new(),
        network: network_plan(seen, network),
        sidecars: sidecars.iter().map(observed).collect(),
    }
}

/// A problem if the sidecar binds something of this host, which an engine elsewhere does not have.
fn out_of_reach(sidecar: &Sidecar) -> impl Iterator<Item = Problem> {
    let mounts = sidecar.definition.container.mounts.iter();
    let source = mounts.filter_map(|mount| match mount {
        Mount::Bind { source, .. } => Some(source.clone()),
        Mount::Workspace { .. } => sidecar.workspace.as_ref().map(|path| path.display().to_string()),
        _ => None,
    });
    source.take(1).map(|source| {
        let message =
            format!("the engine is on another host, and does not have `{source}`, which the sidecar binds");
        Problem::error(Code::EngineLacks, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("mounts"))
            .hint("Put the file into the image, or use an engine on this host.")
    })
}

/// A problem if the sidecar wants the engine's socket.
fn no_socket(sidecar: &Sidecar) -> Option<Problem> {
    wants_socket(sidecar).then(|| {
        Problem::error(Code::EngineLacks, NO_SOCKET)
            .of(sidecar.name())
            .at(sidecar.definition.place("mounts"))
            .hint(SOCKET_NEEDED)
    })
}

fn observed(seen: &Seen, sidecar: &Sidecar, network: &HarnessNetwork) -> Observed {
    let mut refusals: Vec<Problem> = additional_networks(sidecar, seen).collect();
    let present = seen.images.get(sidecar.image.as_str()).filter(|image| is_for_its_platform(image, sidecar));
    let create = if present.is_some() { Vec::new() } else { vec![Step::Pull] };
    let temporary = seen.containers.get(&temporary_name(&sidecar.container));
    let temporary = temporary.filter(|container| sidecar.owns(&container.labels));
    // A launch that was killed after it removed the old container left the new one under its temporary name. So did
    // one whose engine confirmed a renaming that it had not done; that one was started then.
    let container = seen.containers.get(&sidecar.container).or(temporary);
    if let Some(container) = container.filter(|container| !sidecar.owns(&container.labels)) {
        refusals.push(name_taken(sidecar, container));
        return Observed { refusals, create, ..Observed::default() };
    }
    refusals.extend(aliases_taken(sidecar, container, seen, network));
    refusals.extend(volumes_taken(sidecar, seen));
    refusals.extend(ports::problems(sidecar, &seen.taken_ports));
    refusals.extend(no_socket(sidecar).filter(|_| seen.lacks_socket));
    let found = container.map(|container| {
        let leftover = temporary
            .filter(|other| other.status == Status::Created && other.id != container.id)
            .map(|other| Step::RemoveLeftover { instance: other.id.clone() });
        let mut found = compare(sidecar, container, &seen.images);
        found.keep.extend(missing_networks(sidecar, container, network));
        found.keep.extend(leftover.clone());
        found.replace.clone_from(&create);
        found.replace.extend(leftover);
        let image = seen.images.get(sidecar.image.as_str());
        let removal = |volume: &Mounted| Some(docker(&["volume", "rm"], &[&volume.source]));
        let paths = image.map(|image| image.volumes.as_slice());
        found.replace.extend(replaced_volumes::steps(sidecar, &found.instance, paths, removal));
        found
    });
    Observed { refusals, found, create, rivals: Vec::new() }
}

/// Whether an image is for the platform that a definition names, as far as the engine tells: an image without a processor
/// is for all.
fn is_for_its_platform(image: &Image, sidecar: &Sidecar) -> bool {
    let platform = sidecar.definition.container.platform.as_deref();
    let architecture = platform.and_then(|platform| platform.split('/').nth(1));
    architecture.is_none_or(|wanted| image.architecture.is_empty() || image.architecture == wanted)
}

/// A container beside what its sidecar declares now. `images` are by reference and id.
#[must_use]
pub(crate) fn compare(sidecar: &Sidecar, container: &Container, images: &BTreeMap<String, Image>) -> Found {
    let image = images.get(sidecar.image.as_str());
    let known = image.or_else(|| images.get(&container.image_id));
    Found {
        instance: container.instance(),
        image: image.map(|image| image.id.clone()),
        drift: known.map(|image| drift(sidecar, container, image)).unwrap_or_default(),
        is_misnamed: container.name == temporary_name(&sidecar.container),
        ..Found::default()
    }
}

fn network_plan(seen: &Seen, network: &HarnessNetwork) -> Result<NetworkPlan, Problem> {
    let name = &network.name;
    let found = seen.networks.get(name).map(Vec::as_slice).unwrap_or_default();
    let session = network.session.as_ref();
    let is_ours = |found: &Network| match session {
        Some(session) => Session::of(&found.labels).as_ref() == Some(session),
        None => found.labels.contains_key(LABEL_NETWORK),
    };
    // One that is absent is created.
    let is_own = found.iter().all(is_ours);
    let plan = |action| NetworkPlan {
        name: name.clone(),
        is_own: is_own && session.is_none(),
        session: session.map(|session| (session.clone(), network.home.clone())),
        action,
    };
    match found {
        [] if network.is_own => Ok(plan(NetworkAction::Create)),
        [] => Err(Problem::error(Code::NetworkUnusable, format!("there is no network `{name}`"))
            .hint(format!("Create it with `{}`.", docker(&["network", "create"], &[name])))
            .hint("Or remove `--network` from the harness's command: farrier then creates a network.")),
        [first, others @ ..] if network.is_own && is_own => {
            let surplus = others.iter().map(|other| other.id.clone()).collect();
            Ok(plan(NetworkAction::Use { id: first.id.clone(), surplus }))
        }
        [_, ..] if network.is_own => {
            Err(Problem::error(Code::NameTaken, format!("farrier did not create the network `{name}`"))
                .hint(format!("Remove it with `{}`.", docker(&["network", "rm"], &[name])))
                .hint("Or choose the network with `--network` in the harness's command."))
        }
        [only] => Ok(plan(NetworkAction::Use { id: only.id.clone(), surplus: Vec::new() })),
        _ => Err(Problem::error(
            Code::NetworkUnusable,
            format!("{} networks are named `{name}`, and Docker cannot tell them apart", found.len()),
        )
        .hint(format!(
            "List them with `{}`, and remove all but one.",
            docker(&["network", "ls", "--filter", &format!("name={name}")], &[])
        ))),
    }
}

fn additional_networks<'a>(sidecar: &'a Sidecar, seen: &'a Seen) -> impl Iterator<Item = Problem> + 'a {
    sidecar.definition.container.networks.iter().enumerate().filter_map(move |(index, name)| {
        let found = seen.networks.get(name).map_or(0, Vec::len);
        let message = match found {
            0 => format!("there is no network `{name}`, which the sidecar joins"),
            1 => return None,
            _ => format!("{found} networks are named `{name}`, and Docker cannot tell them apart"),
        };
        Some(
            Problem::error(Code::NetworkUnusable, message)
                .of(sidecar.name())
                .at(sidecar.definition.place(&format!("networks[{index}]")))
                .hint(format!(
                    "Create it with `{}`, or remove it from `networks`.",
                    docker(&["network", "create"], &[name])
                )),
        )
    })
}

fn docker(command: &[&str], operands: &[&str]) -> String {
    command_line(&[&["docker"], command].concat(), operands, &[])
}

/// A problem for each volume that has the name of one of the sidecar's and is not its own.
fn volumes_taken<'a>(sidecar: &'a Sidecar, seen: &'a Seen) -> impl Iterator<Item = Problem> + 'a {
    sidecar.volumes().filter_map(|name| {
        let remove = docker(&["volume", "rm"], &[&name]);
        volume_taken(sidecar, seen.volumes.get(&name)?, &format!("the volume `{name}`"), &remove)
    })
}

fn name_taken(sidecar: &Sidecar, container: &Container) -> Problem {
    let name = &container.name;
    let label = |label: &str| container.labels.get(label);
    let message = match (label(LABEL_SIDECAR), label(LABEL_DEFINITION)) {
        (Some(other), Some(file)) if other == sidecar.name() => {
            format!("the container `{name}` belongs to another folder's sidecar `{other}`, of {file}")
        }
        (Some(other), _) => {
            format!(
                "the container `{name}` belongs to the sidecar `{other}`, which has the same container name"
            )
        }
        (None, _) => format!("a container that farrier did not create is named `{name}`"),
    };
    Problem::error(Code::NameTaken, message)
        .of(sidecar.name())
        .hint(format!("Remove it with `{}` if it is not needed.", docker(&["rm", "-f"], &[name])))
        .hint("Or rename the definition's file: farrier derives the container's name from the file name.")
}

/// The networks that a running container is to be connected to.
fn missing_networks(sidecar: &Sidecar, container: &Container, network: &HarnessNetwork) -> Vec<Step> {
    let aliases = sidecar.definition.aliases();
    let others = sidecar.definition.container.networks.iter().filter(|name| **name != network.name);
    let names: BTreeSet<&String> = others.collect();
    std::iter::once(&network.name)
        .chain(names)
        .filter_map(|name| match container.networks.get(name) {
            None => Some(Step::Connect { network: name.clone(), again: false }),
            Some(endpoint) if aliases.iter().all(|alias| endpoint.aliases.contains(alias)) => None,
            Some(_) => Some(Step::Connect { network: name.clone(), again: true }),
        })
        .collect()
}

/// A problem for each alias by which another container is found on a network that the sidecar joins, or on another one of the
/// harness's: its name server asks all of them.
fn aliases_taken(
    sidecar: &Sidecar,
    own: Option<&Container>,
    seen: &Seen,
    network: &HarnessNetwork,
) -> Vec<Problem> {
    let own = own.map(|container| container.id.as_str());
    let counts = |name: &String| {
        *name == network.name
            || network.beside.contains(name)
            || sidecar.definition.container.networks.contains(name)
    };
    let others = seen.neighbours.iter().filter(|other| Some(other.id.as_str()) != own);
    let others: Vec<&Neighbour> = others.filter(|other| counts(&other.network)).collect();
    let taken = sidecar.definition.aliases().into_iter().filter_map(|alias| {
        let holds = |other: &&&Neighbour| other.aliases.iter().any(|held| is_same_host(held, &alias));
        others.iter().find(holds).map(|holder| alias_taken(sidecar, &alias, holder))
    });
    taken.collect()
}

/// Whether the engine's name server finds the same container by both: it folds the case of every letter.
fn is_same_host(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn alias_taken(sidecar: &Sidecar, alias: &str, holder: &Neighbour) -> Problem {
    let Neighbour { network, name, .. } = holder;
    let message = format!("the name `{alias}` is taken on network `{network}` by the container `{name}`");
    let way_out = if holder.is_sidecar {
        format!(
            "It is one of farrier's sidecars: if its definition was renamed or removed, remove it with \
             `farrier down --orphans`, or with `{}`.",
            command_line(&["farrier", "down"], &[name], &[])
        )
    } else {
        let disconnect = docker(&["network", "disconnect"], &[network, name]);
        format!("Stop that container, or disconnect it with `{disconnect}`.")
    };
    Problem::error(Code::AliasTaken, message).of(sidecar.name()).hint(way_out)
}
