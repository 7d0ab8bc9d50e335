//! What a component imports, held against what its definition grants, before anything is compiled.

use std::net::IpAddr;

use crate::definition::is_sidecar_host;
use crate::definition::model::{Definition, DialGrant, DirGrant, Grants, ProbeReference, Readiness};
use crate::report::error::{Code, Place, Problem};

use super::component::ComponentFile;
use super::contract;
use super::wasi_base;

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
        "tcp" | "http" | "postgres" | "redis" | "mysql" | "grpc" | "mcp" => {
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

/// What a built-in probe dials, and the grants that its definition has do not cover. A definition without grants gives
/// it what it needs.
#[must_use]
pub fn uncovered(definition: &Definition, readiness: &Readiness, needed: &Grants) -> Option<Problem> {
    let port = |dial: &DialGrant| match dial {
        DialGrant::This(port) => port.or_else(|| definition.port()),
        DialGrant::Sidecar { .. } => None,
    };
    let written = &readiness.grants.dial;
    let missing = needed.dial.iter().filter_map(port).find(|needed| {
        !written.is_empty() && !written.iter().filter_map(port).any(|granted| granted == *needed)
    })?;
    let message =
        format!("the probe `{}` dials port {missing}, which its definition does not grant", readiness.probe);
    Some(
        Problem::error(Code::ProbeNotGranted, message)
            .at(definition.place(&format!("{}.grants", readiness.field)))
            .hint(format!(
                "Grant it with `grants.dial = [\"self:{missing}\"]` under [readiness], or remove `grants`: a built-in \
                 probe is granted the port that its settings name."
            )),
    )
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

/// Every interface that a definition can grant.
pub const INTERFACES: &[&str] = &["dial", "exec", "health", "logs"];

/// The line that grants an interface.
fn grant_line(interface: &str) -> &'static str {
    match interface {
        "dial" => "grants.dial = [\"self\"]",
        "exec" => "grants.exec = [[\"command\", \"argument\"]]",
        "health" => "grants.health = true",
        _ => "grants.logs = true",
    }
}

/// What a definition writes to grant all of this.
#[must_use]
pub fn line(grants: &Grants) -> String {
    // The texts of JSON are texts of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let list =
        |words: &mut dyn Iterator<Item = String>| format!("[{}]", words.collect::<Vec<_>>().join(", "));
    let mut parts = Vec::new();
    if !grants.dial.is_empty() {
        let places = &mut grants.dial.iter().map(|place| quoted(&dial_text(place)));
        parts.push(format!("dial = {}", list(places)));
    }
    if !grants.exec.is_empty() {
        let command = |command: &Vec<String>| list(&mut command.iter().map(|word| quoted(word)));
        parts.push(format!("exec = {}", list(&mut grants.exec.iter().map(command))));
    }
    parts.extend(grants.health.then(|| "health = true".to_owned()));
    parts.extend(grants.logs.then(|| "logs = true".to_owned()));
    if !grants.dirs.is_empty() {
        let folder = |grant: &DirGrant| {
            let host = quoted(&grant.host.to_string_lossy());
            format!("{{ host = {host}, guest = {} }}", quoted(&grant.guest))
        };
        parts.push(format!("dirs = {}", list(&mut grants.dirs.iter().map(folder))));
    }
    if !grants.env.is_empty() {
        parts.push(format!("env = {}", list(&mut grants.env.iter().map(|name| quoted(name)))));
    }
    format!("grants = {{ {} }}", parts.join(", "))
}

/// A place as a definition writes it.
fn dial_text(place: &DialGrant) -> String {
    match place {
        DialGrant::This(None) => "self".to_owned(),
        DialGrant::This(Some(port)) => format!("self:{port}"),
        DialGrant::Sidecar { name, port } => format!("{name}:{port}"),
    }
}

/// The line that grants one more place, or `None` if a definition cannot grant it: an address, or port 0.
#[must_use]
pub fn adding_dial(grants: &Grants, place: DialGrant) -> Option<String> {
    let can_be = match &place {
        DialGrant::This(port) => *port != Some(0),
        DialGrant::Sidecar { name, port } => {
            *port != 0 && is_sidecar_host(name) && name.parse::<IpAddr>().is_err()
        }
    };
    let mut grants = grants.clone();
    grants.dial.push(place);
    can_be.then(|| line(&grants))
}

/// The line that grants one more command, or `None` if a definition cannot grant it: an empty word.
#[must_use]
pub fn adding_command(grants: &Grants, command: Vec<String>) -> Option<String> {
    let can_be = !command.is_empty() && command.iter().all(|word| !word.is_empty() && !word.contains('\0'));
    let mut grants = grants.clone();
    grants.exec.push(command);
    can_be.then(|| line(&grants))
}

/// Every import that is not covered. `log`, `state` and types are always offered; they reach nothing.
#[must_use]
pub fn ungranted(component: &ComponentFile, granted: &[&str], probe: &str, place: &Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    for import in &component.imports {
        let problem = match contract::interface(import) {
            Some("types" | "log" | "state") => continue,
            Some(interface) if granted.contains(&interface) => continue,
            Some(interface @ ("dial" | "exec" | "health" | "logs")) => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which its definition does not grant"),
            )
            .hint(format!("Grant it with `{}` under [readiness].", grant_line(interface))),
            None if wasi_base::functions(import).is_some() => continue,
            Some(_) => Problem::error(
                Code::ProbeNotGranted,
                format!("the probe `{probe}` imports {import}, which farrier does not offer"),
            )
            .hint(format!(
                "This farrier hosts farrier:probe@{}: install one that has this interface, or build the probe without it.",
                contract::CONTRACT
            )),
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
    fn the_line_that_adds_a_grant_keeps_the_others() {
        let granted = Grants {
            dial: vec![DialGrant::This(None)],
            exec: vec![vec!["sh".to_owned(), "-c".to_owned(), "echo \"\n\"".to_owned()]],
            health: true,
            logs: true,
            dirs: vec![DirGrant { host: "certs".into(), guest: "/certs".to_owned() }],
            env: vec!["PGUSER".to_owned()],
        };
        let added = adding_dial(&granted, DialGrant::This(Some(9999)));
        insta::assert_snapshot!(added.clone().unwrap_or_default(), @r#"grants = { dial = ["self", "self:9999"], exec = [["sh", "-c", "echo \"\n\""]], health = true, logs = true, dirs = [{ host = "certs", guest = "/certs" }], env = ["PGUSER"] }"#);
        assert!(added.unwrap_or_default().parse::<toml::Table>().is_ok());
        let other = |name: &str, port| {
            adding_dial(&Grants::default(), DialGrant::Sidecar { name: name.to_owned(), port })
        };
        assert_eq!(other("cache", 6379).as_deref(), Some("grants = { dial = [\"cache:6379\"] }"));
        for (name, port) in [("127.0.0.1", 80), ("::1", 80), ("cache", 0), ("", 80), ("a b", 80)] {
            assert_eq!(other(name, port), None, "{name}:{port}");
        }
        assert_eq!(adding_dial(&granted, DialGrant::This(Some(0))), None);
        let command = |words: &[&str]| {
            adding_command(&Grants::default(), words.iter().map(|word| (*word).to_owned()).collect())
        };
        assert_eq!(command(&["id", "-u"]).as_deref(), Some("grants = { exec = [[\"id\", \"-u\"]] }"));
        assert_eq!(command(&["id", ""]), None);
        assert_eq!(command(&[]), None);
    }
}
