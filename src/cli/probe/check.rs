//! `probe check`: a probe run against anything reachable, without an engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::bounded::{expect_permitted_reference, expect_permitted_trial};
use super::check_record::{self, Record};
use super::declared::Declared;
use super::registries::policies_of;
use super::trial::{NOT_READY, accept_settings, expect_described, load, told};
use super::{Chosen, Origin, choose};
use crate::cli::data::{print, print_json};
use crate::cli::options::{Format, ProbeCheck};
use crate::cli::runtime::CommandRuntime;
use crate::cli::settings::layer_directories;
use crate::definition::Limits;
use crate::engine::dialler::DialError;
use crate::event::record::UsageRecord;
use crate::probe::grants::{effective, linked, only_dials, tls_for, uncovered, ungranted};
use crate::probe::guest::Verdict;
use crate::probe::usage::Usage;
use crate::readiness::dry_run::{Address, Answer, Deed, DryGrants, DryRun, Stand, parse_address};
use crate::readiness::schedule::Terms;
use crate::report::elapsed::{limit, milliseconds};
use crate::report::error::{Code, Failure, Place, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// The default timeout of a definition.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs it and prints what it answered and did.
pub fn check(options: &ProbeCheck) -> Result<u8, Failure> {
    let target = parse_address(&options.target)
        .map_err(|reason| usage(format!("`--target`: {reason}"), "Write it as HOST:PORT."))?;
    let declared = options
        .definition
        .as_deref()
        .map(|file| Declared::read(file, options.probe.as_deref()))
        .transpose()?;
    let declared = declared.as_ref();
    let stand = match declared {
        Some(declared) => declared.stand(&target),
        None => Stand { own: target.clone(), target: target.clone() },
    };
    // Mistakes in the options come before anything about the component.
    let mut granted = DryGrants::parse(&options.grants, &stand).map_err(misused)?;
    let settings = match (&options.settings, declared) {
        (Some(text), _) => settings(text)?,
        (None, Some(declared)) => Value::Object(declared.readiness.settings.clone()).to_string(),
        (None, None) => "{}".to_owned(),
    };
    let policies = policies_of(&options.layers)?;
    expect_permitted_reference(&policies, options.probe.as_deref())?;
    let chosen = match (&options.probe, declared) {
        (None, Some(declared)) => declared.probe(&layer_directories(&options.layers))?,
        (probe, _) => choose(probe.as_deref().unwrap_or_default(), &options.layers)?,
    };
    let grants = if let Some(Declared { definition, readiness }) = declared {
        let is_built_in = matches!(chosen.origin, Origin::Shipped);
        let grants = effective(readiness, is_built_in);
        if let Some(problem) = uncovered(definition, readiness, &grants).filter(|_| is_built_in) {
            return Err(problem.into());
        }
        let declared = DryGrants::declared(definition, readiness, &grants, &options.grants, &stand);
        granted = declared.map_err(|missing| {
            let problem = |text| Problem::error(Code::Usage, text).hint(HELP);
            Failure::of(missing.into_iter().map(problem).collect())
        })?;
        grants
    } else {
        if matches!(chosen.origin, Origin::Shipped) {
            let map = serde_json::from_str(&settings).unwrap_or_default();
            let tls = tls_for(&chosen.name, &map, &granted.as_grants(&stand));
            tls.map_or(Ok(()), |tls| granted.add_tls(tls)).map_err(misused)?;
        }
        granted.as_grants(&stand)
    };
    let interfaces = linked(&chosen.file, &grants, matches!(chosen.origin, Origin::Shipped));
    expect_granted(&chosen, &interfaces, declared.is_some())?;
    let (limits, watch) = limits(options, declared)?;
    let tls = granted.tls.as_ref().map(|(grant, _)| grant).or(grants.tls.as_ref());
    let is_insecure = tls.is_some_and(|tls| tls.insecure);
    expect_permitted_trial(&policies, declared, is_insecure, limits.memory, options.run_commands)?;
    if declared.is_none() || options.settings.is_some() {
        expect_described(&chosen, &settings, &correct_settings(&chosen.name))?;
    }
    let record = options.record.as_deref().map(Record::to);
    granted.runs_commands = options.run_commands;
    let mut runtime = CommandRuntime::start()?;
    let (verdict, used, answers, recorded) = runtime.run(async {
        let (probe, name) = (load(&chosen.file, &interfaces).await?, chosen.name.as_str());
        accept_settings(&probe, name, &settings, &correct_settings(name), limits).await?;
        let only_dials = only_dials(&chosen.file, &interfaces);
        let grants = Arc::new(grants);
        let dry_run = DryRun { probe, only_dials, stand, granted, grants, settings, limits, watch };
        let mut answers = Vec::new();
        let mut recording = record.as_ref().map(|record| record.begin(&dry_run)).transpose()?;
        let verdict = dry_run.run(recording.as_mut(), |answer| match options.format {
            Format::Human => print(&human(answer, limits)),
            Format::Json => answers.push(as_json(answer)),
        });
        let (verdict, used) = verdict.await.map_err(|error| {
            let message = format!("a granted log or folder cannot be read: {error}");
            usage(message, "Name a regular file with `--grant logs=FILE`.")
        })?;
        Ok((verdict, used, answers, recording))
    })?;
    let written = match record.zip(recorded) {
        Some((record, recording)) => Some(record.write(&chosen.name, &target, recording)?),
        None => None,
    };
    let ready = verdict == Verdict::Ready;
    match options.format {
        Format::Human if used.is_empty() => print("the probe used nothing of its grants\n"),
        Format::Human => print(&format!("the probe {}\n", escape(&used.to_string()))),
        Format::Json => print_json(&report(
            &chosen,
            &target,
            &answers,
            &used,
            (ready, written.as_ref().map(|written| written.file.as_path())),
        )),
    }
    if let (Format::Human, Some(written)) = (options.format, &written) {
        print(&check_record::told(written));
    }
    Ok(if ready { exit::SUCCESS } else { NOT_READY })
}

/// The most dials of one poll that are shown.
const SHOWN_DIALS: usize = 100;

const HELP: &str = "`farrier probe check --help` shows all forms.";

fn usage(message: String, hint: &str) -> Failure {
    Failure::from(Problem::error(Code::Usage, message).hint(hint))
}

fn misused(reason: String) -> Failure {
    usage(reason, HELP)
}

/// The limits of one poll, and with `--watch` the terms of the wait. Options win over the definition.
///
/// # Errors
/// If the timeout is too short for the successes that the definition requires.
fn limits(options: &ProbeCheck, declared: Option<&Declared>) -> Result<(Limits, Option<Terms>), Failure> {
    let readiness = declared.map(|declared| &declared.readiness);
    let limits = readiness.map_or_else(Limits::default, |readiness| readiness.limits);
    let limits =
        Limits { memory: options.memory.unwrap_or(limits.memory), poll: options.poll.unwrap_or(limits.poll) };
    let timeout = options.timeout.or(readiness.map(|readiness| readiness.timeout)).unwrap_or(TIMEOUT);
    let own = readiness.filter(|_| options.timeout.is_none()).map(|readiness| readiness.max_timeout);
    let max_timeout = options.max_timeout.or(own).unwrap_or(timeout.saturating_mul(2)).max(timeout);
    let (successes, interval) =
        readiness.map_or((1, Duration::ZERO), |readiness| (readiness.successes, readiness.interval));
    if !options.watch {
        return Ok((limits, None));
    }
    if interval.saturating_mul(successes.saturating_sub(1)) >= timeout {
        let apart = limit(interval);
        let message = format!("`--timeout` is too short for {successes} successes that are {apart} apart");
        return Err(usage(
            message,
            "Raise `--timeout`, or leave it out: the definition's timeout is long enough.",
        ));
    }
    Ok((limits, Some(Terms { timeout, max_timeout, successes, interval })))
}

fn settings(text: &str) -> Result<String, Failure> {
    let problem = |message: String| {
        usage(message, "Write one JSON object, for example `--settings '{\"path\":\"/health\"}'`.")
    };
    let value: Value =
        serde_json::from_str(text).map_err(|error| problem(format!("`--settings` is not JSON: {error}")))?;
    if value.is_object() {
        Ok(value.to_string())
    } else {
        Err(problem("`--settings` is not an object".to_owned()))
    }
}

/// Checks that the definition, or without one the options, grant every import of the probe.
fn expect_granted(chosen: &Chosen, interfaces: &[&str], by_definition: bool) -> Result<(), Failure> {
    let place = Place::file(std::path::Path::new(&chosen.name));
    let mut problems = ungranted(&chosen.file, interfaces, &chosen.name, &place);
    for problem in &mut problems {
        problem.place = None;
        if by_definition {
            continue;
        }
        for (interface, option) in [
            (
                "exec",
                "Commands need a container, and `farrier probe check` has none: try the probe with `farrier up`, or let \
                 commands return an error with `--grant 'exec=[\"command\",\"argument\"]'`; `--run-commands` runs them on \
                 this host.",
            ),
            (
                "tls",
                "Grant it with `--grant tls`, which verifies with this machine's authorities, `--grant tls=ca.pem` or \
                 `--grant tls=insecure`.",
            ),
            ("health", "Grant it with `--grant health=healthy`."),
            ("logs", "Grant it with `--grant logs=FILE`."),
            ("env", "Grant it with `--grant env=NAME=VALUE`."),
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

fn correct_settings(name: &str) -> String {
    format!("Correct the settings of the probe `{name}` with `--settings`.")
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
    if let Some(time) = answer.extended_to {
        text.push_str(&format!("  the deadline is now {} after the start\n", limit(time)));
    }
    for deed in answer.deeds.iter().take(SHOWN_DIALS) {
        text.push_str(&format!("  {}\n", deed_line(deed)));
    }
    if let Some(more) = answer.deeds.len().checked_sub(SHOWN_DIALS).filter(|more| *more > 0) {
        text.push_str(&format!("  dialled {more} more times\n"));
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
    let ended = if deed.ended { ", until the stream ended" } else { "" };
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
        "extended_to_ms": answer.extended_to.map(milliseconds),
        "dials": answer.deeds.iter().map(deed).collect::<Vec<_>>(),
        "trace": answer.trace,
    })
}

fn report(
    chosen: &Chosen,
    target: &Address,
    answers: &[Value],
    used: &Usage,
    (ready, recorded): (bool, Option<&Path>),
) -> Value {
    json!({
        "probe": chosen.name,
        "sha256": chosen.file.digest,
        "target": target.to_string(),
        "ready": ready,
        "answers": answers,
        "recorded": recorded.map(|file| file.display().to_string()),
        "used": UsageRecord::of(&chosen.name, used),
    })
}
