//! A tree to a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{DATE, MOST_POLLS, Scenario, Written, poll};
use crate::definition::decode::readiness_of_scenario;
use crate::definition::names::is_sidecar_host;
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Reader, Table};
use crate::report::error::{Code, Problem, Source};

const KEYS: [&str; 8] = ["description", "sidecar", "port", "env", "seed", "date", "readiness", "poll"];
/// The name of the sidecar if a scenario gives it none.
const SIDECAR: &str = "sidecar";

/// Reads a scenario, and reports all that is wrong with it.
///
/// # Errors
/// All problems.
pub fn decode(root: &Node, source: &Arc<Source>) -> Result<Written, Vec<Problem>> {
    let mut reader = Reader::of_scenario(source);
    let decoded = scenario(root, &mut reader);
    let problems = reader.into_problems();
    match decoded {
        Some((scenario, spans)) if problems.is_empty() => {
            Ok(Written { scenario, source: Arc::clone(source), spans })
        }
        _ => Err(problems),
    }
}

fn scenario(root: &Node, reader: &mut Reader<'_>) -> Option<(Scenario, Vec<std::ops::Range<usize>>)> {
    let start = 0..0;
    let table = reader.table(root, "", &KEYS, &start)?;
    let description = table.get("description").and_then(|node| reader.string(node, "description"));
    let sidecar = match table.get("sidecar") {
        Some(node) => name(node, reader),
        None => Some(SIDECAR.to_owned()),
    };
    let port = table.get("port").and_then(|node| reader.port(node, "port"));
    let env = variables(table, reader);
    let seed = match table.get("seed") {
        Some(node) => reader.whole_number(node, "seed", 0, i64::MAX.unsigned_abs()),
        None => Some(0),
    };
    let date = date(table, reader);
    let readiness = readiness_of_scenario(table, port.is_some(), &env, reader);
    let (polls, spans) = polls(table, port.is_some(), reader)?;
    let (sidecar, seed, date, readiness) = (sidecar?, seed?, date?, readiness?);
    Some((Scenario { description, sidecar, port, env, seed, date, readiness, polls }, spans))
}

fn name(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.string(node, "sidecar")?;
    // A probe that is tried without a definition dials its target by the target's address.
    if is_sidecar_host(&name) || name.parse::<std::net::IpAddr>().is_ok() {
        return Some(name);
    }
    reader.wrong("sidecar", "the name of a sidecar", node, "Write it as in the definition's file name.");
    None
}

fn variables(table: Table<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let Some(node) = table.get("env") else { return BTreeMap::new() };
    let Value::Table(entries) = &node.value else {
        reader.wrong("env", "a table", node, "Write `env = { NAME = \"value\" }`.");
        return BTreeMap::new();
    };
    let value = |entry: &crate::definition::node::Entry, reader: &mut Reader<'_>| match entry.value.scalar() {
        Some(scalar) if scalar.kind == ScalarKind::String => Some(scalar.text.clone()),
        _ => {
            reader.wrong(&format!("env.{}", entry.key), "a string", &entry.value, "Put the value in quotes.");
            None
        }
    };
    let found = entries.iter().filter_map(|entry| value(entry, reader).map(|text| (entry.key.clone(), text)));
    found.collect()
}

fn date(table: Table<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
    let Some(node) = table.get("date") else { return Some(DATE) };
    let text = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
    let moment = text.parse::<jiff::Timestamp>().ok();
    let since_1970 =
        moment.and_then(|moment| Duration::try_from(moment.duration_since(jiff::Timestamp::UNIX_EPOCH)).ok());
    if since_1970.is_none() {
        let hint = "Write it with its time zone: `date = 2026-01-01T00:00:00Z`.";
        reader.wrong("date", "a moment from 1970 to 9999", node, hint);
    }
    since_1970
}

fn polls(
    table: Table<'_>,
    has_port: bool,
    reader: &mut Reader<'_>,
) -> Option<(Vec<super::Poll>, Vec<std::ops::Range<usize>>)> {
    const HINT: &str =
        "Write a table `[[poll]]` for each poll, with what the probe has to answer: `expect = \"ready\"`.";
    let Some(node) = table.get("poll") else {
        reader.missing("poll", HINT, table.span);
        return None;
    };
    let items = reader.list(node, "poll", "tables")?;
    if items.is_empty() {
        reader.missing("poll", HINT, &node.span);
        return None;
    }
    let mut polls = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        polls.push(poll::decode(item, &format!("poll[{index}]"), has_port, reader));
    }
    let polls: Vec<_> = polls.into_iter().collect::<Option<_>>()?;
    let count: u64 = polls.iter().map(|poll| u64::from(poll.times)).sum();
    if count > MOST_POLLS {
        let message = format!("the scenario has {count} polls, and may have {MOST_POLLS}");
        let hint = "Leave out polls that show nothing new, or lower `times`.";
        reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
        return None;
    }
    Some((polls, items.iter().map(|item| item.span.clone()).collect()))
}
