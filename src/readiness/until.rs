//! What a condition waits for, in words that follow "until".

use super::wait::Condition;
use crate::definition::model::DialGrant;
use crate::sidecar::Sidecar;

/// In words, for people: of a custom probe nothing is known but its name.
pub(super) fn until(sidecar: &Sidecar, condition: &Condition) -> String {
    let name = condition.found.name.as_str();
    if !condition.found.built_in {
        return format!("the probe `{name}` says ready");
    }
    let port = condition.found.grants.dial.iter().find_map(|dial| match dial {
        DialGrant::This(port) => *port,
        DialGrant::Sidecar { .. } => None,
    });
    let port = port.or(sidecar.definition.port());
    let port = port.map_or_else(|| "its port".to_owned(), |port| format!("port {port}"));
    let settings = &condition.readiness.settings;
    let setting = |key: &str| settings.get(key).and_then(serde_json::Value::as_str);
    match name {
        "tcp" => format!("{port} accepts"),
        "healthcheck" => "its health test passes".to_owned(),
        "exec" => {
            let command = condition.readiness.command.iter().flatten().map(String::as_str);
            let words = shlex::try_join(command).unwrap_or_default();
            format!("`{words}` in it ends with exit code 0")
        }
        "skip" => "the container runs".to_owned(),
        "http" => format!("{port} answers {} as wanted", setting("path").unwrap_or("/")),
        "log" => {
            let what = setting("text").or(setting("pattern")).unwrap_or("the declared line");
            format!("its log says `{what}`")
        }
        "grpc" => format!("the health service at {port} says SERVING"),
        "mcp" => format!("{port} opens an MCP session"),
        _ => format!("the server at {port} takes connections"),
    }
}
