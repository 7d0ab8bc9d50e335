//! What a component imports, held against what its definition grants, before anything is compiled.

use crate::definition::model::{DialGrant, Grants, ProbeReference, Readiness};
use crate::error::{Code, Place, Problem};

use super::component::{CONTRACT, ComponentFile};

/// The interfaces of WASI 0.2 that language runtimes pull in. They are always offered, and inert: no files, no
/// environment, no arguments, no network, until a grant gives them something.
const WASI: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["types", "preopens"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// What a probe may do: the ones that ship with farrier get what they need, others what their definition
/// grants.
#[must_use]
pub fn effective(readiness: &Readiness, built_in: bool) -> Grants {
    let name = match &readiness.probe {
        ProbeReference::Named(name) if built_in => name.as_str(),
        _ => return readiness.grants.clone(),
    };
    let nothing = Grants::default();
    match name {
        "tcp" => Grants { dial: vec![DialGrant::This(None)], ..nothing },
        "http" | "postgres" | "redis" | "mysql" | "grpc" | "mcp" => {
            let port = readiness.settings.get("port").and_then(serde_json::Value::as_u64);
            let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
            Grants { dial: vec![DialGrant::This(port)], ..nothing }
        }
        "healthcheck" => Grants { health: true, ..nothing },
        "exec" => Grants { exec: readiness.command.iter().cloned().collect(), ..nothing },
        "log" => Grants { logs: true, ..nothing },
        _ => nothing,
    }
}

/// The interfaces that these grants cover.
#[must_use]
pub fn interfaces(grants: &Grants) -> Vec<&'static str> {
    let mut interfaces = Vec::new();
    if !grants.dial.is_empty() {
        interfaces.push("dial");
    }
    if !grants.exec.is_empty() {
        interfaces.push("exec");
    }
    if grants.health {
        interfaces.push("health");
    }
    if grants.logs {
        interfaces.push("logs");
    }
    interfaces
}

/// The line that grants an interface.
fn grant_line(interface: &str) -> &'static str {
    match interface {
        "dial" => "grants.dial = [\"self\"]",
        "exec" => "grants.exec = [[\"command\", \"argument\"]]",
        "health" => "grants.health = true",
        _ => "grants.logs = true",
    }
}

/// Whether a name is of the inert base, in any version 0.2.x: within it interfaces only grow.
fn is_wasi_base(import: &str) -> bool {
    let parts = import.strip_prefix("wasi:").and_then(|rest| rest.split_once('@'));
    let Some((interface, version)) = parts else { return false };
    let patch = version.strip_prefix("0.2.").is_some_and(|patch| patch.parse::<u32>().is_ok());
    let (package, name) = interface.split_once('/').unwrap_or((interface, ""));
    patch && WASI.iter().any(|(known, names)| *known == package && names.contains(&name))
}

/// Every import that is not covered. `log` and types are always offered; they can do nothing.
#[must_use]
pub fn ungranted(component: &ComponentFile, granted: &[&str], probe: &str, place: &Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    for import in &component.imports {
        let interface = import
            .strip_prefix("farrier:probe/")
            .and_then(|rest| rest.strip_suffix(CONTRACT))
            .and_then(|rest| rest.strip_suffix('@'));
        let problem = match interface {
            Some("types" | "log") => continue,
            Some(interface) if granted.contains(&interface) => continue,
            Some(interface @ ("dial" | "exec" | "health" | "logs")) => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which its definition does not grant"),
            )
            .hint(format!("Grant it with `{}` under [readiness].", grant_line(interface))),
            None if is_wasi_base(import) => continue,
            _ => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which farrier does not offer"),
            )
            .hint(
                "Build it against farrier:probe@0.1.0 and WASI 0.2 (cli, clocks, filesystem, io, random, sockets) only.",
            ),
        };
        problems.push(problem.at(place.clone()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_wasi_0_2_and_nothing_more() {
        for import in [
            "wasi:io/poll@0.2.0",
            "wasi:cli/exit@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.12",
            "wasi:filesystem/preopens@0.2.99",
        ] {
            assert!(is_wasi_base(import), "{import}");
        }
        for import in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023",
            "wasi:io/poll",
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:io@0.2.0",
            "host:io/poll@0.2.0",
        ] {
            assert!(!is_wasi_base(import), "{import}");
        }
    }
}
