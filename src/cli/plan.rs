//! `plan`: what launch would do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::data::{indented, layer_lines, layers_json, policies_json, policy_lines, print, print_json};
use super::launch::{assemble, check_limits, check_settings};
use crate::approval;
use crate::cli::options::{self, Format};
use crate::cli::runtime::CommandRuntime;
use crate::cli::unused_workspace;
use crate::definition::Definition;
use crate::engine::kinds::EngineKind;
use crate::event::{Event, Reporter, problem_json};
use crate::harness::reachability::{HarnessTarget, describe};
use crate::launch::Launch;
use crate::launch::placement::{Destinations, Placement};
use crate::plan::Plan;
use crate::preparation::settings::Settings;
use crate::preparation::{self, Approval, Disabled, ValidationPhase};
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

/// What a launch would do on one engine.
struct PlanOnEngine {
    kind: EngineKind,
    product: &'static str,
    place: String,
    /// Product and place in words, if nobody expects them.
    unexpected: Option<String>,
    plan: Plan,
}

impl PlanOnEngine {
    /// The plan on an engine that has answered, so that its product is certain.
    fn new(kind: EngineKind, placement: &Placement<'_>, plan: Plan) -> Self {
        let connection = &placement.connection;
        let (product, place) = (connection.engine.product(), connection.place.clone());
        Self { kind, product, place, unexpected: connection.unexpected(), plan }
    }

    /// Which engine it is, for scripts.
    fn engine_json(&self) -> Value {
        json!({
            "engine": self.kind.name(),
            "product": self.product,
            "place": self.place,
            "network": self.plan.to_json()["network"],
        })
    }
}

/// Prints the plan, or in the form for scripts what stands against it.
pub fn plan(options: &options::Plan, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    match (decide(options, reporter), options.format) {
        (Err(failure), Format::Json) => {
            let problems: Vec<_> = failure.problems.iter().map(problem_json).collect();
            print_json(&json!({ "problems": problems }));
            Ok(failure.exit)
        }
        (result, _) => result,
    }
}

fn decide(options: &options::Plan, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &options.launch).of_harness(&options.command);
    let mut preparation = preparation::prepare(&settings);
    preparation.problems.extend(unused_workspace::warnings(&options.layers));
    let harness = match options.command.as_slice() {
        [] => None,
        command => match preparation.harness(command) {
            Ok(harness) => Some(harness),
            Err(failure) => {
                preparation.accept(failure.problems.clone())?;
                return Err(failure);
            }
        },
    };
    preparation.accept(Vec::new())?;
    let layers = layer_lines(&preparation.layers) + &policy_lines(&preparation.policies);
    let layers_json = layers_json(&preparation.layers);
    let policies = policies_json(&preparation.policies);
    let mut disabled = std::mem::take(&mut preparation.disabled);
    approval::recognise_and_tell(&settings, &mut disabled, reporter)?;
    if preparation.definitions == 0 {
        for problem in &preparation.problems {
            reporter.tell(&Event::Problem(problem));
        }
        let text = match options.format {
            Format::Human => {
                let disabled = disabled_lines(&disabled);
                format!("{layers}{disabled}no sidecars: farrier runs the harness unchanged\n")
            }
            Format::Json => {
                let disabled = disabled_json(&disabled);
                indented(&json!({
                    "layers": layers_json, "policies": policies, "network": null, "sidecars": [],
                    "disabled": disabled,
                }))
            }
        };
        print(&text);
        return Ok(exit::SUCCESS);
    }
    let target = HarnessTarget::of(
        harness.as_ref(),
        settings.engine.own_network(preparation.taking_part()),
        preparation.workspace(&settings),
        settings.scopes.instance.as_deref(),
    );
    let described = describe(&options.command, harness.as_ref());
    let mut launch = assemble(settings, preparation, target, described, reporter);
    // For the time of this command.
    let _lease = launch.begin_session()?;
    let planned = CommandRuntime::start()?.run(async {
        check_limits(&launch)?;
        check_settings(&launch, ValidationPhase::Trusted).await?;
        approval::recognise_and_tell(&launch.settings, &mut launch.sidecars, &launch.reporter)?;
        approval::refuse_denied_imports(&launch.sidecars)?;
        check_settings(&launch, ValidationPhase::Approved).await?;
        let destinations = launch.connect().await?;
        plan_each(&launch, &destinations).await
    })?;
    for warning in planned.iter().flat_map(|on| &on.plan.warnings) {
        reporter.tell(&Event::Problem(warning));
    }
    let text = match options.format {
        Format::Human => {
            // Names in it come from labels, which anyone may have written.
            let lines: String = plan_lines(&planned, launch.settings.engine.reason())
                .lines()
                .map(|line| escape(line) + "\n")
                .collect();
            let missing = launch.sidecars.iter().filter(|prepared| prepared.approval == Approval::Missing);
            let names = missing.map(|prepared| escape(prepared.sidecar.name()));
            let missing: String = names
                .map(|name| {
                    format!("{name}: needs approval, because the workspace declares it (`farrier approve`)\n")
                })
                .collect();
            format!("{layers}{}{lines}{missing}", disabled_lines(&disabled))
        }
        Format::Json => {
            let mut sidecars = sidecars_json(&planned);
            for (sidecar, prepared) in sidecars.iter_mut().zip(&launch.sidecars) {
                sidecar["needs_approval"] = (prepared.approval == Approval::Missing).into();
            }
            let network = planned.first().map(|on| on.plan.to_json()["network"].clone());
            indented(&json!({
                "layers": layers_json,
                "policies": policies,
                "network": network,
                "engines": planned.iter().map(PlanOnEngine::engine_json).collect::<Vec<_>>(),
                "sidecars": sidecars,
                "disabled": disabled_json(&disabled),
            }))
        }
    };
    print(&text);
    Ok(exit::SUCCESS)
}

async fn plan_each(launch: &Launch, destinations: &Destinations) -> Result<Vec<PlanOnEngine>, Failure> {
    let placements = launch.placements(destinations);
    let plans = launch.plan_on(&placements).await?;
    let mut planned = Vec::new();
    for ((kind, placement), plan) in destinations.kinds().zip(&placements).zip(plans) {
        planned.push(PlanOnEngine::new(kind, placement, plan));
    }
    Ok(planned)
}

/// The plan on each engine. An engine is named unless it is the one that everybody expects, with its product and place if
/// these are others; the reason says why images by reference are on another one.
fn plan_lines(planned: &[PlanOnEngine], reason: Option<&str>) -> String {
    let is_by_reference = |plan: &Plan| {
        let definitions = plan.sidecars.iter().map(|part| &part.sidecar.definition);
        let is_chosen =
            |definition: &Definition| definition.needs_this_host() || definition.container.engine.is_some();
        definitions.into_iter().any(|definition| !is_chosen(definition))
    };
    let is_expected = |kind: EngineKind| planned.len() == 1 && kind == EngineKind::of_images();
    let each = planned.iter().map(|PlanOnEngine { kind, unexpected, plan, .. }| {
        let which = unexpected.as_ref().map(|which| format!(": {which}"));
        if which.is_none() && is_expected(*kind) {
            return plan.to_string();
        }
        let because = reason.filter(|_| is_by_reference(plan)).map(|reason| format!(", because {reason}"));
        let (which, because) = (which.unwrap_or_default(), because.unwrap_or_default());
        format!("engine {}{which}{because}\n{plan}", kind.name())
    });
    each.collect()
}

/// What is done with each sidecar, in the order of names.
fn sidecars_json(planned: &[PlanOnEngine]) -> Vec<Value> {
    let each = planned.iter().flat_map(|PlanOnEngine { kind, plan, .. }| {
        let sidecars = plan.to_json()["sidecars"].as_array().cloned().unwrap_or_default();
        sidecars.into_iter().map(|mut sidecar| {
            sidecar["engine"] = kind.name().into();
            sidecar
        })
    });
    let mut all: Vec<Value> = each.collect();
    all.sort_by_key(|sidecar| sidecar["name"].as_str().unwrap_or_default().to_owned());
    all
}

/// The sidecars that the workspace disables, one line each.
fn disabled_lines(disabled: &[Disabled]) -> String {
    disabled
        .iter()
        .map(|Disabled { disablement, approval }| {
            let (name, layer) = (escape(&disablement.name), disablement.layer);
            let needs = match approval {
                Approval::Missing => "; this needs approval (`farrier approve`)",
                _ => "",
            };
            format!(
                "{name}: not started, because the workspace disables the {layer} layer's definition{needs}\n"
            )
        })
        .collect()
}

fn disabled_json(disabled: &[Disabled]) -> Value {
    disabled
        .iter()
        .map(|Disabled { disablement, approval }| {
            json!({
                "sidecar": disablement.name,
                "layer": disablement.layer.as_str(),
                "definition": disablement.file.display().to_string(),
                "disabled_by": disablement.place.source.path.display().to_string(),
                "needs_approval": *approval == Approval::Missing,
            })
        })
        .collect()
}
