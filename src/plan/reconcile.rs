//! The decision: a pure function from what is declared and what runs to a plan, or to every reason against it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::definition::{KEYS, Key, canonical_signal};
use crate::engine::docker::proxies;
use crate::engine::{Container, DEFAULT_GRACE, Image, Mounted, Network, Process, Status, whole_seconds};
use crate::plan::sidecar::{
    LABEL_CONFIGURATION, LABEL_DEFINITION, LABEL_HASH, LABEL_NETWORK, LABEL_SIDECAR, Sidecar,
};
use crate::plan::snapshot::{Neighbour, Snapshot};
use crate::plan::{Action, Cause, NetworkPlan, Plan, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// What the user asked for beside the definitions.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The network that harness and sidecars meet on.
    pub network: String,
    /// Whether farrier makes it where it is absent.
    pub owns_network: bool,
    /// Every sidecar is recreated.
    pub recreate: bool,
}

/// Decides.
///
/// # Errors
/// All reasons why nothing may be done, in the order of names.
pub fn reconcile(sidecars: &[Sidecar], snapshot: &Snapshot, wish: &Wish) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let network_plan = decide_network(snapshot, wish).unwrap_or_else(|problem| {
        problems.push(problem);
        NetworkPlan::Create
    });
    let mut plans = Vec::new();
    for (index, sidecar) in sidecars.iter().enumerate() {
        problems.extend(additional_networks(sidecar, snapshot));
        match decide_sidecar(index, sidecar, snapshot, wish) {
            Ok(plan) => {
                problems.extend(aliases_taken(sidecar, &plan, snapshot, wish));
                plans.push(plan);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(Plan { network: wish.network.clone(), network_plan, sidecars: plans })
    } else {
        Err(problems)
    }
}

fn decide_network(snapshot: &Snapshot, wish: &Wish) -> Result<NetworkPlan, Problem> {
    let name = &wish.network;
    let found = snapshot.networks.get(name).map(Vec::as_slice).unwrap_or_default();
    let is_ours = |network: &Network| network.labels.contains_key(LABEL_NETWORK);
    match found {
        [] if wish.owns_network => Ok(NetworkPlan::Create),
        [] => Err(Problem::error(Code::NetworkUnusable, format!("there is no network `{name}`"))
            .hint(format!("Create it with `{}`.", docker(&["network", "create"], &[name])))
            .hint("Or leave `--network` out of the harness's command: farrier then makes one.")),
        [network, others @ ..] if wish.owns_network && found.iter().all(is_ours) => {
            let surplus = others.iter().map(|other| other.id.clone()).collect();
            Ok(NetworkPlan::Use { id: network.id.clone(), surplus })
        }
        [_, ..] if wish.owns_network => {
            Err(Problem::error(Code::NameTaken, format!("the network `{name}` was not made by farrier"))
                .hint(format!("Remove it with `{}`.", docker(&["network", "rm"], &[name])))
                .hint("Or name the network to use in the harness's command with `--network`."))
        }
        [network] => Ok(NetworkPlan::Use { id: network.id.clone(), surplus: Vec::new() }),
        _ => Err(Problem::error(
            Code::NetworkUnusable,
            format!("{} networks are named `{name}`, and Docker cannot tell them apart", found.len()),
        )
        .hint(format!(
            "List them with `{}` and remove the surplus.",
            docker(&["network", "ls", "--filter", &format!("name={name}")], &[])
        ))),
    }
}

fn additional_networks<'a>(
    sidecar: &'a Sidecar,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = Problem> + 'a {
    sidecar.definition.container.networks.iter().enumerate().filter_map(move |(index, name)| {
        let found = snapshot.networks.get(name).map_or(0, Vec::len);
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

fn decide_sidecar(
    index: usize,
    sidecar: &Sidecar,
    snapshot: &Snapshot,
    wish: &Wish,
) -> Result<SidecarPlan, Problem> {
    let image = snapshot.images.get(&sidecar.image);
    let mut plan = SidecarPlan {
        index,
        name: sidecar.name().to_owned(),
        container: sidecar.container.clone(),
        action: Action::Create,
        causes: vec![Cause::Absent],
        pull: image.is_none(),
        connect: Vec::new(),
        carried: Vec::new(),
        orphaned: Vec::new(),
        changed_since_data: BTreeMap::new(),
        existing: None,
        leftover: None,
    };
    let temporary = snapshot.containers.get(&sidecar.temporary_name());
    let temporary = temporary.filter(|container| sidecar.owns(&container.labels));
    // A launch that was killed after it removed the old container left the new one under its temporary name. So did
    // one whose engine confirmed a renaming that it had not done; that one was started then.
    let Some(container) = snapshot.containers.get(&sidecar.container).or(temporary) else {
        return Ok(plan);
    };
    if !sidecar.owns(&container.labels) {
        return Err(name_taken(sidecar, container));
    }
    let never_started = temporary.filter(|other| other.status == Status::Created);
    plan.leftover = never_started.filter(|other| other.id != container.id).map(|other| other.id.clone());
    plan.existing = Some(container.clone());
    let causes = staleness(sidecar, container, snapshot, wish);
    if causes.is_empty() {
        let paused = container.status == Status::Paused;
        plan.action = if paused { Action::Resume } else { Action::Reuse };
        plan.causes = vec![if paused { Cause::Paused } else { Cause::Matches }];
        plan.pull = false;
        plan.connect = missing_networks(sidecar, container, wish);
        return Ok(plan);
    }
    if matches!(container.status, Status::Running | Status::Paused)
        && !wish.recreate
        && let Some(holder) = snapshot.holders.get(&container.id).and_then(|holders| holders.first())
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
        .hint("Wait until that launch has ended.")
        .hint("Or give `--recreate` to replace it under that launch."));
    }
    plan.action = Action::Recreate;
    plan.causes = causes;
    (plan.carried, plan.orphaned) = anonymous_volumes(container, image);
    if !plan.carried.is_empty() {
        plan.changed_since_data = sidecar.configuration().changed_since_data(container);
    }
    Ok(plan)
}

fn docker(command: &[&str], operands: &[&str]) -> String {
    command_line(&[&["docker"], command].concat(), operands, &[])
}

fn name_taken(sidecar: &Sidecar, container: &Container) -> Problem {
    let name = &container.name;
    let label = |label: &str| container.labels.get(label);
    let message = match (label(LABEL_SIDECAR), label(LABEL_DEFINITION)) {
        (Some(other), Some(file)) if other == sidecar.name() => {
            format!("the container `{name}` belongs to another folder's sidecar `{other}`, of {file}")
        }
        (Some(other), _) => {
            format!("the container `{name}` belongs to the sidecar `{other}`, whose name comes out the same")
        }
        (None, _) => format!("a container that farrier did not make is named `{name}`"),
    };
    Problem::error(Code::NameTaken, message)
        .of(sidecar.name())
        .hint(format!("Remove it with `{}` if it is not needed.", docker(&["rm", "-f"], &[name])))
        .hint("Or rename the definition's file: its stem makes the container's name.")
}

/// Every reason to make the container anew; none where it is as it should be.
#[must_use]
pub fn staleness(sidecar: &Sidecar, container: &Container, snapshot: &Snapshot, wish: &Wish) -> Vec<Cause> {
    let image = snapshot.images.get(&sidecar.image);
    let mut causes = Vec::new();
    match container.status {
        Status::Created => causes.push(Cause::HalfMade),
        Status::Running | Status::Paused => {}
        status => causes.push(Cause::Stopped(status, container.exit_code)),
    }
    if container.status != Status::Created && container.name == sidecar.temporary_name() {
        causes.push(Cause::Misnamed);
    }
    if container.labels.get(LABEL_HASH) != Some(&sidecar.hash) {
        let before = container.labels.get(LABEL_CONFIGURATION).map(String::as_str).unwrap_or_default();
        causes.push(Cause::Configuration(sidecar.configuration().differences(before).unwrap_or_default()));
    } else if let Some(image) = image
        && image.id != container.image_id
    {
        causes.push(Cause::Image { from: container.image_id.clone(), to: image.id.clone() });
    } else if let Some(image) = image.or_else(|| snapshot.images.get(&container.image_id)) {
        let drift = drift(sidecar, container, image);
        if !drift.is_empty() {
            causes.push(Cause::Drifted(drift));
        }
    }
    if wish.recreate {
        causes.push(Cause::Asked);
    }
    causes
}

/// In what the container is not what farrier would have made, whatever its labels say.
fn drift(sidecar: &Sidecar, container: &Container, image: &Image) -> Vec<String> {
    let expected = expected_process(sidecar, image);
    let actual = &container.process;
    let mut found = Vec::new();
    let mut note = |what: &str, differs: bool| {
        if differs {
            found.push(what.to_owned());
        }
    };
    note("entrypoint", expected.entrypoint != actual.entrypoint);
    note("command", expected.command != actual.command);
    // As it was when the container was made; whoever launches now may have other proxies.
    let without_proxies = |env| {
        let mut env = env_map(env);
        env.retain(|name, _| !proxies::is_variable(name) || sidecar.env().contains_key(*name));
        env
    };
    note("env", without_proxies(&expected.env) != without_proxies(&actual.env));
    note("user", expected.user != actual.user);
    note("working directory", expected.directory != actual.directory);
    note("health test", expected.health != actual.health);
    note("stop signal", stop_signal(&expected) != stop_signal(actual));
    note("stop timeout", container.grace() != grace(sidecar.definition.container.stop_timeout));
    note("mounts", !mounts_match(sidecar, container, image));
    note("memory", container.memory != sidecar.definition.container.memory.unwrap_or(0));
    let mode = container.network_mode.as_str();
    note(
        "network mode",
        matches!(mode, "host" | "none" | "bridge" | "default") || mode.starts_with("container:"),
    );
    let wanted = sidecar.definition.container.settings();
    for (name, value) in &wanted {
        if container.settings.get(name) != Some(value) {
            let key = KEYS.iter().find(|key| key.setting == Some(name.as_str()));
            let label = key.map_or_else(|| name.clone(), Key::label);
            if !found.contains(&label) {
                found.push(label);
            }
        }
    }
    let unwanted =
        container.privileges.keys().filter(|name| !wanted.contains_key(&format!("HostConfig.{name}")));
    found.extend(unwanted.cloned());
    found
}

/// What Docker makes of image and definition: a declared entrypoint drops the image's command.
fn expected_process(sidecar: &Sidecar, image: &Image) -> Process {
    let entrypoint = sidecar.definition.container.entrypoint.clone().unwrap_or_default();
    let command = sidecar.definition.container.command.clone().unwrap_or_default();
    let mut process = image.process.clone();
    if !entrypoint.is_empty() {
        process.entrypoint = entrypoint;
        process.command = command;
    } else if !command.is_empty() {
        process.command = command;
    }
    process.apply(&sidecar.definition.container.settings());
    process.env.extend(sidecar.env().iter().map(|(name, value)| format!("{name}={value}")));
    process
}

/// Under its one name; without a declared one it is SIGTERM.
fn stop_signal(process: &Process) -> Option<String> {
    let declared = Some(process.stop_signal.as_str()).filter(|signal| !signal.is_empty());
    canonical_signal(declared.unwrap_or("SIGTERM"))
}

/// As an engine keeps it, in whole seconds.
fn grace(declared: Option<Duration>) -> Duration {
    declared.map_or(DEFAULT_GRACE, |grace| Duration::from_secs(whole_seconds(grace)))
}

fn env_map(env: &[String]) -> BTreeMap<&str, &str> {
    env.iter().map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect()
}

fn mounts_match(sidecar: &Sidecar, container: &Container, image: &Image) -> bool {
    let declared = sidecar.declared_mounts();
    let (anonymous, mut other): (Vec<&Mounted>, Vec<&Mounted>) =
        container.mounts.iter().partition(|mount| mount.is_anonymous_volume());
    other.sort();
    let mut expected: Vec<&Mounted> = declared.iter().collect();
    expected.sort();
    // More of them grant nothing: they were carried over from an image that declared them.
    let has_its_volumes = image
        .volumes
        .iter()
        .map(|target| if target == "/" { "/" } else { target.trim_end_matches('/') })
        .filter(|target| !declared.iter().any(|mount| mount.target == *target))
        .all(|target| anonymous.iter().any(|mount| mount.target == target));
    other == expected && has_its_volumes
}

/// Which of the old container's anonymous volumes the new one takes over, and which nothing will use.
fn anonymous_volumes(container: &Container, image: Option<&Image>) -> (Vec<Mounted>, Vec<Mounted>) {
    // An image that is pulled first is not known yet: whatever it declares, data is not dropped.
    container.mounts.iter().filter(|mount| mount.is_anonymous_volume()).cloned().partition(|mount| {
        image.is_none_or(|image| {
            image.volumes.iter().any(|target| target.trim_end_matches('/') == mount.target)
        })
    })
}

/// The networks that a running container is to be connected to.
fn missing_networks(sidecar: &Sidecar, container: &Container, wish: &Wish) -> Vec<(String, bool)> {
    let aliases = sidecar.definition.aliases();
    let others = sidecar.definition.container.networks.iter().filter(|name| **name != wish.network);
    let names: BTreeSet<&String> = others.collect();
    std::iter::once(&wish.network)
        .chain(names)
        .filter_map(|name| match container.networks.get(name) {
            None => Some((name.clone(), false)),
            Some(endpoint) if aliases.iter().all(|alias| endpoint.aliases.contains(alias)) => None,
            Some(_) => Some((name.clone(), true)),
        })
        .collect()
}

/// A problem for each alias by which another container is found on a network that the sidecar joins.
fn aliases_taken(sidecar: &Sidecar, plan: &SidecarPlan, snapshot: &Snapshot, wish: &Wish) -> Vec<Problem> {
    let own = plan.existing.as_ref().map(|container| container.id.as_str());
    let joins = |network: &String| {
        *network == wish.network || sidecar.definition.container.networks.contains(network)
    };
    let others = snapshot.neighbours.iter().filter(|other| Some(other.id.as_str()) != own);
    let others: Vec<&Neighbour> = others.filter(|other| joins(&other.network)).collect();
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
            "It is a sidecar of farrier's: if its definition was renamed or removed, remove it with \
             `farrier down --orphans`, or with `{}`.",
            command_line(&["farrier", "down"], &[name], &[])
        )
    } else {
        let disconnect = docker(&["network", "disconnect"], &[network, name]);
        format!("Stop that container, or take it off with `{disconnect}`.")
    };
    Problem::error(Code::AliasTaken, message).of(sidecar.name()).hint(way_out)
}
