//! Where harness and sidecars meet, and what the harness is told about it.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use crate::definition::Definition;
use crate::definition::order::OnExit;
use crate::engine::kinds::{Choice, Client};
use crate::harness::argv::{Additions, Harness, Verb};
use crate::harness::gateway::Forwards;
use crate::harness::joining::Joining;
use crate::harness::network_mode::NetworkMode;
use crate::harness::run::{Foreground, HarnessContainer};
use crate::harness::variables;
use crate::plan::HarnessNetwork;
use crate::plan::session::{LABEL_SESSION_HARNESS, Session};
use crate::plan::sidecar::scope_of;
use crate::report::error::{Code, Problem};

/// The default prefix of the harness's variables, which is the Python launcher's.
pub const ENV_PREFIX: &str = "SWARMFORGE_TONG_";
/// The label of a harness's container that farrier may have to kill.
const LABEL_HARNESS: &str = "farrier.harness";
/// How farrier's own variables begin.
const OWN_PREFIX: &str = "FARRIER_";
/// Inherited variables that a command on this host must not see. Those of another prefix may be the user's own.
const REMOVED_VARIABLES: [&str; 2] = [ENV_PREFIX, OWN_PREFIX];

/// What is wrong with a prefix for the harness's variables; `None` if nothing is.
#[must_use]
pub fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    let is_name = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match prefix.bytes().next() {
        None => Some("the prefix is empty"),
        Some(first) if first.is_ascii_digit() || !is_name => {
            Some("a prefix consists of letters, digits and `_`, and begins with no digit")
        }
        _ if prefix.starts_with(OWN_PREFIX) => Some("`FARRIER_` begins farrier's own variables"),
        _ => None,
    }
}

/// The engine and network that the harness's command decides.
#[derive(Clone, Debug, Default)]
pub struct HarnessTarget {
    /// The network on which harness and sidecars meet.
    pub network: HarnessNetwork,
    /// What the command says about the engine.
    pub choice: Choice,
    /// The harness's image.
    pub image: Option<String>,
    /// The networks that the command names.
    pub named: Vec<String>,
}

impl HarnessTarget {
    /// Reads it off the harness; without one, farrier's own network. Where sidecars of a workspace take part, that is
    /// one of this workspace's, so that what it starts meets nobody else's sidecars there. Each set of sidecars that has a
    /// name has one of its own, too. The names of farrier's own begin as the engine has it.
    #[must_use]
    pub fn of(
        harness: Option<&Harness>,
        own_network: &str,
        workspace: Option<&Path>,
        instance: Option<&str>,
    ) -> Self {
        let own = match workspace {
            Some(path) => format!("{own_network}-{}", scope_of(path)),
            None => own_network.to_owned(),
        };
        let own = instance.map_or(own.clone(), |instance| format!("{own}-{instance}"));
        let network = HarnessNetwork {
            name: own.clone(),
            is_own: true,
            home: own.clone(),
            ..HarnessNetwork::default()
        };
        let mut target = Self { network, ..Self::default() };
        let Some(harness) = harness else { return target };
        let connection = harness.connection();
        target.choice = Choice {
            client: connection.client,
            host: connection.host.clone(),
            context: connection.context.clone(),
            config: connection.config.clone(),
            tls: connection.tls.clone(),
        };
        if let Harness::Docker(run) = harness {
            target.image = (!run.is_folder()).then(|| run.image().to_string_lossy().into_owned());
            if let NetworkMode::Named(names) = run.network()
                && let Some(name) = names.first()
            {
                target.network.name.clone_from(name);
                // Whoever names farrier's own network means it.
                target.network.is_own = *name == own || name == own_network;
                target.named.clone_from(names);
                target.network.beside = names.iter().filter(|other| *other != name).cloned().collect();
            }
        }
        target
    }

    /// With a session's network in place of the one that the harness names, or that farrier would make.
    pub fn join(&mut self, session: &Session) {
        self.network.name = session.network();
        self.network.is_own = true;
        self.network.session = Some(session.clone());
        self.network.beside.clone_from(&self.named);
    }
}

/// Why a harness cannot have a session; none for one that can.
#[must_use]
pub fn session_refusal(harness: &Harness, sidecar: &str) -> Option<Problem> {
    let Harness::Docker(run) = harness else { return None };
    let reason = format!("`{sidecar}` is gone when the harness's command ends");
    let problem = |message: String| Problem::error(Code::HarnessShape, message).of(sidecar);
    if run.is_detached() || run.verb() == Verb::Create {
        let what = if run.is_detached() { "is detached (-d)" } else { "only creates its container" };
        return Some(
            problem(format!("the harness {what}, and {reason}"))
                .hint("Run the harness in the foreground: `farrier launch -- docker run IMAGE`.")
                .hint("Or write `lifecycle = \"shared\"`."),
        );
    }
    let option = run.only_of_run().filter(|_| matches!(run.network(), NetworkMode::Named(_)))?;
    Some(
        problem(format!(
            "the harness names its network, so farrier creates its container before it starts it, and `create` has no \
             `--{option}`"
        ))
        .hint(format!("Leave out `--{option}`, or `--network`: farrier then adds the session's network.")),
    )
}

/// What a harness is in few words, without its arguments.
#[must_use]
pub fn describe(command: &[OsString], harness: Option<&Harness>) -> String {
    match (harness, command.first()) {
        (Some(Harness::Docker(run)), _) => {
            let client = if run.connection().client == Client::Docker { "docker" } else { "podman" };
            format!("{client} run {}", run.image().to_string_lossy())
        }
        // Other users read it, and a path may say more than they need to know.
        (_, Some(program)) => {
            Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
        }
        (_, None) => "farrier up".to_owned(),
    }
}

/// The command to run, with what it is told about the sidecars.
///
/// # Errors
/// When it runs on this host, and the host has no route to a sidecar.
pub fn foreground(
    command: &[OsString],
    harness: &Harness,
    sidecars: &[(&Definition, Option<IpAddr>)],
    direct: bool,
    network: &HarnessNetwork,
    prefix: &str,
    forwards: Option<&Forwards>,
) -> Result<Foreground, Problem> {
    let (session, network) = (network.session.as_ref(), network.name.as_str());
    let by_name = matches!(harness, Harness::Docker(run) if !matches!(run.network(), NetworkMode::Host));
    let (mut variables, mut more) = (Vec::new(), Vec::new());
    for &(definition, address) in sidecars {
        if definition.port().is_none() {
            more.extend(definition.harness_variables(&definition.name));
            continue;
        }
        let reached = || address.map(|address| address.to_string());
        let host = if by_name { Some(definition.name.clone()) } else { reached() };
        let host = host.ok_or_else(|| no_route(network).of(definition.name.clone()))?;
        more.extend(definition.harness_variables(&host));
        variables.extend(variables::of(definition, &host, prefix));
    }
    match harness {
        Harness::Docker(run) => {
            // What the harness sets itself, or passes through from its own environment, stays as it is.
            more.retain(|(name, _)| !run.env_names().any(|own| own == name.as_str()));
            variables.extend(unique(more));
            let has_network = forwards.is_none_or(|forwards| !forwards.is_alone);
            let joins = session.filter(|_| has_network && matches!(run.network(), NetworkMode::Named(_)));
            let is_stopped = || sidecars.iter().any(|(definition, _)| definition.on_exit == OnExit::Stop);
            let label = match joins {
                Some(session) => Some(format!("{LABEL_SESSION_HARNESS}={}", session.id)),
                None => is_stopped().then(own_label).flatten(),
            };
            let container = label.clone().map(|label| HarnessContainer { client: run.client(), label });
            let joining = joins.map(|_| Joining {
                network: network.to_owned(),
                client: run.client(),
                is_interactive: run.is_interactive(),
            });
            let is_added = has_network && matches!(run.network(), NetworkMode::Unset);
            let network = is_added.then(|| network.to_owned());
            // `-e NAME` without a value, which comes later and wins, takes the value from docker's own environment.
            let set = variables.clone();
            let hosts = forwards.map(Forwards::hosts).unwrap_or_default();
            let additions = Additions { env: variables, network, label, hosts };
            let command =
                if joining.is_some() { run.inject_and_create(&additions) } else { run.inject(&additions) };
            Ok(Foreground { command, set, joining, container, ..Foreground::default() })
        }
        Harness::Host(_) => {
            if !variables.is_empty() && !direct {
                return Err(no_route(network));
            }
            variables.extend(unique(more));
            let command = command.to_vec();
            let remove = REMOVED_VARIABLES.to_vec();
            Ok(Foreground { command, set: variables, remove, ..Foreground::default() })
        }
    }
}

/// A label by which the harness's container is found, and no other; `None` without randomness.
fn own_label() -> Option<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).ok()?;
    Some(format!("{LABEL_HARNESS}={:016x}", u64::from_ne_bytes(random)))
}

/// The variables that a harness on this host gets.
///
/// # Errors
/// If the host has no route to a sidecar.
pub fn on_this_host(
    sidecars: &[(&Definition, Option<IpAddr>)],
    direct: bool,
    network: &str,
    prefix: &str,
) -> Result<Vec<(String, String)>, Problem> {
    let (mut variables, mut more) = (Vec::new(), Vec::new());
    for &(definition, address) in sidecars {
        let host = if definition.port().is_some() {
            let address = address.filter(|_| direct);
            address.ok_or_else(|| no_route(network).of(definition.name.clone()))?.to_string()
        } else {
            definition.name.clone()
        };
        more.extend(definition.harness_variables(&host));
        variables.extend(variables::of(definition, &host, prefix));
    }
    variables.extend(unique(more));
    Ok(variables)
}

/// Several sidecars may set a variable to one value.
fn unique(mut variables: Vec<(String, String)>) -> Vec<(String, String)> {
    variables.sort_unstable();
    variables.dedup();
    variables
}

fn no_route(network: &str) -> Problem {
    Problem::error(
        Code::HarnessNoRoute,
        format!(
            "this host has no route to the sidecars on network `{network}`: the engine is Podman, or runs in a virtual \
             machine or on another machine"
        ),
    )
    .hint("Run the harness in a container: `farrier launch -- docker run IMAGE`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_makes_names_of_variables_that_are_not_farriers_own() {
        for (prefix, is_right) in [
            ("SWARMFORGE_TONG_", true),
            ("APP_", true),
            ("_", true),
            ("app9", true),
            ("", false),
            ("9APP_", false),
            ("A-B_", false),
            ("A B", false),
            ("A=", false),
            ("É", false),
            ("FARRIER_", false),
            ("FARRIER_X_", false),
        ] {
            assert_eq!(wrong_prefix(prefix).is_none(), is_right, "{prefix:?}");
        }
    }
}
