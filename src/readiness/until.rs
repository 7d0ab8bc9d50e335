//! What a condition waits for, in words that follow "until".

use super::wait::Condition;
use crate::definition::grants::DialGrant;
use crate::event::failure::until::Until;
use crate::plan::sidecar::Sidecar;

/// Of a custom probe nothing is known but its name.
pub(super) fn until(sidecar: &Sidecar, condition: &Condition) -> Until {
    let name = condition.found.name.as_str();
    if !condition.found.built_in {
        return format!("the probe `{name}` reports ready").into();
    }
    let port = condition.found.granted.grants.dial.iter().find_map(|dial| match dial {
        DialGrant::This(port) => *port,
        DialGrant::Sidecar { .. } => None,
    });
    let port = port.or(sidecar.definition.port());
    let port = port.map_or_else(|| "its port".to_owned(), |port| format!("port {port}"));
    let settings = &condition.readiness.settings;
    let setting = |key: &str| settings.get(key).and_then(serde_json::Value::as_str);
    let words = match name {
        "tcp" => format!("{port} is open"),
        "healthcheck" => "its health test passes".to_owned(),
        "exec" => {
            let command: Vec<&str> =
                condition.readiness.command.iter().flatten().map(String::as_str).collect();
            let ends = |words: &str| format!("`{words}` exits with 0 in its container");
            let (program, arguments) = command.split_at(command.len().min(1));
            let more = if arguments.is_empty() { "" } else { " …" };
            return Until {
                told: ends(&shlex::try_join(command.iter().copied()).unwrap_or_default()),
                recorded: ends(&format!("{}{more}", program.concat())),
            };
        }
        "skip" => "the container is running".to_owned(),
        "http" => {
            return Until {
                told: format!("{port} answers {} as expected", setting("path").unwrap_or("/")),
                recorded: format!("{port} answers a request as expected"),
            };
        }
        "log" => {
            let what = setting("text").or(setting("pattern")).unwrap_or("the declared line");
            format!("its log contains `{what}`")
        }
        "grpc" => format!("the health service at {port} reports SERVING"),
        "mcp" => format!("{port} opens an MCP session"),
        "memcached" => format!("memcached at {port} reports its version"),
        "amqp" => format!("the broker at {port} opens a connection"),
        "nats" => format!("the NATS server at {port} answers PING"),
        "smtp" => format!("the mail server at {port} accepts EHLO"),
        _ => format!("the server at {port} accepts connections"),
    };
    words.into()
}
