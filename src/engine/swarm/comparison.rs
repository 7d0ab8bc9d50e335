//! What a Swarm holds beside what is declared: why nothing may be done, and what differs. Pure functions.

use std::collections::BTreeSet;

use super::api::{LABEL_MAKING, Node, Overlay, Service};
use super::instance::{current, node_name};
use super::look::Seen;
use super::networks::network_plan;
use super::spec;
use crate::definition::{NamedNode, named_node};
use crate::engine::docker::recognition::is_name_of;
use crate::engine::problem::volume_taken;
use crate::plan::HarnessNetwork;
use crate::plan::session::Session;
use crate::plan::sidecar::{
    ImageReference, LABEL_CONFIGURATION, LABEL_DEFINITION, LABEL_HASH, LABEL_SIDECAR, Sidecar,
};
use crate::plan::snapshot::{Found, Observed, Snapshot};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// The Swarm's view of the sidecars, compared with what is declared.
#[must_use]
pub(super) fn snapshot(
    seen: &Seen,
    sidecars: &[std::sync::Arc<Sidecar>],
    network: &HarnessNetwork,
) -> Snapshot {
    Snapshot {
        warnings: Vec::new(),
        network: network_plan(&seen.overlays, network),
        sidecars: sidecars.iter().map(|sidecar| observed(seen, sidecar, &network.name)).collect(),
    }
}

fn observed(seen: &Seen, sidecar: &Sidecar, network: &str) -> Observed {
    let mut refusals: Vec<Problem> = missing_networks(seen, sidecar).collect();
    refusals.extend(unusable_name(sidecar));
    refusals.extend(unclear_node(seen, sidecar));
    refusals.extend(volumes_taken(seen, sidecar));
    refusals.extend(unknown_image(sidecar));
    let service = seen.services.iter().find(|service| service.name == sidecar.container);
    if let Some(service) = service.filter(|service| !sidecar.owns(&service.labels)) {
        refusals.push(name_taken(sidecar, service));
        return Observed { refusals, ..Observed::default() };
    }
    refusals.extend(aliases_taken(seen, sidecar, network));
    let found = service.map(|service| found(seen, sidecar, service, network));
    Observed { refusals, found, create: Vec::new(), rivals: seen.others().rivals(sidecar) }
}

/// A sidecar's service beside what this launch and earlier ones on other machines want of it.
fn found(seen: &Seen, sidecar: &Sidecar, service: &Service, network: &str) -> Found {
    let others = seen.others();
    let mut found = compare(seen, sidecar, service);
    let is_as_declared = found.instance.is_of(sidecar) && found.image.is_some();
    let on = networks_of(&seen.overlays, sidecar, service);
    let mut wanted = wanted_networks(sidecar, network);
    wanted.extend(others.networks(sidecar));
    found.drift.extend(wanted.difference(&on).map(|name| format!("not on network {name}")));
    found.elsewhere = others.content(sidecar, is_as_declared, &on);
    found.is_awaited = current(service, &seen.tasks)
        .is_some_and(|task| is_as_declared && others.awaits(sidecar, task.created_at));
    found
}

/// A service beside what its sidecar declares now. Which image a name means is the business of each node when it starts a
/// task: a service is of another one only when its definition names another one.
#[must_use]
pub(super) fn compare(seen: &Seen, sidecar: &Sidecar, service: &Service) -> Found {
    let instance = seen.instance(service);
    let networks = service.networks().map(|(id, _)| id);
    let template = spec::task_template(sidecar, networks, &[], service.making());
    let expected = spec::service(sidecar, &template, &service.labels);
    let is_same_image = instance.image_id == sidecar.image.as_str();
    Found {
        image: is_same_image.then(|| instance.image_id.clone()),
        drift: spec::differences(&expected, &service.spec),
        instance,
        elsewhere: seen.elsewhere(service),
        ..Found::default()
    }
}

/// Whether farrier made this service: it has a name of our shape for the sidecar that it says it is, and all of our labels.
#[must_use]
pub(super) fn is_managed(service: &Service) -> bool {
    let label = |label: &str| service.labels.get(label);
    let is_complete = [LABEL_HASH, LABEL_DEFINITION, LABEL_CONFIGURATION, LABEL_MAKING]
        .into_iter()
        .all(|name| label(name).is_some());
    let session = Session::of(&service.labels);
    is_complete && label(LABEL_SIDECAR).is_some_and(|name| is_name_of(name, &service.name, session.as_ref()))
}

/// The networks that a sidecar is made for: the harness's and those that its definition names.
pub(super) fn wanted_networks<'a>(sidecar: &'a Sidecar, network: &'a str) -> BTreeSet<&'a str> {
    let declared = sidecar.definition.container.networks.iter().map(String::as_str);
    std::iter::once(network).chain(declared).filter(|name| !name.is_empty()).collect()
}

/// The names of the networks on which a service has all names that its sidecar declares. A task joins networks when it is made,
/// and never later: what has to join one more is made again.
pub(super) fn networks_of<'a>(
    overlays: &'a [Overlay],
    sidecar: &Sidecar,
    service: &Service,
) -> BTreeSet<&'a str> {
    let aliases = sidecar.definition.aliases();
    let on: BTreeSet<&str> = service
        .networks()
        .filter(|(_, named)| aliases.iter().all(|alias| named.contains(&alias.as_str())))
        .map(|(id, _)| id)
        .collect();
    let is_on = |overlay: &&Overlay| overlay.is_overlay && on.contains(overlay.id.as_str());
    overlays.iter().filter(is_on).map(|overlay| overlay.name.as_str()).collect()
}

fn overlay<'a>(seen: &'a Seen, name: &str) -> Option<&'a Overlay> {
    seen.overlays.iter().find(|overlay| overlay.is_overlay && overlay.name == name)
}

fn unusable_name(sidecar: &Sidecar) -> Option<Problem> {
    let name = &sidecar.container;
    (!spec::is_name(name)).then(|| {
        let message = format!("the service would be named `{name}`, which Docker Swarm does not accept");
        Problem::error(Code::EngineLacks, message)
            .of(sidecar.name())
            .hint("Rename the definition's file: use letters, digits, `-` and `_`, in a shorter name.")
    })
}

/// Whether a sidecar has what only the node has that its definition names: a volume, or a probe that executes commands.
#[must_use]
pub(super) fn needs_its_node(sidecar: &Sidecar) -> bool {
    sidecar.is_executed_in || sidecar.volumes().next().is_some()
}

/// One node must have the name that the definition gives, and no other; to execute commands, it must be the manager's own.
fn unclear_node(seen: &Seen, sidecar: &Sidecar) -> Option<Problem> {
    if !needs_its_node(sidecar) {
        return None;
    }
    let placement = &sidecar.definition.container.placement;
    placement.iter().filter_map(|text| named_node(text)).find_map(|named| {
        let is_it = |node: &&Node| named.is(&node.id, &node.hostname);
        match seen.nodes.iter().filter(is_it).collect::<Vec<_>>().as_slice() {
            [node] => not_its_own(seen, sidecar, node),
            found => Some(unclear(sidecar, named, found.len())),
        }
    })
}

/// No node, or several, have the name.
fn unclear(sidecar: &Sidecar, named: NamedNode<'_>, count: usize) -> Problem {
    let message = match (count, named) {
        (0, NamedNode::Host(host)) => format!("no node of the Swarm has the host name `{host}`"),
        (_, NamedNode::Id(id)) => format!("no node of the Swarm has the ID `{id}`"),
        (_, NamedNode::Host(host)) => {
            format!("{count} nodes have the host name `{host}`, and the sidecar needs a particular one")
        }
    };
    Problem::error(Code::EngineLacks, message)
        .of(sidecar.name())
        .at(sidecar.definition.place("placement"))
        .hint("Name the node by its ID: `placement = [\"node.id == ID\"]`; `docker node ls` prints the IDs.")
}

/// Commands are executed on the manager's own node only.
fn not_its_own(seen: &Seen, sidecar: &Sidecar, node: &Node) -> Option<Problem> {
    (sidecar.is_executed_in && node.id != seen.own_node).then(|| {
        let (named, own) = (node_name(&node.id, &seen.nodes), node_name(&seen.own_node, &seen.nodes));
        let message = format!(
            "a probe executes commands in the sidecar, which this manager cannot do on the node {named}: its own is {own}"
        );
        Problem::error(Code::EngineLacks, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("placement"))
            .hint(
                "Name the manager's own node; or set `DOCKER_HOST` to a manager on that node; or use a probe that dials, or reads \
                 the log.",
            )
    })
}

/// A problem for each volume on the manager's node that has the name of one of the sidecar's and is not its own.
fn volumes_taken<'a>(seen: &'a Seen, sidecar: &'a Sidecar) -> impl Iterator<Item = Problem> + 'a {
    spec::volumes(sidecar).filter_map(|name| {
        let place = format!("the volume `{name}` on the manager's node");
        let remove = command_line(&["docker", "volume", "rm"], &[&name], &[]);
        volume_taken(sidecar, seen.volumes.get(&name)?, &place, &remove)
    })
}

/// What nobody trusts runs only by the id that somebody approved: nodes would ask a registry for what its name means by then.
fn unknown_image(sidecar: &Sidecar) -> Option<Problem> {
    let ImageReference::Declared(image) = &sidecar.image else { return None };
    (!sidecar.definition.layer.is_trusted()).then(|| {
        let message =
            format!("the manager does not have the image `{image}`, so that nobody could approve what it is");
        Problem::error(Code::ImageUnavailable, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("image"))
            .hint(format!("Pull it with `{}`.", command_line(&["docker", "pull"], &[image], &[])))
    })
}

fn missing_networks<'a>(seen: &'a Seen, sidecar: &'a Sidecar) -> impl Iterator<Item = Problem> + 'a {
    sidecar.definition.container.networks.iter().enumerate().filter_map(move |(index, name)| {
        let found = seen.overlays.iter().find(|overlay| overlay.name == *name);
        let message = match found {
            None => format!("there is no network `{name}`, which the sidecar joins"),
            Some(found) if !found.is_overlay => {
                format!(
                    "the network `{name}` is one node's own, and a service joins only networks of all nodes"
                )
            }
            Some(_) => return None,
        };
        let create = &["docker", "network", "create", "--driver", "overlay", "--attachable"];
        Some(
            Problem::error(Code::NetworkUnusable, message)
                .of(sidecar.name())
                .at(sidecar.definition.place(&format!("networks[{index}]")))
                .hint(format!(
                    "Create it with `{}`, or remove it from `networks`.",
                    command_line(create, &[name], &[])
                )),
        )
    })
}

fn name_taken(sidecar: &Sidecar, service: &Service) -> Problem {
    let name = &service.name;
    let label = |label: &str| service.labels.get(label);
    let message = match (label(LABEL_SIDECAR), label(LABEL_DEFINITION)) {
        (Some(other), Some(file)) if other == sidecar.name() => {
            format!("the service `{name}` belongs to another folder's sidecar `{other}`, of {file}")
        }
        (Some(other), _) => {
            format!("the service `{name}` belongs to the sidecar `{other}`, which has the same service name")
        }
        (None, _) => format!("a service that farrier did not create is named `{name}`"),
    };
    Problem::error(Code::NameTaken, message)
        .of(sidecar.name())
        .hint(format!(
            "Remove it with `{}` if it is not needed.",
            command_line(&["docker", "service", "rm"], &[name], &[])
        ))
        .hint("Or rename the definition's file: farrier derives the service's name from the file name.")
}

/// A problem for each name by which another service is found on a network that the sidecar joins: who asks for it would get
/// either of both.
fn aliases_taken(seen: &Seen, sidecar: &Sidecar, network: &str) -> Vec<Problem> {
    let wanted = wanted_networks(sidecar, network);
    let ids: Vec<&str> = wanted
        .into_iter()
        .filter_map(|name| overlay(seen, name))
        .map(|overlay| overlay.id.as_str())
        .collect();
    let others = || seen.services.iter().filter(|service| service.name != sidecar.container);
    let holds = |service: &&Service, alias: &str| {
        let mut common = service.networks().filter(|(id, _)| ids.contains(id)).peekable();
        let is_named = |named: &str| named.to_lowercase() == alias.to_lowercase();
        common.peek().is_some()
            && (is_named(&service.name) || common.any(|(_, aliases)| aliases.into_iter().any(is_named)))
    };
    let taken = sidecar.definition.aliases().into_iter().filter_map(|alias| {
        let holder = others().find(|service| holds(service, &alias))?;
        let message = format!("the name `{alias}` is taken on the network by the service `{}`", holder.name);
        let way_out = if holder.labels.contains_key(LABEL_SIDECAR) {
            format!(
                "It is one of farrier's sidecars: if nobody needs it, remove it with `{}`.",
                command_line(&["farrier", "down", "--engine", "swarm"], &[&holder.name], &[])
            )
        } else {
            "Remove the service from the network, or choose another network.".to_owned()
        };
        Some(Problem::error(Code::AliasTaken, message).of(sidecar.name()).hint(way_out))
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::fuzzing::definition;
    use crate::plan::sidecar::Scopes;

    const TEXT: &str = "image = 'x:1'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n\
                        lifecycle = 'shared'\nmounts = ['volume:data:/data']";

    #[test]
    fn only_the_sidecars_own_volume_is_mounted() {
        let sidecar = Sidecar::new(definition("db", TEXT).expect("a definition"), &Scopes::default());
        let (own, mut others) = (sidecar.owner_labels(), sidecar.owner_labels());
        others.insert(LABEL_SIDECAR.to_owned(), "cache".to_owned());
        let name = spec::volume(&sidecar, "data");
        for (name, labels, expected) in [
            (name.as_str(), own, None),
            (&name, others, Some("belongs to another sidecar")),
            (&name, BTreeMap::new(), Some("farrier did not create the volume")),
            ("other", BTreeMap::new(), None),
        ] {
            let seen = Seen { volumes: BTreeMap::from([(name.to_owned(), labels)]), ..Seen::default() };
            let told: Vec<Problem> = volumes_taken(&seen, &sidecar).collect();
            assert_eq!(told.len(), usize::from(expected.is_some()), "{told:?}");
            let says = |problem: &Problem| {
                problem.code == Code::NameTaken
                    && expected.is_some_and(|words| problem.message.contains(words))
            };
            assert!(told.iter().all(says), "{told:?}");
        }
    }

    #[test]
    fn a_volume_needs_one_node_of_the_name() {
        let node = |id: &str, hostname: &str| Node {
            id: id.to_owned(),
            hostname: hostname.to_owned(),
            is_ready: true,
        };
        let nodes = vec![node("a", "One"), node("b", "two"), node("c", "Two")];
        let seen = Seen { nodes, ..Seen::default() };
        for (placement, expected) in [
            ("node.hostname == one", None),
            ("node.hostname == two", Some("2 nodes have the host name `two`")),
            ("node.hostname == three", Some("no node of the Swarm has the host name `three`")),
            ("node.id == A", None),
            ("node.id == d", Some("no node of the Swarm has the ID `d`")),
        ] {
            let text = format!("{TEXT}\nplacement = ['{placement}']");
            let sidecar = Sidecar::new(definition("db", &text).expect("a definition"), &Scopes::default());
            let told = unclear_node(&seen, &sidecar).map(|problem| problem.message);
            assert_eq!(told.is_some(), expected.is_some(), "{placement}: {told:?}");
            assert!(told.is_none_or(|told| expected.is_some_and(|words| told.starts_with(words))));
        }
    }

    #[test]
    fn commands_are_executed_on_the_managers_own_node() {
        let node = |id: &str, hostname: &str| Node {
            id: id.to_owned(),
            hostname: hostname.to_owned(),
            is_ready: true,
        };
        let nodes = vec![node("a", "one"), node("b", "two")];
        let seen = Seen { nodes, own_node: "a".to_owned(), ..Seen::default() };
        let refused = "a probe executes commands in the sidecar, which this manager cannot do on the node `two`: its own is `one`";
        for (placement, is_executed_in, expected) in [
            ("node.hostname == one', 'node.id == b", true, Some(refused)),
            ("node.hostname == one", true, None),
            ("node.hostname == two", false, None),
            ("node.hostname == two", true, Some(refused)),
            ("node.id == b", true, Some(refused)),
            ("node.id == c", true, Some("no node of the Swarm has the ID `c`")),
        ] {
            let text = format!("{TEXT}\nplacement = ['{placement}']");
            let definition = definition("db", &text).expect("a definition");
            let sidecar = Sidecar { is_executed_in, ..Sidecar::new(definition, &Scopes::default()) };
            let told = unclear_node(&seen, &sidecar).map(|problem| problem.message);
            assert_eq!(told.as_deref(), expected, "{placement} {is_executed_in}");
        }
    }
}
