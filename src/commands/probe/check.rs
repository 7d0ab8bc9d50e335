//! `probe check`: a probe run against anything reachable, without an engine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Chosen, choose};
use crate::cli::{Format, ProbeCheck};
use crate::commands::data::{print, print_json};
use crate::definition::{Limits, escape};
use crate::elapsed::{limit, milliseconds};
use crate::error::{Code, Failure, Place, Problem};
use crate::exit;
use crate::probe::component::ComponentFile;
use crate::probe::dialler::DialError;
use crate::probe::grants::ungranted;
use crate::probe::host::{LoadError, LoadedProbe, ProbeHost, Verdict};
use crate::probe::rehearsal::{Address, Answer, Deed, Rehearsal, Rehearsed, parse_address};
use crate::runtime::Stage;
use crate::settings::own_folders;

/// The exit code of a probe that did not say ready.
const NOT_READY: u8 = 1;

/// Runs it and prints what it answered and did.
pub fn check(options: &ProbeCheck) -> Result<u8, Failure> {
    let usage = |message: String, hint: &str| Failure::from(Problem::error(Code::Usage, message).hint(hint));
    let target = parse_address(&options.target)
        .map_err(|reason| usage(format!("`--target`: {reason}"), "Write it as HOST:PORT."))?;
    let granted = Rehearsed::parse(&options.grants, &target)
        .map_err(|reason| usage(reason, "`farrier probe check --help` shows all forms."))?;
    let settings = settings(&options.settings)?;
    let chosen = choose(&options.probe, &options.layers)?;
    expect_granted(&chosen, &granted)?;
    let limits = Limits { memory: options.memory, poll: options.poll };
    let timeout = options.watch.then_some(options.timeout);
    let mut stage = Stage::start()?;
    let (verdict, answers) = stage.run(async {
        let (probe, name) = (load(&chosen.file, &granted).await?, chosen.name.as_str());
        accept_settings(&probe, name, &settings, limits).await?;
        let rehearsal = Rehearsal { probe, target: target.clone(), granted, settings, limits, timeout };
        let mut answers = Vec::new();
        let verdict = rehearsal.run(|answer| match options.format {
            Format::Human => print(&human(answer, limits)),
            Format::Json => answers.push(as_json(answer)),
        });
        let verdict = verdict.await.map_err(|error| {
            let message = format!("the log cannot be read: {error}");
            usage(message, "Name a regular file with `--grant logs=FILE`.")
        })?;
        Ok((verdict, answers))
    })?;
    let ready = verdict == Verdict::Ready;
    if options.format == Format::Json {
        let report = report(&chosen, &target, ready, &answers);
        print_json(&report);
    }
    Ok(if ready { exit::SUCCESS } else { NOT_READY })
}

fn settings(text: &str) -> Result<String, Failure> {
    let problem = |message: String| {
        let hint = "Write one JSON object, for example `--settings '{\"path\":\"/health\"}'`.";
        Failure::from(Problem::error(Code::Usage, message).hint(hint))
    };
    let value: Value =
        serde_json::from_str(text).map_err(|error| problem(format!("`--settings` is not JSON: {error}")))?;
    if value.is_object() {
        Ok(value.to_string())
    } else {
        Err(problem("`--settings` is not an object".to_owned()))
    }
}

/// As in a definition, what it imports must be granted; here by options.
fn expect_granted(chosen: &Chosen, granted: &Rehearsed) -> Result<(), Failure> {
    let place = Place::file(std::path::Path::new(&chosen.name));
    let mut problems = ungranted(&chosen.file, &granted.interfaces(), &chosen.name, &place);
    for problem in &mut problems {
        problem.place = None;
        for (interface, option) in [
            ("exec", "Grant it with `--grant 'exec=[\"command\",\"argument\"]'`."),
            ("health", "Grant it with `--grant health=healthy`."),
            ("logs", "Grant it with `--grant logs=FILE`."),
        ] {
            if problem.message.contains(&format!("imports farrier:probe/{interface}@")) {
                problem.message =
                    format!("the probe `{}` imports `{interface}`, which is not granted", chosen.name);
                problem.hints = vec![option.to_owned()];
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

async fn load(file: &ComponentFile, granted: &Rehearsed) -> Result<LoadedProbe, Failure> {
    let (cache, state) = own_folders();
    let host = Arc::new(ProbeHost::new(cache, state));
    let file = Arc::new(file.clone());
    host.load_in_time(&file, &granted.interfaces()).await.map_err(|error| {
        let problem =
            error.problem(Code::ProbeInvalid, |reason| format!("the probe cannot be loaded: {reason}"));
        let problem = match error {
            LoadError::Component(_) => problem.hint("Build the component again."),
            LoadError::Limit(_) => problem,
        };
        problem.into()
    })
}

async fn accept_settings(
    probe: &LoadedProbe,
    name: &str,
    settings: &str,
    limits: Limits,
) -> Result<(), Failure> {
    let problems = match probe.validate(settings, limits).await {
        Ok(found) => found.into_iter().map(|wrong| {
            let dot = if wrong.path.is_empty() { "" } else { "." };
            let message = format!("settings{dot}{}: {}", escape(&wrong.path), escape(&wrong.message));
            Problem::error(Code::ProbeSettings, message)
                .hint(format!("Correct the settings of the probe `{name}` with `--settings`."))
        }),
        Err(crash) => {
            let message = format!("the probe `{name}` cannot check its settings: {crash}");
            return Err(Failure {
                exit: NOT_READY,
                problems: vec![Problem::error(Code::ProbeCrashed, message).hint("Tell the probe's author.")],
            });
        }
    };
    let problems: Vec<Problem> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}

/// The word for a verdict, and what it says.
fn told(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Ready => ("ready", None),
        Verdict::Pending { reason, .. } => ("pending", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
        Verdict::Crashed(reason) => ("crashed", Some(reason)),
        Verdict::TimedOut => ("timed-out", None),
    }
}

fn short(time: Duration) -> String {
    format!("{:.1} ms", milliseconds(time))
}

fn human(answer: &Answer, limits: Limits) -> String {
    let (word, reason) = told(&answer.verdict);
    let reason = match (&answer.verdict, reason) {
        (Verdict::TimedOut, _) => format!(": no answer within {}", limit(limits.poll)),
        (_, Some(reason)) => format!(": {}", escape(reason)),
        (_, None) => String::new(),
    };
    let last = answer.attempt + answer.times - 1;
    let polls = if answer.times == 1 {
        format!("poll {last}")
    } else {
        format!("polls {} to {last}", answer.attempt)
    };
    let at = answer.at.as_secs_f64();
    let mut text = format!("{polls} at {at:.3} s, after {}: {word}{reason}\n", short(answer.took));
    if let Verdict::Pending { retry_after, extend, .. } = &answer.verdict {
        for (meaning, time) in
            [("asks for the next poll after", retry_after), ("asks for more time:", extend)]
        {
            if let Some(time) = time {
                text.push_str(&format!("  {meaning} {}\n", limit(*time)));
            }
        }
    }
    for deed in &answer.deeds {
        text.push_str(&format!("  {}\n", deed_line(deed)));
    }
    for line in &answer.trace {
        text.push_str(&format!("  wrote {}\n", escape(line)));
    }
    text
}

fn deed_line(deed: &Deed) -> String {
    let place = if deed.name == deed.address.to_string() {
        deed.name.clone()
    } else {
        format!("{} ({})", deed.name, deed.address)
    };
    let took = short(deed.took);
    if let Some(error) = &deed.error {
        return format!("dialled {place}: {} after {took}", dial_error(error));
    }
    let ended = if deed.ended { ", until its end" } else { "" };
    format!(
        "dialled {place}: connected after {took}, wrote {} bytes, read {} bytes{ended}",
        deed.written, deed.read
    )
}

fn dial_error(error: &DialError) -> &str {
    match error {
        DialError::Refused => "refused",
        DialError::TimedOut => "timed out",
        DialError::Other(text) => text,
    }
}

fn as_json(answer: &Answer) -> Value {
    let (word, reason) = told(&answer.verdict);
    let deed = |deed: &Deed| {
        json!({
            "dialled": deed.name,
            "address": deed.address.to_string(),
            "took_ms": milliseconds(deed.took),
            "error": deed.error.as_ref().map(dial_error),
            "written": deed.written,
            "read": deed.read,
            "ended": deed.ended,
        })
    };
    json!({
        "attempt": answer.attempt,
        "times": answer.times,
        "at_ms": milliseconds(answer.at),
        "took_ms": milliseconds(answer.took),
        "verdict": word,
        "reason": reason,
        "dials": answer.deeds.iter().map(deed).collect::<Vec<_>>(),
        "trace": answer.trace,
    })
}

fn report(chosen: &Chosen, target: &Address, ready: bool, answers: &[Value]) -> Value {
    json!({
        "probe": chosen.name,
        "sha256": chosen.file.digest,
        "target": target.to_string(),
        "ready": ready,
        "answers": answers,
    })
}
