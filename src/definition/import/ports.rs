//! Ports of a service: those that are published, and the one that the harness reaches.

use serde_json::Value as Json;

use super::writing::text;

/// An entry of `ports` as `interface.publish` has it, with the container's port if it is a single number.
pub fn published(value: &Json) -> Option<(String, Option<u16>)> {
    let text = if let Json::Object(table) = value {
        let of = |key: &str| table.get(key).and_then(text);
        let target = of("target")?;
        let host = match (of("host_ip"), of("published")) {
            (Some(address), host) => format!("{address}:{}:", host.unwrap_or_default()),
            (None, Some(host)) => format!("{host}:"),
            (None, None) => String::new(),
        };
        let protocol = of("protocol").map(|protocol| format!("/{protocol}")).unwrap_or_default();
        format!("{host}{target}{protocol}")
    } else {
        text(value)?
    };
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((&text, "tcp"));
    let container = ports.rsplit(':').next().unwrap_or(ports).parse().ok();
    Some((text.clone(), container.filter(|_| protocol == "tcp")))
}

/// The container's port of an entry of `expose`.
pub fn exposed(value: &Json) -> Option<u16> {
    text(value)?.split('/').next()?.parse().ok()
}
