//! `probe test`: scenarios played for a probe, without a server and without waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::bounded::{expect_permitted_reference, expect_permitted_trial};
use super::registries::policies_of;
use super::trial::{NOT_READY, accept_settings, expect_described, load, told};
use super::{Chosen, Origin, choose};
use crate::cli::data::{print, print_json};
use crate::cli::options::{Format, ProbeTest};
use crate::cli::runtime::CommandRuntime;
use crate::definition::Limits;
use crate::definition::grants::Grants;
use crate::definition::model::ProbeReference;
use crate::definition::scenario::{Written, read, read_found};
use crate::engine::EngineFeature;
use crate::probe::capabilities;
use crate::probe::grants::{effective, linked, ungranted};
use crate::probe::host::LoadedProbe;
use crate::readiness::scenario::{Play, Played, PlayedPoll, answer};
use crate::readiness::schedule::poll_limit;
use crate::report::elapsed::{limit, milliseconds};
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Where scenarios are if the command line names none: beside the component.
const FOLDER: &str = "scenarios";
/// The last polls of a failed scenario that are shown.
const SHOWN_POLLS: usize = 10;
const CORRECT: &str = "Correct `readiness.settings` in the scenario.";

/// Where a scenario is.
struct ScenarioFile {
    path: PathBuf,
    /// Whether the command line names it, and not only its folder.
    is_named: bool,
}

/// A scenario that can be played.
struct Ready {
    written: Written,
    grants: Arc<Grants>,
    interfaces: Vec<&'static str>,
    limits: Limits,
    executes: bool,
}

/// Plays them all, and reports each.
pub fn test(options: &ProbeTest) -> Result<u8, Failure> {
    let policies = policies_of(&options.layers)?;
    expect_permitted_reference(&policies, Some(&options.probe))?;
    let chosen = choose(&options.probe, &options.layers)?;
    let files = files(options, &chosen)?;
    let ready = prepared(&chosen, &files)?;
    for one in &ready {
        // Whatever its grants say, nothing outside of the scenario is reached.
        expect_permitted_trial(&policies, None, false, one.limits.memory, false)?;
    }
    // Compiling takes real time, and a stopped clock would take it for a wait.
    let loaded = CommandRuntime::start()?.run_alone(load_all(&chosen, &ready))?;
    let begun = Instant::now();
    let played = CommandRuntime::with_a_stopped_clock()?.run_alone(play_all(&loaded, &ready))?;
    let took = begun.elapsed();
    let all = || ready.iter().zip(&played);
    let has_passed = played.iter().all(|played| played.differences.is_empty());
    if options.format == Format::Json {
        let scenarios: Vec<Value> = all().map(|(ready, played)| as_json(&ready.written, played)).collect();
        let probe = json!({ "name": chosen.name, "sha256": chosen.file.digest });
        print_json(&json!({
            "probe": probe,
            "passed": has_passed,
            "took_ms": milliseconds(took),
            "scenarios": scenarios,
        }));
        return Ok(if has_passed { exit::SUCCESS } else { NOT_READY });
    }
    all().for_each(|(ready, played)| print(&human(&ready.written, played)));
    let failed = played.iter().filter(|played| !played.differences.is_empty()).count();
    let count = match played.len() {
        1 => "1 scenario".to_owned(),
        count => format!("{count} scenarios"),
    };
    print(&format!("{count}, {failed} failed, in {:.1} ms\n", milliseconds(took)));
    if has_passed {
        return Ok(exit::SUCCESS);
    }
    let problems = all().flat_map(|(ready, played)| problems(&ready.written, played)).collect();
    Err(Failure { exit: NOT_READY, problems })
}

/// The scenarios' files, in the order of the command line, those of a folder by their names.
fn files(options: &ProbeTest, chosen: &Chosen) -> Result<Vec<ScenarioFile>, Failure> {
    let beside = match &chosen.origin {
        Origin::File(path) if options.scenarios.is_empty() => vec![path.with_file_name(FOLDER)],
        _ => options.scenarios.clone(),
    };
    let mut files = Vec::new();
    for path in &beside {
        if path.is_dir() {
            files.extend(of_folder(path).map_err(|error| {
                let message = format!("the folder `{}` cannot be read: {error}", path.display());
                Problem::error(Code::ScenarioUnreadable, message)
                    .hint("Name the scenarios' files, or the folder itself if it is a link.")
            })?);
        } else if !options.scenarios.is_empty() {
            files.push(ScenarioFile { path: path.clone(), is_named: true });
        }
    }
    if files.is_empty() {
        let message = match beside.first() {
            Some(folder) => format!("there is no scenario in `{}`", folder.display()),
            None => "the command names no scenario".to_owned(),
        };
        let hint =
            "Name a scenario's file, or record one: `farrier probe check … --record scenarios/ready.toml`.";
        return Err(Problem::error(Code::Usage, message).hint(hint).into());
    }
    Ok(files)
}

fn of_folder(folder: &Path) -> std::io::Result<Vec<ScenarioFile>> {
    // A checkout's link could lead to any folder, and errors quote what is in it. Without the slash at the end, which follows it.
    let folder: PathBuf = folder.components().collect();
    if folder.is_symlink() {
        return Err(std::io::Error::other("it is a link"));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files.into_iter().map(|path| ScenarioFile { path, is_named: false }).collect())
}

/// Reads every scenario, and checks that the probe can be linked and configured as each says.
///
/// # Errors
/// All problems of all scenarios.
fn prepared(chosen: &Chosen, files: &[ScenarioFile]) -> Result<Vec<Ready>, Failure> {
    let mut ready = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    for file in files {
        let written = if file.is_named { read(&file.path) } else { read_found(&file.path) };
        match written.and_then(|written| of(chosen, written)) {
            Ok(one) => ready.push(one),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(ready) } else { Err(Failure::of(problems)) }
}

fn of(chosen: &Chosen, mut written: Written) -> Result<Ready, Vec<Problem>> {
    let is_built_in = matches!(chosen.origin, Origin::Shipped);
    let readiness = &mut written.scenario.readiness;
    readiness.probe = ProbeReference::Named(chosen.name.clone());
    let grants = effective(readiness, is_built_in);
    let interfaces = linked(&chosen.file, &grants, is_built_in);
    let executes = capabilities::needs(&interfaces).into_iter().any(EngineFeature::executes);
    let limits = Limits { poll: poll_limit(readiness, is_built_in && executes), ..readiness.limits };
    let settings = settings(&written);
    let file = written.file();
    let mut problems = ungranted(&chosen.file, &interfaces, &chosen.name, &file);
    if let Err(failure) = expect_described(chosen, &settings, CORRECT) {
        problems.extend(failure.problems.into_iter().map(|problem| problem.at(file.clone())));
    }
    if problems.is_empty() {
        Ok(Ready { written, grants: Arc::new(grants), interfaces, limits, executes })
    } else {
        Err(problems)
    }
}

fn settings(written: &Written) -> String {
    Value::Object(written.scenario.readiness.settings.clone()).to_string()
}

/// Loads the probe for each scenario, and lets it check the settings.
///
/// # Errors
/// Why it cannot be loaded, or all that it finds wrong with the settings.
async fn load_all(chosen: &Chosen, ready: &[Ready]) -> Result<Vec<LoadedProbe>, Failure> {
    let mut loaded: Vec<LoadedProbe> = Vec::with_capacity(ready.len());
    let mut problems = Vec::new();
    for one in ready {
        // Mostly, all scenarios of a probe grant the same.
        let known = ready.iter().zip(&loaded).find(|(other, _)| other.interfaces == one.interfaces);
        let probe = match known {
            Some((_, probe)) => probe.clone(),
            None => load(&chosen.file, &one.interfaces).await?,
        };
        let settings = settings(&one.written);
        let accepted = accept_settings(&probe, &chosen.name, &settings, CORRECT, one.limits).await;
        if let Err(failure) = accepted {
            let place = one.written.file();
            problems.extend(failure.problems.into_iter().map(|problem| problem.at(place.clone())));
        }
        loaded.push(probe);
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Failure::of(problems)) }
}

/// Plays the scenarios one after the other.
async fn play_all(loaded: &[LoadedProbe], ready: &[Ready]) -> Result<Vec<Played>, Failure> {
    let mut played = Vec::with_capacity(ready.len());
    for (one, probe) in ready.iter().zip(loaded) {
        let (grants, limits, executes) = (Arc::clone(&one.grants), one.limits, one.executes);
        played.push(Play { probe, scenario: &one.written.scenario, grants, limits, executes }.run().await);
    }
    Ok(played)
}

fn path(written: &Written) -> String {
    escape(&written.source.path.display().to_string())
}

fn human(written: &Written, played: &Played) -> String {
    let polls = match played.polls.len() {
        1 => "1 poll".to_owned(),
        count => format!("{count} polls"),
    };
    let word = if played.differences.is_empty() { "passed" } else { "FAILED" };
    let mut text = format!("{}: {word}, {polls}, {} by its clock\n", path(written), limit(played.took));
    if !played.differences.is_empty() {
        let hidden = played.polls.len().saturating_sub(SHOWN_POLLS);
        text.extend(
            played.polls.iter().enumerate().skip(hidden).map(|(index, poll)| poll_lines(index, poll)),
        );
    }
    text
}

fn poll_lines(index: usize, poll: &PlayedPoll) -> String {
    let (at, took) = (limit(poll.at), limit(poll.took));
    let mut text =
        format!("  poll {} at {at}, after {took}: {}\n", index + 1, escape(&answer(&poll.verdict)));
    for line in poll.trace.iter().flatten() {
        text.push_str(&format!("    wrote {}\n", escape(line)));
    }
    text
}

fn problems(written: &Written, played: &Played) -> Vec<Problem> {
    let problem = |(index, difference): (usize, &crate::readiness::scenario::Difference)| {
        let message = format!("poll {}: {}", difference.attempt, escape(&difference.what));
        let problem = Problem::error(Code::ScenarioFailed, message).at(written.place(difference.poll));
        match index {
            0 => problem.hint("Correct the probe, or the scenario if the probe does what you want."),
            _ => problem,
        }
    };
    played.differences.iter().enumerate().map(problem).collect()
}

fn as_json(written: &Written, played: &Played) -> Value {
    let poll = |poll: &PlayedPoll| {
        let (word, reason) = told(&poll.verdict);
        json!({
            "at_ms": milliseconds(poll.at),
            "took_ms": milliseconds(poll.took),
            "verdict": word,
            "reason": reason,
            "trace": poll.trace,
        })
    };
    json!({
        "file": written.source.path.display().to_string(),
        "description": written.scenario.description,
        "passed": played.differences.is_empty(),
        "took_by_its_clock_ms": milliseconds(played.took),
        "polls": played.polls.iter().map(poll).collect::<Vec<_>>(),
        "differences": played.differences.iter().map(|found| {
            let place = written.place(found.poll).line_column();
            json!({ "poll": found.attempt, "line": place.map(|(line, _)| line), "text": found.what })
        }).collect::<Vec<_>>(),
    })
}
