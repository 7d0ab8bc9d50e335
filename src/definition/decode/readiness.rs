//! How the sidecar proves that it is ready.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::grants;
use super::interface;
use super::successes;
use crate::definition::artifact_reference::{ArtifactReference, FORM, SCHEME};
use crate::definition::grants::{Grants, TlsSetting};
use crate::definition::keys::ContainerKeys;
use crate::definition::model::{Layer, Limits, ProbeReference, Readiness};
use crate::definition::node::{Node, Value};
use crate::definition::reader::{Reader, Table, nearest};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

/// The probes that farrier brings along; nobody else's can have these names.
pub const BUILT_IN: [&str; 15] = [
    "tcp",
    "healthcheck",
    "exec",
    "skip",
    "http",
    "log",
    "postgres",
    "redis",
    "mysql",
    "memcached",
    "amqp",
    "nats",
    "smtp",
    "grpc",
    "mcp",
];
/// Those of them that have settings.
const WITH_SETTINGS: [&str; 12] =
    ["tcp", "http", "log", "postgres", "redis", "mysql", "memcached", "amqp", "nats", "smtp", "grpc", "mcp"];
/// Those that ask at a port: the declared one, or the one that `port` in their settings names.
pub const DIALLING: [&str; 11] =
    ["tcp", "http", "postgres", "redis", "mysql", "memcached", "amqp", "nats", "smtp", "grpc", "mcp"];
/// How long a wait lasts where nothing is declared; the Python launcher's default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MEBIBYTE: u64 = 1024 * 1024;

/// What the rest of the definition says that readiness depends on.
struct Surroundings<'a> {
    has_port: Option<bool>,
    /// The variables; `None` if files add to them.
    env: Option<&'a BTreeMap<String, String>>,
    layer: Layer,
}

/// Reads the `readiness` table or array of tables; none where it could not be read.
pub fn decode(
    table: Table<'_>,
    interface: &interface::Decoded,
    container: &ContainerKeys,
    layer: Layer,
    reader: &mut Reader<'_>,
) -> Option<Vec<Readiness>> {
    // What files set is known only once they are read.
    let env = container.env_file.is_empty().then_some(&container.env);
    let around = Surroundings { has_port: interface.has_port, env, layer };
    let Some(node) = table.get("readiness") else {
        if around.has_port == Some(false) {
            let hint = format!("Without a port, there is no default probe. {}", probe_hint(around.has_port));
            reader.missing("readiness", &hint, table.key_span("interface"));
            return None;
        }
        return Some(vec![Readiness {
            probe: ProbeReference::Named("tcp".to_owned()),
            timeout: DEFAULT_TIMEOUT,
            max_timeout: DEFAULT_TIMEOUT * 2,
            successes: 1,
            interval: Duration::ZERO,
            command: None,
            sha256: None,
            settings: serde_json::Map::new(),
            grants: Grants::default(),
            limits: Limits::default(),
            has_poll_limit: false,
            field: "readiness".to_owned(),
        }]);
    };
    let Value::List(items) = &node.value else {
        let one = one(node, "readiness", table.key_span("readiness"), &around, reader)?;
        return Some(vec![one]);
    };
    if items.is_empty() {
        let message = "`readiness` is an empty list";
        let problem = Problem::error(Code::InvalidValue, message).hint(probe_hint(around.has_port));
        reader.report(problem, &node.span);
        return None;
    }
    let decoded: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(index, item)| one(item, &format!("readiness[{index}]"), &item.span, &around, reader))
        .collect();
    decoded.into_iter().collect()
}

fn one(
    node: &Node,
    field: &str,
    span: &std::ops::Range<usize>,
    around: &Surroundings<'_>,
    reader: &mut Reader<'_>,
) -> Option<Readiness> {
    let span = span.clone();
    let table = reader.table(node, field, schema::Readiness::KEYS, &span)?;
    let command = table.get("command").map(|node| reader.program_line(node, &format!("{field}.command")));
    let probe = probe(table, field, command.is_some(), around, reader);
    let timeout = table.get("timeout").map(|node| reader.duration(node, &format!("{field}.timeout")));
    let timeout = timeout.unwrap_or(Some(DEFAULT_TIMEOUT));
    let max_timeout = max_timeout(table, field, timeout, reader);
    let in_a_row = successes::decode(table, field, timeout, reader);
    let (limits, has_poll_limit) = limits(table, field, reader);
    let sha256 = sha256(table, field, reader);
    let settings = settings(table, field, reader);
    let grants = grants::decode(table, field, around.has_port, around.env, reader);
    let probe = probe?;
    match &probe {
        ProbeReference::Named(name) if BUILT_IN.contains(&name.as_str()) => {
            let asked = TlsSetting::of(name, settings.as_ref().unwrap_or(&serde_json::Map::new()));
            built_in(table, field, name, command.is_some(), (&grants, asked), reader);
        }
        _ => custom(table, field, &probe, around.layer, reader),
    }
    Some(Readiness {
        probe,
        timeout: timeout?,
        max_timeout: max_timeout?,
        successes: in_a_row.as_ref()?.successes,
        interval: in_a_row?.interval,
        command: command.flatten(),
        sha256: sha256?,
        settings: settings?,
        grants,
        limits,
        has_poll_limit,
        field: field.to_owned(),
    })
}

/// Reads a scenario's `readiness` table, in which everything may stand but which probe it is.
pub fn of_scenario(
    scenario: Table<'_>,
    has_port: bool,
    env: &BTreeMap<String, String>,
    reader: &mut Reader<'_>,
) -> Option<Readiness> {
    const FIELD: &str = "readiness";
    const KEYS: [&str; 8] =
        ["settings", "command", "grants", "limits", "timeout", "max_timeout", "successes", "interval"];
    let empty = Node::empty();
    let node = scenario.get(FIELD).unwrap_or(&empty);
    let table = reader.table(node, FIELD, &KEYS, scenario.key_span(FIELD))?;
    let command = table.get("command").map(|node| reader.program_line(node, &format!("{FIELD}.command")));
    let timeout = table.get("timeout").map(|node| reader.duration(node, &format!("{FIELD}.timeout")));
    let timeout = timeout.unwrap_or(Some(DEFAULT_TIMEOUT));
    let max_timeout = max_timeout(table, FIELD, timeout, reader);
    let in_a_row = successes::decode(table, FIELD, timeout, reader);
    let (limits, has_poll_limit) = limits(table, FIELD, reader);
    let settings = settings(table, FIELD, reader);
    let grants = grants::decode(table, FIELD, Some(has_port), Some(env), reader);
    if !grants.dirs.is_empty() {
        let message = format!("`{FIELD}.grants.dirs` is not supported in a scenario");
        let hint = "Remove it: a scenario plays what the sidecar answers, and has no folders.";
        reader.report(Problem::error(Code::InvalidValue, message).hint(hint), table.key_span("grants"));
    }
    let in_a_row = in_a_row?;
    Some(Readiness {
        probe: ProbeReference::Named(String::new()),
        timeout: timeout?,
        max_timeout: max_timeout?,
        successes: in_a_row.successes,
        interval: in_a_row.interval,
        command: command.flatten(),
        sha256: None,
        settings: settings?,
        grants,
        limits,
        has_poll_limit,
        field: FIELD.to_owned(),
    })
}

/// Which probes can be named: without a port those that ask at none.
fn probe_hint(has_port: Option<bool>) -> String {
    let fits = |name: &&str| has_port != Some(false) || !DIALLING.contains(name);
    let quoted: Vec<String> =
        BUILT_IN.into_iter().filter(|name| fits(name)).map(|name| format!("\"{name}\"")).collect();
    let (first, others) =
        quoted.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    format!("Write `readiness.probe = {first}`, {}, or a custom probe's name.", others.join(", "))
}

/// The probe, from `probe` or its other spelling `mode`.
fn probe(
    table: Table<'_>,
    field: &str,
    has_command: bool,
    around: &Surroundings<'_>,
    reader: &mut Reader<'_>,
) -> Option<ProbeReference> {
    let (key, node) = match (table.get("probe"), table.get("mode")) {
        (Some(_), Some(_)) => {
            let message = format!("`{field}.probe` and `{field}.mode` are two spellings of one key");
            let problem = Problem::error(Code::ConflictingFields, message).hint("Keep `probe`.");
            reader.report(problem, table.key_span("mode"));
            return None;
        }
        (Some(node), None) => ("probe", node),
        (None, Some(node)) => ("mode", node),
        (None, None) if around.has_port == Some(false) => {
            reader.missing(&format!("{field}.probe"), &probe_hint(around.has_port), table.span);
            return None;
        }
        (None, None) => return Some(ProbeReference::Named("tcp".to_owned())),
    };
    let written = reader.string(node, &format!("{field}.{key}"))?;
    let name = match written.as_str() {
        "none" => "skip",
        "healthcheck" if has_command => "exec",
        other => other,
    };
    if DIALLING.contains(&name) && around.has_port == Some(false) && !names_a_port(table) {
        let message = format!("`{field}.{key}` is \"{name}\", but the interface has no port to dial");
        let hint = "Or declare the port: `interface.kind = \"port\"` with `interface.port = 5432`.";
        let problem = Problem::error(Code::ConflictingFields, message);
        reader.report(problem.hint(probe_hint(around.has_port)).hint(hint), &node.span);
        return None;
    }
    if name.starts_with(SCHEME) {
        return match ArtifactReference::parse(name) {
            Ok(reference) => Some(ProbeReference::Artifact(reference)),
            Err(reason) => {
                let message = format!("`{field}.{key}` is no reference to a probe in a registry: {reason}");
                reader.report(Problem::error(Code::InvalidValue, message).hint(FORM), &node.span);
                None
            }
        };
    }
    if name.contains('/') || name.to_ascii_lowercase().ends_with(".wasm") {
        if around.layer == Layer::Workspace && name.starts_with('/') {
            let hint = "Put the component beside the definition and write \"./name.wasm\".";
            reader.wrong(&format!("{field}.{key}"), "a relative path", node, hint);
            return None;
        }
        return Some(ProbeReference::File(PathBuf::from(name)));
    }
    let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !named || name.starts_with(['.', '-']) {
        reader.wrong(
            &format!("{field}.{key}"),
            "a probe's name or a path to a .wasm file",
            node,
            &probe_hint(around.has_port),
        );
        return None;
    }
    Some(ProbeReference::Named(name.to_owned()))
}

/// Whether the settings name the port themselves; what they say is the probe's to check.
fn names_a_port(table: Table<'_>) -> bool {
    let settings = table.get("settings").map(|node| &node.value);
    matches!(settings, Some(Value::Table(entries)) if entries.iter().any(|entry| entry.key == "port"))
}

fn max_timeout(
    table: Table<'_>,
    field: &str,
    timeout: Option<Duration>,
    reader: &mut Reader<'_>,
) -> Option<Duration> {
    let Some(node) = table.get("max_timeout") else {
        return timeout.map(|timeout| timeout * 2);
    };
    let longest = reader.duration(node, &format!("{field}.max_timeout"))?;
    if timeout.is_some_and(|timeout| longest < timeout) {
        let message = format!("`{field}.max_timeout` is shorter than `{field}.timeout`");
        let hint = "Make it at least as long, or remove it: the default is twice the timeout.";
        reader.report(Problem::error(Code::ConflictingFields, message).hint(hint), &node.span);
        return None;
    }
    Some(longest)
}

/// The limits, and whether the time of a poll is one of those declared.
fn limits(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> (Limits, bool) {
    let mut limits = Limits::default();
    let path = format!("{field}.limits");
    let Some(node) = table.get("limits") else {
        return (limits, false);
    };
    let span = table.key_span("limits");
    let Some(table) = reader.table(node, &path, schema::Limits::KEYS, span) else {
        return (limits, false);
    };
    if let Some(node) = table.get("memory") {
        let name = format!("{path}.memory");
        match reader.size(node, &name) {
            Some(bytes) if (MEBIBYTE..=1024 * MEBIBYTE).contains(&bytes) => limits.memory = bytes,
            Some(_) => reader.out_of_range(node, &name, "from 1 MiB to 1 GiB"),
            None => {}
        }
    }
    if let Some(node) = table.get("poll") {
        let name = format!("{path}.poll");
        match reader.duration(node, &name) {
            Some(poll) if (Duration::from_millis(1)..=Duration::from_mins(1)).contains(&poll) => {
                limits.poll = poll;
            }
            Some(_) => reader.out_of_range(node, &name, "from 1 ms to 60 s"),
            None => {}
        }
    }
    (limits, table.get("poll").is_some())
}

/// The pin in lower case; the outer option is none where it is wrong.
#[expect(clippy::option_option, reason = "wrong, absent and present are three answers")]
fn sha256(table: Table<'_>, field: &str, reader: &mut Reader<'_>) -> Option<Option<String>> {
    let Some(node) = table.get("sha256") else {
        return Some(None);
    };
    let name = format!("{field}.sha256");
    let text = reader.string(node, &name)?;
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Some(text.to_ascii_lowercase()));
    }
    let hint = "Write what `sha256sum` prints for the component.";
    reader.wrong(&name, "64 hex digits", node, hint);
    None
}

fn settings(
    table: Table<'_>,
    field: &str,
    reader: &mut Reader<'_>,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    let Some(node) = table.get("settings") else {
        return Some(serde_json::Map::new());
    };
    let path = format!("{field}.settings");
    let json = super::settings::json(node, &path, reader)?;
    if let serde_json::Value::Object(map) = json {
        return Some(map);
    }
    reader.wrong(&path, "a table", node, "Write the probe's settings as keys with values.");
    None
}

/// Built-in probes need no grants, and some have no settings: these would be promises that nothing keeps. Only another
/// port, which the settings name, must be granted, and the files for TLS, which the settings ask for.
fn built_in(
    table: Table<'_>,
    field: &str,
    name: &str,
    has_command: bool,
    (grants, asked): (&Grants, Option<TlsSetting>),
    reader: &mut Reader<'_>,
) {
    let may_dial = DIALLING.contains(&name) && names_a_port(table);
    let has_use = may_dial || asked.is_some();
    let unused =
        [("exec", grants.exec.is_empty()), ("dirs", grants.dirs.is_empty()), ("env", grants.env.is_empty())];
    let unused = unused.iter().find(|(_, is_absent)| !is_absent).map(|(kind, _)| *kind);
    let unused = unused.or_else(|| grants.switches.first().copied());
    let unused = unused.or((grants.tls.is_some() && asked.is_none()).then_some("tls"));
    let unused = unused.or((!grants.dial.is_empty() && !may_dial).then_some("dial"));
    for (key, reason) in [
        ("grants", "it is granted exactly what it needs"),
        ("sha256", "it comes with farrier itself"),
        ("settings", "it has none"),
    ] {
        let accepted = match key {
            "settings" => WITH_SETTINGS.contains(&name),
            "grants" => has_use && unused.is_none(),
            _ => false,
        };
        if table.get(key).is_some() && !accepted {
            let (key_told, reason) = match unused {
                Some("tls") if key == "grants" && has_use => {
                    ("grants.tls".to_owned(), "its settings ask for no TLS")
                }
                Some("dial") if key == "grants" && has_use => {
                    ("grants.dial".to_owned(), "its settings name no other port")
                }
                Some(kind) if key == "grants" && has_use => (format!("grants.{kind}"), "it only dials"),
                _ => (key.to_owned(), reason),
            };
            let message =
                format!("`{field}.{key_told}` is not accepted with the built-in probe `{name}`: {reason}");
            let hint = "Remove it, or name a custom probe.";
            let problem = Problem::error(Code::ConflictingFields, message).hint(hint);
            reader.report(problem, table.key_span(key));
        }
    }
    if asked == Some(TlsSetting::Insecure) && grants.tls.as_ref().is_some_and(|tls| tls.ca.is_some()) {
        let message = format!(
            "`{field}.grants.tls.ca` has no effect: `{field}.settings` accepts any certificate of the server"
        );
        let hint = "Remove `insecure` from the settings, or the file.";
        reader.report(Problem::error(Code::ConflictingFields, message).hint(hint), table.key_span("grants"));
    }
    if name == "exec" && !has_command {
        let hint = "Write what to run in the container: `command = [\"pg_isready\"]`.";
        reader.missing(&format!("{field}.command"), hint, table.span);
    }
    if name != "exec" && has_command {
        let message =
            format!("`{field}.command` is not accepted with the built-in probe `{name}`: it runs no command");
        let hint = "Write `probe = \"exec\"` to use the command, or remove it.";
        let problem = Problem::error(Code::ConflictingFields, message).hint(hint);
        reader.report(problem, table.key_span("command"));
    }
}

fn custom(table: Table<'_>, field: &str, probe: &ProbeReference, layer: Layer, reader: &mut Reader<'_>) {
    if table.get("command").is_some() {
        let message = format!("`{field}.command` is for the built-in probe `exec`, not for `{probe}`");
        let hint = "Instead, list the probe's commands in `grants.exec`.";
        let problem = Problem::error(Code::ConflictingFields, message).hint(hint);
        reader.report(problem, table.key_span("command"));
    }
    // What pins a probe in a registry may stand beside the definition, in a file that is not read yet.
    let is_in_registry = matches!(probe, ProbeReference::Artifact(_));
    if layer == Layer::Workspace && table.get("sha256").is_none() && !is_in_registry {
        let message =
            format!("`{field}.sha256` is missing: a workspace definition must pin the component `{probe}`");
        let mut problem = Problem::error(Code::MissingField, message)
            .hint("Add `sha256 = \"…\"` with what `sha256sum` prints for the component.");
        if let Some(meant) = nearest(&probe.to_string(), &BUILT_IN) {
            problem = problem.hint(format!("Or did you mean the built-in probe `{meant}`?"));
        }
        let key = if table.get("probe").is_some() { "probe" } else { "mode" };
        reader.report(problem, table.get(key).map_or(table.span, |node| &node.span));
    }
}
