//! One dial of a scenario's poll, and what happens over its connection.

use super::bytes::{bytes, pattern};
use super::poll::{takes, text};
use super::{Dial, Outcome, Step, TlsFailure};
use crate::definition::decode::dial_grant;
use crate::definition::grants::DialGrant;
use crate::definition::node::Node;
use crate::definition::reader::{Reader, Table};
use crate::report::error::{Code, Problem};

const KEYS: [&str; 4] = ["to", "takes", "result", "steps"];
/// What a step is; each has one of these keys.
const STEPS: [&str; 7] = ["expects", "sends", "waits", "stalls", "breaks", "shakes_hands", "fails_tls"];
const STEP_KEYS: [&str; 11] = [
    "expects",
    "sends",
    "waits",
    "stalls",
    "breaks",
    "shakes_hands",
    "fails_tls",
    "server_name",
    "protocols",
    "protocol",
    "reason",
];

/// The words for failures of a handshake.
const FAILURES: [(&str, TlsFailure); 7] = [
    ("not-tls", TlsFailure::NotTls),
    ("untrusted", TlsFailure::Untrusted),
    ("expired", TlsFailure::Expired),
    ("wrong-name", TlsFailure::WrongName),
    ("handshake", TlsFailure::Handshake),
    ("closed", TlsFailure::Closed),
    ("other", TlsFailure::Other),
];

/// The word for a failure of a handshake.
#[must_use]
pub fn tls_word(failure: TlsFailure) -> &'static str {
    FAILURES.iter().find(|(_, known)| *known == failure).map_or("handshake", |(word, _)| word)
}

/// Reads a dial; `None` if something is wrong with it.
pub fn decode(node: &Node, field: &str, has_port: bool, reader: &mut Reader<'_>) -> Option<Dial> {
    let span = node.span.clone();
    let table = reader.table(node, field, &KEYS, &span)?;
    let to = to(table, field, has_port, reader);
    let takes = takes(table, field, reader);
    let result = match table.get("result") {
        Some(node) => reader.string(node, &format!("{field}.result"))?,
        None => "connected".to_owned(),
    };
    if result != "connected" && table.get("steps").is_some() {
        let message = format!("`{field}.steps` has no effect: the result is \"{result}\"");
        let problem = Problem::error(Code::ConflictingFields, message).hint("Keep one of the two.");
        reader.report(problem, table.key_span("steps"));
    }
    let outcome = match result.as_str() {
        "connected" => steps(table, field, reader).map(Outcome::Connected),
        "refused" => Some(Outcome::Refused),
        "timed-out" => Some(Outcome::TimedOut),
        "unresolved" => Some(Outcome::Unresolved),
        words => Some(Outcome::Fails(words.to_owned())),
    };
    Some(Dial { to: to?, takes: takes?, outcome: outcome? })
}

fn to(table: Table<'_>, field: &str, has_port: bool, reader: &mut Reader<'_>) -> Option<DialGrant> {
    let Some(node) = table.get("to") else {
        if has_port {
            return Some(DialGrant::This(None));
        }
        let hint = "Write `to = \"self:PORT\"`, or declare the sidecar's `port`.";
        reader.missing(&format!("{field}.to"), hint, table.span);
        return None;
    };
    let written = reader.string(node, &format!("{field}.to"))?;
    match dial_grant(&written, Some(has_port)) {
        Ok(place) => Some(place),
        Err(reason) => {
            let message = format!("`{field}.to` is \"{written}\": {reason}");
            let hint = "Write it as in `grants.dial`: \"self\", \"self:PORT\" or \"NAME:PORT\".";
            reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
            None
        }
    }
}

fn steps(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<Vec<Step>> {
    let Some(node) = table.get("steps") else { return Some(Vec::new()) };
    let field = format!("{field}.steps");
    let items = reader.list(node, &field, "tables")?;
    let steps: Vec<Option<Step>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| step(item, &format!("{field}[{index}]"), reader))
        .collect();
    steps.into_iter().collect()
}

fn step(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Step> {
    const HINT: &str = "Write one of `expects`, `sends`, `waits`, `stalls`, `breaks`, `shakes_hands` and `fails_tls`, for example \
                        `{ sends = \"+PONG\\r\\n\" }`.";
    let span = node.span.clone();
    let table = reader.table(node, field, &STEP_KEYS, &span)?;
    let mut kinds = STEPS.iter().filter_map(|kind| table.get(kind).map(|value| (*kind, value)));
    let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else {
        let message = format!("`{field}` must say one thing that happens");
        reader.report(Problem::error(Code::InvalidValue, message).hint(HINT), &node.span);
        return None;
    };
    beside(table, kind, field, reader);
    let name = format!("{field}.{kind}");
    match kind {
        "expects" => pattern(value, &name, reader).map(Step::Expects),
        "sends" => bytes(value, &name, reader).map(Step::Sends),
        "waits" => reader.duration(value, &name).map(Step::Waits),
        "stalls" => only_true(value, &name, reader).map(|()| Step::Stalls),
        "breaks" => only_true(value, &name, reader).map(|()| Step::Breaks),
        "shakes_hands" => {
            only_true(value, &name, reader)?;
            let mut string = |key: &str| {
                let node = table.get(key)?;
                reader.string(node, &format!("{field}.{key}"))
            };
            let (server_name, protocol) = (string("server_name"), string("protocol"));
            let protocols = table.get("protocols");
            let protocols = protocols.and_then(|node| reader.strings(node, &format!("{field}.protocols")));
            Some(Step::ShakesHands { server_name, protocols, protocol })
        }
        _ => {
            let word = reader.string(value, &name)?;
            let failure = FAILURES.iter().find(|(known, _)| *known == word).map(|(_, failure)| *failure);
            if failure.is_none() {
                let words: Vec<&str> = FAILURES.iter().map(|(word, _)| *word).collect();
                let hint = format!("Write one of {}.", words.join(", "));
                reader.wrong(&name, "a failure of TLS", value, &hint);
            }
            let reason = match table.get("reason") {
                Some(node) => text(node, &format!("{field}.reason"), reader)?,
                None => String::new(),
            };
            Some(Step::FailsTls(failure?, reason))
        }
    }
}

/// Reports what belongs to another kind of step.
fn beside(table: Table<'_>, kind: &str, field: &str, reader: &mut Reader<'_>) {
    for (key, owner) in [
        ("server_name", "shakes_hands"),
        ("protocols", "shakes_hands"),
        ("protocol", "shakes_hands"),
        ("reason", "fails_tls"),
    ] {
        if table.get(key).is_some() && kind != owner {
            let message = format!("`{field}.{key}` belongs to `{owner}`, not to `{kind}`");
            let problem = Problem::error(Code::ConflictingFields, message).hint("Remove it.");
            reader.report(problem, table.key_span(key));
        }
    }
}

fn only_true(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<()> {
    if reader.boolean(node, field)? {
        return Some(());
    }
    reader.wrong(field, "true", node, "Write `true`, or remove the step.");
    None
}
