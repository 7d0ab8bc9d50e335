//! `env`: the variables of sidecars that run; nothing is started.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::data::print;
use super::launch::assemble;
use crate::approval;
use crate::cli::options;
use crate::cli::runtime::CommandRuntime;
use crate::definition::Definition;
use crate::definition::model::Lifecycle;
use crate::engine::dialler::{Dialler, Direct};
use crate::event::Reporter;
use crate::harness::reachability::{HarnessTarget, describe, on_this_host};
use crate::launch::Launch;
use crate::launch::placement::Placement;
use crate::plan::instance::{Instance, Status};
use crate::preparation;
use crate::preparation::settings::Settings;
use crate::readiness::families::{BothFamilies, ByIpv6};
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// How long a sidecar may take to accept a connection that tells which of its addresses it listens at.
const ACCEPTING: Duration = Duration::from_secs(1);

/// Prints what a harness on this host would get.
pub fn env(options: &options::Env, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let mut settings = Settings::new(&options.layers, &options.launch);
    if !options.names.is_empty() {
        settings.choice.only.clone_from(&options.names);
    }
    let mut preparation = preparation::prepare(&settings);
    preparation.accept(Vec::new())?;
    // One of a session is its own launch's.
    preparation.sidecars.retain(|prepared| prepared.sidecar.definition.lifecycle == Lifecycle::Shared);
    let target = HarnessTarget::of(
        None,
        settings.engine.own_network(preparation.taking_part()),
        preparation.workspace(&settings),
        settings.scopes.instance.as_deref(),
    );
    let mut launch = assemble(settings, preparation, target, describe(&[], None), reporter);
    // Somebody evaluates it: nothing of a workspace sets variables unasked.
    approval::recognise_and_tell(&launch.settings, &mut launch.sidecars, reporter)?;
    approval::refuse_missing(&launch.settings, &launch.sidecars)?;
    let variables = CommandRuntime::start()?.run_alone(async {
        let destinations = launch.connect().await?;
        let mut found = Vec::new();
        for placement in launch.placements(&destinations) {
            found.extend(running(&placement).await?);
        }
        variables(&launch, &found)
    })?;
    print(&options.print.print(&variables));
    Ok(exit::SUCCESS)
}

fn variables(launch: &Launch, found: &[(String, Option<IpAddr>)]) -> Result<Vec<(String, String)>, Failure> {
    let definitions = launch.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
    let addressed = definitions.map(|definition| {
        let address = found.iter().find(|(name, _)| *name == definition.name);
        (definition, address.and_then(|(_, address)| *address))
    });
    let addressed: Vec<(&Definition, Option<IpAddr>)> = addressed.collect();
    let network = &launch.target.network.name;
    on_this_host(&addressed, true, network, &launch.settings.env_prefix).map_err(Failure::from)
}

/// The address of each sidecar that this host reaches; a problem for each that does not run.
async fn running(placement: &Placement<'_>) -> Result<Vec<(String, Option<IpAddr>)>, Failure> {
    let engine = placement.connection.engine.as_ref();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    // A job that ended is reached by nobody.
    let services = placement.sidecars.iter().filter(|prepared| prepared.sidecar.definition.job().is_none());
    for prepared in services {
        let sidecar = &prepared.sidecar;
        let name = sidecar.name().to_owned();
        let instance = engine.find(sidecar).await;
        let instance =
            instance.map_err(|error| placement.connection.problem("inspect the sidecars", &error))?;
        let instance = instance.map(|found| found.instance);
        match instance.filter(|instance| instance.status == Status::Running && instance.is_of(sidecar)) {
            Some(instance) => {
                let port = sidecar.definition.port();
                found.push((name, reached(engine, &instance, &placement.network.name, port).await));
            }
            None => problems.push(
                Problem::error(
                    Code::SidecarNotFound,
                    format!("the sidecar `{name}` does not run as it is declared"),
                )
                .of(name)
                .hint("Start it with `farrier up`."),
            ),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Failure { exit: exit::REFUSED, problems }) }
}

/// An address of an instance that this host reaches, on the network of a launch without a harness if it is there.
async fn reached(
    engine: &dyn crate::engine::Engine,
    instance: &Instance,
    network: &str,
    port: Option<u16>,
) -> Option<IpAddr> {
    let others = instance.networks.keys().map(String::as_str).filter(|name| *name != network);
    let mut names = std::iter::once(network).chain(others);
    let name = names.find(|name| instance.address(name).is_some() && engine.is_direct(instance, name))?;
    let (first, by_ipv6) = (instance.told_address(name)?, ByIpv6::default());
    let (Some(second), Some(port)) = (instance.ipv6(name), port) else { return Some(first) };
    let both = BothFamilies { dialler: Arc::new(Direct), first, second, by_ipv6: by_ipv6.clone() };
    // Whether it accepts is not asked here.
    let _ = both.connect((first, port).into(), ACCEPTING).await;
    Some(if by_ipv6.has((first, port).into()) { second } else { first })
}
