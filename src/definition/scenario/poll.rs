//! One poll of a scenario.

use std::time::Duration;

use super::bytes::bytes;
use super::{Command, CommandEnd, Expected, Health, HealthTest, MOST_POLLS, Poll, dial};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::{Reader, Table};
use crate::report::error::{Code, Problem};

const KEYS: [&str; 13] = [
    "at",
    "times",
    "every",
    "health",
    "health_test",
    "log",
    "dial",
    "exec",
    "expect",
    "reason",
    "retry_after",
    "extend",
    "took",
];
const TEST_KEYS: [&str; 3] = ["exit_code", "output", "takes"];
const COMMAND_KEYS: [&str; 6] = ["argv", "exit_code", "stdout", "stderr", "fails", "takes"];
const VERDICTS: [&str; 5] = ["ready", "pending", "failed", "crashed", "timed-out"];

/// The words for the engine's health status.
const HEALTH: [(&str, Health); 4] = [
    ("starting", Health::Starting),
    ("healthy", Health::Healthy),
    ("unhealthy", Health::Unhealthy),
    ("none", Health::None),
];

/// The word for a health status.
#[must_use]
pub fn health_word(health: Health) -> &'static str {
    HEALTH.iter().find(|(_, known)| *known == health).map_or("none", |(word, _)| word)
}

/// The word for what a probe has to answer.
#[must_use]
pub const fn expected_word(expected: &Expected) -> &'static str {
    match expected {
        Expected::Ready => "ready",
        Expected::Pending { .. } => "pending",
        Expected::Failed(_) => "failed",
        Expected::Crashed(_) => "crashed",
        Expected::TimedOut => "timed-out",
    }
}

/// Reads a poll; `None` if something is wrong with it.
pub fn decode(node: &Node, field: &str, has_port: bool, reader: &mut Reader<'_>) -> Option<Poll> {
    let span = node.span.clone();
    let table = reader.table(node, field, &KEYS, &span)?;
    let mut interval = |key: &str| {
        let node = table.get(key)?;
        reader.interval(node, &format!("{field}.{key}"))
    };
    let (at, every, took) = (interval("at"), interval("every"), interval("took"));
    let times: Option<u32> = match table.get("times") {
        Some(node) => {
            let count = reader.whole_number(node, &format!("{field}.times"), 1, MOST_POLLS);
            count.and_then(|count| count.try_into().ok())
        }
        None => Some(1),
    };
    if every.is_some() && times == Some(1) {
        let message = format!("`{field}.every` has no effect without `times`");
        let problem =
            Problem::error(Code::ConflictingFields, message).hint("Add `times`, or remove `every`.");
        reader.report(problem, table.key_span("every"));
    }
    let expected = expected(table, field, reader);
    let log = match table.get("log") {
        Some(node) => reader.strings(node, &format!("{field}.log"))?,
        None => Vec::new(),
    };
    let health = table.get("health").map(|node| health(node, &format!("{field}.health"), reader));
    let health_test =
        table.get("health_test").map(|node| test(node, &format!("{field}.health_test"), reader));
    let dials =
        each(table, "dial", field, reader, |item, field, reader| dial::decode(item, field, has_port, reader));
    let commands = each(table, "exec", field, reader, command);
    Some(Poll {
        at,
        times: times?,
        every,
        health: match health {
            Some(health) => Some(health?),
            None => None,
        },
        health_test: match health_test {
            Some(test) => Some(test?),
            None => None,
        },
        log,
        dials: dials?,
        commands: commands?,
        expected: expected?,
        took,
    })
}

/// Reads a list of tables; `None` if one of them is wrong.
fn each<T>(
    table: Table<'_>,
    key: &str,
    field: &str,
    reader: &mut Reader<'_>,
    one: impl Fn(&Node, &str, &mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(node) = table.get(key) else { return Some(Vec::new()) };
    let field = format!("{field}.{key}");
    let items = reader.list(node, &field, "tables")?;
    let items: Vec<Option<T>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| one(item, &format!("{field}[{index}]"), reader))
        .collect();
    items.into_iter().collect()
}

fn expected(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<Expected> {
    const HINT: &str = "Write what the probe has to answer: \"ready\", \"pending\", \"failed\", \"crashed\" or \"timed-out\".";
    let name = format!("{field}.expect");
    let Some(node) = table.get("expect") else {
        reader.missing(&name, HINT, table.span);
        return None;
    };
    let word = reader.string(node, &name)?;
    if !VERDICTS.contains(&word.as_str()) {
        reader.wrong(&name, "a verdict", node, HINT);
        return None;
    }
    let allowed: &[&str] = match word.as_str() {
        "pending" => &["reason", "retry_after", "extend"],
        "failed" | "crashed" => &["reason"],
        _ => &[],
    };
    for key in ["reason", "retry_after", "extend"] {
        if table.get(key).is_some() && !allowed.contains(&key) {
            let message = format!("`{field}.{key}` has no effect beside `expect = \"{word}\"`");
            let hint = "Remove it, or expect another verdict.";
            reader.report(Problem::error(Code::ConflictingFields, message).hint(hint), table.key_span(key));
        }
    }
    let reason = table.get("reason").and_then(|node| text(node, &format!("{field}.reason"), reader));
    let mut time = |key: &str| {
        let node = table.get(key)?;
        reader.interval(node, &format!("{field}.{key}"))
    };
    let (retry_after, extend) = (time("retry_after"), time("extend"));
    Some(match word.as_str() {
        "ready" => Expected::Ready,
        "pending" => Expected::Pending { reason, retry_after, extend },
        "failed" => Expected::Failed(reason),
        "crashed" => Expected::Crashed(reason),
        _ => Expected::TimedOut,
    })
}

/// A string, which may be empty.
pub fn text(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<String> {
    match node.scalar() {
        Some(scalar) if scalar.kind == ScalarKind::String => Some(scalar.text.clone()),
        _ => {
            reader.wrong(field, "a string", node, "Put the value in quotes.");
            None
        }
    }
}

fn health(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Health> {
    let word = text(node, field, reader)?;
    let found = HEALTH.iter().find(|(known, _)| *known == word).map(|(_, health)| *health);
    if found.is_none() {
        let hint = "Write \"starting\", \"healthy\", \"unhealthy\", or \"none\" for a container without a health test.";
        reader.wrong(field, "a health status", node, hint);
    }
    found
}

/// How long something takes; no time if nothing says it.
pub fn takes(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<Duration> {
    match table.get("takes") {
        Some(node) => reader.interval(node, &format!("{field}.takes")),
        None => Some(Duration::ZERO),
    }
}

fn exit_code(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<u8> {
    match table.get("exit_code") {
        Some(node) => {
            reader.whole_number(node, &format!("{field}.exit_code"), 0, u8::MAX.into())?.try_into().ok()
        }
        None => Some(0),
    }
}

fn output(table: Table<'_>, key: &str, field: &str, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    match table.get(key) {
        Some(node) => bytes(node, &format!("{field}.{key}"), reader),
        None => Some(Vec::new()),
    }
}

fn test(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<HealthTest> {
    let span = node.span.clone();
    let table = reader.table(node, field, &TEST_KEYS, &span)?;
    let exit_code = exit_code(table, field, reader);
    let output = output(table, "output", field, reader);
    let takes = takes(table, field, reader);
    Some(HealthTest { exit_code: exit_code?, output: output?, takes: takes? })
}

fn command(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Command> {
    let span = node.span.clone();
    let table = reader.table(node, field, &COMMAND_KEYS, &span)?;
    let argv = if let Some(node) = table.get("argv") {
        reader.program(node, &format!("{field}.argv"))
    } else {
        let hint = "Write the command's arguments: `argv = [\"pg_isready\"]`.";
        reader.missing(&format!("{field}.argv"), hint, table.span);
        None
    };
    let takes = takes(table, field, reader);
    let end = if let Some(reason) = table.get("fails") {
        for key in ["exit_code", "stdout", "stderr"].iter().filter(|key| table.get(key).is_some()) {
            let message = format!("`{field}.{key}` has no effect beside `fails`: the command does not run");
            let problem = Problem::error(Code::ConflictingFields, message).hint("Keep one of the two.");
            reader.report(problem, table.key_span(key));
        }
        reader.string(reason, &format!("{field}.fails")).map(CommandEnd::CannotRun)
    } else {
        let exit_code = exit_code(table, field, reader);
        let stdout = output(table, "stdout", field, reader);
        let stderr = output(table, "stderr", field, reader);
        exit_code.zip(stdout.zip(stderr)).map(|(exit_code, (stdout, stderr))| CommandEnd::Exits {
            exit_code,
            stdout,
            stderr,
        })
    };
    Some(Command { argv: argv?, takes: takes?, end: end? })
}
