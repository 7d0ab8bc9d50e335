//! `up`: starts sidecars without a harness.

use std::net::IpAddr;
use std::sync::Arc;

use super::launch::{SessionState, assemble, end_uses, none_but_disabled, prepared_up};
use crate::cli::addresses::addresses;
use crate::cli::data::print;
use crate::cli::runtime::CommandRuntime;
use crate::cli::{missing_probes, options, unused_workspace};
use crate::definition::Definition;
use crate::definition::model::Lifecycle;
use crate::event::{Event, Reporter};
use crate::harness::reachability::{HarnessTarget, describe, on_this_host};
use crate::harness::variables::Form;
use crate::launch::{Launch, Running};
use crate::plan::instance::Instance;
use crate::preparation::settings::Settings;
use crate::preparation::{self, Preparation};
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// Starts what is needed and waits.
pub fn up(options: &options::Up, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let mut settings = Settings::new(&options.layers, &options.launch);
    if !options.names.is_empty() {
        settings.choice.only.clone_from(&options.names);
    }
    start(settings, &options.layers, options.print, reporter)
}

/// Starts the sidecars of these settings and waits. With a form, prints the variables of a harness on this host.
pub(super) fn start(
    settings: Settings,
    layers: &options::LayerOptions,
    form: Option<Form>,
    reporter: &Arc<Reporter>,
) -> Result<u8, Failure> {
    let nothing = || form.iter().for_each(|form| print(&form.print(&[])));
    let mut permitted = preparation::load(&settings);
    missing_probes::download(&settings, &mut permitted, reporter)?;
    let mut preparation = preparation::resolve(&settings, permitted);
    preparation.problems.extend(unused_workspace::warnings(layers));
    preparation.accept(refuse_sessions(&preparation))?;
    let mut disabled = std::mem::take(&mut preparation.disabled);
    if preparation.definitions == 0 && !disabled.is_empty() {
        none_but_disabled(&settings, &preparation, &mut disabled, reporter)?;
        nothing();
        return Ok(exit::SUCCESS);
    }
    if preparation.definitions == 0 {
        for problem in &preparation.problems {
            reporter.tell(&Event::Problem(problem));
        }
        let problem = Problem::warning(Code::LayerUnusable, "no layer defines a sidecar")
            .hint("List the layers with `farrier validate`.");
        reporter.tell(&Event::Problem(&problem));
        nothing();
        return Ok(exit::SUCCESS);
    }
    let described = describe(&[], None);
    let target = HarnessTarget::of(
        None,
        settings.engine.own_network(preparation.taking_part()),
        preparation.workspace(&settings),
        settings.scopes.instance.as_deref(),
    );
    let mut launch = assemble(settings, preparation, target, described, reporter);
    let mut none = SessionState::default();
    let mut runtime = CommandRuntime::start()?;
    let running = runtime.run(prepared_up(&mut launch, &mut disabled, &mut none));
    end_uses(&mut runtime, &launch.uses);
    let running = running?;
    for (definition, instance, network) in running_sidecars(&launch, &running) {
        let addresses = addresses(instance, Some(network), &definition.ports());
        if !addresses.is_empty() {
            launch.reporter.tell(&Event::Reachable { sidecar: &definition.name, addresses: &addresses });
        }
    }
    if let Some(form) = form {
        let (network, prefix) = (&launch.target.network.name, &launch.settings.env_prefix);
        print(&form.print(&on_this_host(&addressed(&launch, &running), running.direct, network, prefix)?));
    }
    Ok(exit::SUCCESS)
}

/// Refuses sidecars that would end with a harness where there is none.
pub(super) fn refuse_sessions(preparation: &Preparation) -> Vec<Problem> {
    let definitions = preparation.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
    let of_sessions = definitions.filter(|definition| definition.lifecycle == Lifecycle::Session);
    let refused = of_sessions.map(|definition| {
        let name = &definition.name;
        let message =
            format!("`{name}` is a session sidecar, which lives as long as the harness of one launch");
        Problem::error(Code::UnsupportedLifecycle, message)
            .of(name.clone())
            .at(definition.place("lifecycle"))
            .hint("Start it with its harness: `farrier launch -- COMMAND`.")
            .hint("Or name the sidecars to start: `farrier up NAME`.")
    });
    refused.collect()
}

/// The definitions of a launch, each with its instance and the network on which a harness would meet it.
fn running_sidecars<'a>(
    launch: &'a Launch,
    running: &'a Running,
) -> impl Iterator<Item = (&'a Definition, &'a Instance, &'a str)> {
    launch.sidecars.iter().filter_map(|prepared| {
        let definition = &prepared.sidecar.definition;
        running.engines.iter().find_map(|on| {
            let (_, instance) = on.instances.iter().find(|(name, _)| *name == definition.name)?;
            Some((definition, instance, on.network.as_str()))
        })
    })
}

/// The definitions of a launch, each with the address of what runs.
fn addressed<'a>(launch: &'a Launch, running: &Running) -> Vec<(&'a Definition, Option<IpAddr>)> {
    let definitions = launch.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
    definitions.map(|definition| (definition, running.address(&definition.name))).collect()
}
