//! `plan`: what launch would do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::data::{indented, layer_lines, layers_json, print, print_json};
use super::launch::{assemble, check_limits, check_settings};
use crate::approval;
use crate::cli::options::{self, Format};
use crate::cli::runtime::CommandRuntime;
use crate::cli::unused_workspace;
use crate::event::{Event, Reporter, problem_json};
use crate::harness::reachability::{HarnessTarget, describe};
use crate::preparation::settings::Settings;
use crate::preparation::{self, Approval, Disabled, ValidationPhase};
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

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
    let settings = Settings::new(&options.layers, &options.launch);
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
    let layers = layer_lines(&preparation.layers);
    let layers_json = layers_json(&preparation.layers);
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
                    "layers": layers_json, "network": null, "sidecars": [], "disabled": disabled,
                }))
            }
        };
        print(&text);
        return Ok(exit::SUCCESS);
    }
    let target = HarnessTarget::of(harness.as_ref(), preparation.workspace(&settings));
    let described = describe(&options.command, harness.as_ref());
    let mut launch = assemble(settings, preparation, target, described, reporter);
    let planned = CommandRuntime::start()?.run(async {
        check_limits(&launch)?;
        check_settings(&launch, ValidationPhase::Trusted).await?;
        approval::recognise_and_tell(&launch.settings, &mut launch.sidecars, &launch.reporter)?;
        check_settings(&launch, ValidationPhase::Approved).await?;
        let connection = Arc::new(launch.connect().await?);
        launch.plan(&connection).await
    })?;
    let text = match options.format {
        Format::Human => {
            // Names in it come from labels, which anyone may have written.
            let lines: String = planned.to_string().lines().map(|line| escape(line) + "\n").collect();
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
            let mut value = planned.to_json();
            value["layers"] = layers_json;
            value["disabled"] = disabled_json(&disabled);
            for (at, prepared) in launch.sidecars.iter().enumerate() {
                let missing = prepared.approval == Approval::Missing;
                value["sidecars"][at]["needs_approval"] = missing.into();
            }
            indented(&value)
        }
    };
    print(&text);
    Ok(exit::SUCCESS)
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
