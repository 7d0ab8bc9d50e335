//! Where harness and sidecars meet, and what the harness is told about it.

use std::ffi::OsString;
use std::path::Path;

use crate::definition::{Definition, variable_token};
use crate::engine::kinds::Choice;
use crate::harness::argv::{Additions, Harness};
use crate::harness::network_mode::NetworkMode;
use crate::harness::run::Foreground;
use crate::plan::instance::Instance;
use crate::plan::sidecar::scope_of;
use crate::plan::{HarnessNetwork, OWN_NETWORK};
use crate::report::error::{Code, Problem};

/// Inherited variables that a command on this host must not see.
const REMOVED_VARIABLES: [&str; 2] = ["SWARMFORGE_TONG_", "FARRIER_"];

/// The engine and network that the harness's command decides.
#[derive(Clone, Debug, Default)]
pub struct HarnessTarget {
    /// The network on which harness and sidecars meet.
    pub network: HarnessNetwork,
    /// What the command says about the engine.
    pub choice: Choice,
    /// The harness's image.
    pub image: Option<String>,
}

impl HarnessTarget {
    /// Reads it off the harness; without one, farrier's own network. Where sidecars of a workspace take part, that is
    /// one of this workspace's, so that what it starts meets nobody else's sidecars there.
    #[must_use]
    pub fn of(harness: Option<&Harness>, workspace: Option<&Path>) -> Self {
        let own = match workspace {
            Some(path) => format!("{OWN_NETWORK}-{}", scope_of(path)),
            None => OWN_NETWORK.to_owned(),
        };
        let network = HarnessNetwork { name: own.clone(), is_own: true, home: own.clone() };
        let mut target = Self { network, ..Self::default() };
        let Some(harness) = harness else { return target };
        let connection = harness.connection();
        target.choice = Choice {
            host: connection.host.clone(),
            context: connection.context.clone(),
            config: connection.config.clone(),
            tls: connection.tls,
        };
        if let Harness::Docker(run) = harness {
            target.image = Some(run.image().to_string_lossy().into_owned());
            if let NetworkMode::Named(names) = run.network()
                && let Some(name) = names.first()
            {
                target.network.name.clone_from(name);
                // Whoever names farrier's own network means it.
                target.network.is_own = *name == own || name == OWN_NETWORK;
            }
        }
        target
    }
}

/// What a harness is in few words, without its arguments.
#[must_use]
pub fn describe(command: &[OsString], harness: Option<&Harness>) -> String {
    match (harness, command.first()) {
        (Some(Harness::Docker(run)), _) => format!("docker run {}", run.image().to_string_lossy()),
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
    sidecars: &[(&Definition, &Instance)],
    direct: bool,
    network: &str,
) -> Result<Foreground, Problem> {
    let by_name = matches!(harness, Harness::Docker(run) if !matches!(run.network(), NetworkMode::Host));
    let mut variables = Vec::new();
    for &(definition, instance) in sidecars {
        let Some(port) = definition.port() else { continue };
        let host = if by_name { definition.name.clone() } else { address(definition, instance, network)? };
        let prefix = format!("SWARMFORGE_TONG_{}", variable_token(&definition.name));
        variables.push((format!("{prefix}_HOST"), host));
        variables.push((format!("{prefix}_PORT"), port.to_string()));
    }
    match harness {
        Harness::Docker(run) => {
            let network = matches!(run.network(), NetworkMode::Unset).then(|| network.to_owned());
            // `-e NAME` without a value, which comes later and wins, takes the value from docker's own environment.
            let set = variables.clone();
            let additions = Additions { env: variables, network };
            Ok(Foreground { command: run.inject(&additions), set, ..Foreground::default() })
        }
        Harness::Host(_) => {
            if !variables.is_empty() && !direct {
                return Err(no_route(network));
            }
            let command = command.to_vec();
            Ok(Foreground { command, set: variables, remove: REMOVED_VARIABLES.to_vec() })
        }
    }
}

fn address(definition: &Definition, instance: &Instance, network: &str) -> Result<String, Problem> {
    let address = instance.address(network);
    address.map(|address| address.to_string()).ok_or_else(|| no_route(network).of(definition.name.clone()))
}

fn no_route(network: &str) -> Problem {
    Problem::error(
        Code::HarnessNoRoute,
        format!("this host has no route to the sidecars on network `{network}`: the engine is elsewhere"),
    )
    .hint("Run the harness in a container: `farrier launch -- docker run IMAGE`.")
}
