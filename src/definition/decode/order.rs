//! What a sidecar comes after, what its end means, and what jobs may not have.

use std::time::Duration;

use super::interface;
use crate::definition::keys::{ContainerKeys, RestartPolicy};
use crate::definition::model::Interface;
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::order::{After, JOB_TIMEOUT, OnExit, Reached};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

const AFTER_HINT: &str =
    "Write names, or `{ sidecar = \"migrate\", until = \"succeeded\" }`: `after = [\"db\"]`.";

/// Reads `after`; names and circles are checked once all definitions are known.
pub fn after(table: Table<'_>, reader: &mut Reader<'_>) -> Vec<After> {
    let Some(node) = table.get("after") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        reader.wrong("after", "a list", node, AFTER_HINT);
        return Vec::new();
    };
    let read = |(index, item)| entry(item, &format!("after[{index}]"), reader);
    items.iter().enumerate().filter_map(read).collect()
}

fn entry(item: &Node, field: &str, reader: &mut Reader<'_>) -> Option<After> {
    if !matches!(item.value, Value::Table(_)) {
        return Some(After { sidecar: reader.string(item, field)?, until: Reached::default() });
    }
    let table = reader.table(item, field, schema::After::KEYS, &item.span)?;
    let Some(node) = table.get("sidecar") else {
        reader.missing(&format!("{field}.sidecar"), AFTER_HINT, table.span);
        return None;
    };
    let sidecar = reader.string(node, &format!("{field}.sidecar"))?;
    let Some(node) = table.get("until") else { return Some(After { sidecar, until: Reached::default() }) };
    let until = word(node).and_then(|word| Reached::ALL.into_iter().find(|until| until.as_str() == word));
    if until.is_none() {
        let hint = "Write `until = \"ready\"`, which is the default.";
        reader.wrong(&format!("{field}.until"), "\"started\", \"ready\" or \"succeeded\"", node, hint);
    }
    Some(After { sidecar, until: until? })
}

/// Reads `on_exit`.
pub fn on_exit(table: Table<'_>, container: &ContainerKeys, reader: &mut Reader<'_>) -> OnExit {
    let Some(node) = table.get("on_exit") else { return OnExit::default() };
    let found = word(node).and_then(|word| OnExit::ALL.into_iter().find(|one| one.as_str() == word));
    if found.is_none() {
        let hint = "Write `on_exit = \"stop\"` to end the harness with the sidecar.";
        reader.wrong("on_exit", "\"warn\", \"stop\" or \"restart\"", node, hint);
    }
    let found = found.unwrap_or_default();
    let conflict = if container.job.is_some() {
        Some(("a job ends before the harness starts, so `on_exit` has no effect", "Remove `on_exit`."))
    } else if found != OnExit::Warn && container.restart.is_some() {
        Some((
            "`restart` lets the engine start the sidecar again, so `on_exit` has no effect",
            "Keep one of the two.",
        ))
    } else {
        None
    };
    if let Some((message, hint)) = conflict {
        let problem = Problem::error(Code::ConflictingFields, message).hint(hint);
        reader.report(problem, table.key_span("on_exit"));
    }
    found
}

fn word(node: &Node) -> Option<&str> {
    node.scalar().filter(|scalar| scalar.kind == ScalarKind::String).map(|scalar| scalar.text.as_str())
}

/// Reads what a job has in place of conditions: how long it may run.
pub fn job_timeout(
    table: Table<'_>,
    interface: &interface::Decoded,
    container: &ContainerKeys,
    reader: &mut Reader<'_>,
) -> Option<Duration> {
    let mut conflict = |key: &str, message: &str, hint: &str| {
        let problem = Problem::error(Code::ConflictingFields, message).hint(hint);
        reader.report(problem, table.key_span(key));
    };
    if matches!(container.restart, Some(RestartPolicy::Always | RestartPolicy::UnlessStopped)) {
        let message = "a job ends by itself, but `restart` would start it again each time";
        conflict("restart", message, "Write `restart = \"on-failure:3\"`, or remove it.");
    }
    if interface.value.as_ref().is_some_and(|interface| *interface != Interface::None) {
        let message = "a job ends before the harness starts, so the harness cannot reach it";
        conflict("interface", message, "Write `interface.kind = \"none\"`, or remove `job`.");
    }
    let Some(node) = table.get("readiness") else { return Some(JOB_TIMEOUT) };
    let Value::Table(entries) = &node.value else {
        let message = "a job is ready when it has ended with exit code 0, and has no other condition";
        conflict("readiness", message, "Keep one `[readiness]` with `timeout`, or remove it.");
        return None;
    };
    for entry in entries.iter().filter(|entry| entry.key != "timeout") {
        let message = format!(
            "`readiness.{}` has no meaning for a job, which is ready when it has ended with exit code 0",
            entry.key
        );
        let problem = Problem::error(Code::ConflictingFields, message);
        reader.report(problem.hint("Remove it; a job has only `readiness.timeout`."), &entry.key_span);
    }
    let timeout = Table::of(node).and_then(|readiness| readiness.get("timeout"));
    timeout.map_or(Some(JOB_TIMEOUT), |node| reader.duration(node, "readiness.timeout"))
}
