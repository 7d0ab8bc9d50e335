//! `engine`: the engines that there are, and what they keep.

use serde_json::{Value, json};

use super::data::{print, print_json};
use crate::cli::options::{
    Engine, EngineCommand, EngineList, EnginePrune, EnginePull, Format, LaunchOptions,
};
use crate::cli::runtime::CommandRuntime;
use crate::engine::kinds::{Choice, EngineKind, Engines, Opened, Selection};
use crate::engine::problem::engine_problem;
use crate::engine::{Capabilities, Finding, Repulled};
use crate::preparation::settings::Settings;
use crate::report::error::{Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Does what the subcommand says.
pub fn engine(options: &Engine) -> Result<u8, Failure> {
    match &options.command {
        EngineCommand::List(options) => list(options),
        EngineCommand::Pull(options) => pull(options),
        EngineCommand::Prune(options) => prune(options),
    }
}

/// An engine, as it is listed.
struct Listed {
    kind: EngineKind,
    /// Its version and place, with its product if it is not the usual one; or why it cannot be used.
    state: Result<String, Problem>,
    /// What its own examination found.
    findings: Vec<String>,
    chosen_for: Vec<&'static str>,
}

fn list(options: &EngineList) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &LaunchOptions::default());
    let listed = CommandRuntime::start()?.run_alone(async { Ok(all(&settings).await) })?;
    match options.format {
        Format::Human => print(&listed.iter().map(human).collect::<String>()),
        Format::Json => {
            let engines: Vec<Value> = listed.iter().map(as_json).collect();
            print_json(&json!({ "engines": engines }));
        }
    }
    Ok(exit::SUCCESS)
}

async fn all(settings: &Settings) -> Vec<Listed> {
    let mut listed = Vec::new();
    for kind in EngineKind::ALL {
        let mut findings = Vec::new();
        let state = match kind.open(&Choice::default(), &settings.environment, &settings.folders()) {
            Ok(Opened { engine, place, .. }) => match engine.info().await {
                Ok(info) => {
                    let found = engine.examine().await.into_iter();
                    findings
                        .extend(found.filter_map(|(_, found)| found.ok()).map(|Finding { text, .. }| text));
                    // The row is named after the usual product.
                    let product = Some(engine.product()).filter(|name| *name != kind.capabilities().product);
                    let product = product.map(|name| format!("{name} ")).unwrap_or_default();
                    Ok(format!("{product}{} at {place}", info.version))
                }
                Err(error) => Err(engine_problem(&format!("use the engine at {place}"), &error)),
            },
            Err(problem) => Err(problem),
        };
        listed.push(Listed { kind, state, findings, chosen_for: chosen_for(kind, &settings.engine) });
    }
    listed
}

/// What an engine can run, in the words of definitions.
fn runs(capabilities: &Capabilities) -> Vec<&'static str> {
    let all = [
        (capabilities.images, "images by reference"),
        (capabilities.image_files, "images in files (`oci:`, `docker-archive:`)"),
        (capabilities.programs, "programs on this host"),
    ];
    all.into_iter().filter(|(can, _)| *can).map(|(_, what)| what).collect()
}

fn chosen_for(kind: EngineKind, engines: &Engines) -> Vec<&'static str> {
    match engines.asked() {
        Selection::All(asked) if asked == kind => {
            vec!["all sidecars, because `--engine` or FARRIER_ENGINE says so"]
        }
        Selection::All(_) => Vec::new(),
        Selection::Auto => runs(&Capabilities { images: kind == engines.of_images(), ..kind.capabilities() }),
    }
}

fn human(listed: &Listed) -> String {
    let capabilities = listed.kind.capabilities();
    let state = match &listed.state {
        Ok(state) => escape(state),
        Err(problem) => format!("cannot be used: {}", escape(&problem.message)),
    };
    let mut text = format!("{:<8}{state}\n", listed.kind.name());
    let mut line = |label: &str, what: &str| text.push_str(&format!("{:8}{label}{}\n", "", escape(what)));
    line("runs ", &runs(&capabilities).join("; "));
    listed.findings.iter().for_each(|finding| line("", finding));
    if !listed.chosen_for.is_empty() {
        line("chosen for ", &listed.chosen_for.join("; "));
    }
    if let Err(problem) = &listed.state {
        problem.hints.iter().for_each(|hint| line("fix: ", hint));
    }
    text
}

fn as_json(listed: &Listed) -> Value {
    let capabilities = listed.kind.capabilities();
    json!({
        "name": listed.kind.name(),
        "answers": listed.state.is_ok(),
        "state": listed.state.as_ref().map_or_else(|problem| problem.message.clone(), Clone::clone),
        "fixes": listed.state.as_ref().err().map(|problem| problem.hints.clone()).unwrap_or_default(),
        "findings": listed.findings,
        "images": capabilities.images,
        "image_files": capabilities.image_files,
        "programs": capabilities.programs,
        "chosen_for": listed.chosen_for,
    })
}

fn pull(options: &EnginePull) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &LaunchOptions::default());
    CommandRuntime::start()?.run_alone(async {
        for kind in EngineKind::ALL.into_iter().filter(|kind| kind.capabilities().image_files) {
            let Opened { engine, .. } =
                kind.open(&Choice::default(), &settings.environment, &settings.folders())?;
            for image in &options.images {
                let Some(Repulled { id, before }) = engine.pull_again(image).await? else { continue };
                let what = match before {
                    Some(before) if before == id => "is up to date",
                    Some(_) => "names another image now",
                    None => "was pulled",
                };
                print(&format!("{} {what}: {id}\n", escape(image)));
            }
        }
        Ok(exit::SUCCESS)
    })
}

fn prune(options: &EnginePrune) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &LaunchOptions::default());
    let removed = CommandRuntime::start()?.run_alone(async {
        let mut removed = Vec::new();
        for kind in EngineKind::ALL.into_iter().filter(|kind| kind.capabilities().image_files) {
            let Opened { engine, .. } =
                kind.open(&Choice::default(), &settings.environment, &settings.folders())?;
            let of_engine = engine.prune(options.volumes).await;
            removed.extend(of_engine.map_err(|error| engine_problem("remove what nothing uses", &error))?);
        }
        Ok(removed)
    })?;
    let removed = match removed.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    };
    print(&format!("removed {removed}\n"));
    Ok(exit::SUCCESS)
}
