//! What a component imports, held against what its definition grants, before anything is compiled.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::definition::DIALLING;
use crate::definition::grants::{DialGrant, DirGrant, Grants, TlsGrant, TlsSetting};
use crate::definition::is_sidecar_host;
use crate::definition::model::{Definition, ProbeReference, Readiness};
use crate::report::error::{Code, Place, Problem};

use super::capabilities;
use super::component::ComponentFile;
use super::{contract, wasi};

/// The interfaces of connections.
const DIAL: &str = "dial";
const TLS: &str = "tls";

/// What a probe may do: a built-in probe gets what it needs, of which only another port than the interface's is the
/// definition's to grant; any other probe gets what its definition grants.
#[must_use]
pub fn effective(readiness: &Readiness, built_in: bool) -> Grants {
    let name = match &readiness.probe {
        ProbeReference::Named(name) if built_in => name.as_str(),
        _ => return readiness.grants.clone(),
    };
    let nothing = Grants::default();
    match name {
        name if DIALLING.contains(&name) => {
            let port = port_of_settings(readiness).map(|port| DialGrant::This(Some(port)));
            let granted = port.filter(|port| readiness.grants.dial.contains(port));
            let dial = vec![granted.unwrap_or(DialGrant::This(None))];
            Grants { dial, tls: tls_for(name, &readiness.settings, &readiness.grants), ..nothing }
        }
        "healthcheck" => Grants { switches: BTreeSet::from(["health"]), ..nothing },
        "exec" => Grants { exec: readiness.command.iter().cloned().collect(), ..nothing },
        "log" => Grants { switches: BTreeSet::from(["logs"]), ..nothing },
        _ => nothing,
    }
}

/// TLS for a built-in probe, if its settings ask for it: with the files of the definition.
#[must_use]
pub fn tls_for(
    name: &str,
    settings: &serde_json::Map<String, serde_json::Value>,
    written: &Grants,
) -> Option<TlsGrant> {
    let asked = TlsSetting::of(name, settings)?;
    let files = written.tls.clone().unwrap_or_default();
    Some(TlsGrant { insecure: files.insecure || asked == TlsSetting::Insecure, ..files })
}

/// The interfaces to link for a component: those that these grants cover. A component that ships with farrier imports `tls`
/// whether or not its settings ask for it, and without a grant each call of it is denied.
#[must_use]
pub fn linked(component: &ComponentFile, grants: &Grants, built_in: bool) -> Vec<&'static str> {
    let imported = |name: &str| {
        let mut imports = component.imports.iter().filter_map(|import| contract::named(import));
        imports.any(|(_, interface)| interface == name)
    };
    let is_harmless = |name: &str| built_in && name == TLS && imported(name);
    let found = capabilities::all()
        .filter(|capability| capability.written(grants).is_some() || is_harmless(capability.name));
    found.map(|capability| capability.name).collect()
}

/// Whether a component with these interfaces can do nothing but dial, and speak TLS there.
#[must_use]
pub fn only_dials(component: &ComponentFile, interfaces: &[&str]) -> bool {
    interfaces.iter().all(|name| [DIAL, TLS].contains(name)) && !component.imports_wasi()
}

/// The port that the settings name; what they say otherwise is the probe's to check.
fn port_of_settings(readiness: &Readiness) -> Option<u16> {
    let port = readiness.settings.get("port").and_then(serde_json::Value::as_u64)?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The problem if a built-in probe would dial a port that its definition does not grant. The interface's port needs no
/// grant, as long as the definition writes none.
#[must_use]
pub fn uncovered(definition: &Definition, readiness: &Readiness, effective: &Grants) -> Option<Problem> {
    if effective.dial.is_empty() {
        return None;
    }
    let own = definition.port();
    let missing = port_of_settings(readiness).or(own)?;
    let written = &readiness.grants.dial;
    let covers = |grant: &DialGrant| matches!(grant, DialGrant::This(port) if port.or(own) == Some(missing));
    if written.iter().any(covers) || (written.is_empty() && own == Some(missing)) {
        return None;
    }
    let message =
        format!("the probe `{}` dials port {missing}, which its definition does not grant", readiness.probe);
    let problem = Problem::error(Code::ProbeNotGranted, message);
    let hint = match adding_dial(&readiness.grants, DialGrant::This(Some(missing))) {
        Some(line) => format!("Grant it with `{line}` under [readiness]."),
        None => "Name a port from 1 to 65535.".to_owned(),
    };
    let field = if written.is_empty() { "settings" } else { "grants" };
    Some(problem.at(definition.place(&format!("{}.{field}", readiness.field))).hint(hint))
}

/// Every interface that a definition can grant.
#[must_use]
pub fn grantable() -> Vec<&'static str> {
    let found = capabilities::all().filter(|capability| capability.grant.is_some());
    found.map(|capability| capability.name).collect()
}

/// A text as a definition writes it: the texts of JSON are texts of TOML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list as a definition writes it.
pub(super) fn list(words: impl Iterator<Item = String>) -> String {
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

/// What a definition writes to grant all of this.
#[must_use]
pub fn line(grants: &Grants) -> String {
    let mut parts: Vec<String> = capabilities::all().filter_map(|found| found.written(grants)).collect();
    if !grants.dirs.is_empty() {
        let folder = |grant: &DirGrant| {
            let host = quoted(&grant.host.to_string_lossy());
            format!("{{ host = {host}, guest = {} }}", quoted(&grant.guest))
        };
        parts.push(format!("dirs = {}", list(grants.dirs.iter().map(folder))));
    }
    format!("grants = {{ {} }}", parts.join(", "))
}

/// A place as a definition writes it.
pub(super) fn dial_text(place: &DialGrant) -> String {
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

/// The line that grants TLS, too.
#[must_use]
pub fn adding_tls(grants: &Grants) -> String {
    line(&Grants { tls: Some(grants.tls.clone().unwrap_or_default()), ..grants.clone() })
}

/// The line that grants one more command, or `None` if a definition cannot grant it: an empty word.
#[must_use]
pub fn adding_command(grants: &Grants, command: Vec<String>) -> Option<String> {
    let can_be = !command.is_empty() && command.iter().all(|word| !word.is_empty() && !word.contains('\0'));
    let mut grants = grants.clone();
    grants.exec.push(command);
    can_be.then(|| line(&grants))
}

/// The imports of capabilities that need a grant and have none.
pub fn without_grant<'c>(component: &'c ComponentFile, granted: &[&str]) -> impl Iterator<Item = &'c str> {
    let lacks_grant = |import: &&str| {
        let named = contract::named(import);
        named.is_some_and(|(version, interface)| {
            let capability = version.capability(interface);
            capability.is_some_and(|found| found.grant.is_some()) && !granted.contains(&interface)
        })
    };
    component.imports.iter().map(String::as_str).filter(lacks_grant)
}

/// Every import that is not covered. What needs no grant is always offered, as types are; it reaches nothing.
#[must_use]
pub fn ungranted(component: &ComponentFile, granted: &[&str], probe: &str, place: &Place) -> Vec<Problem> {
    let problem = |import: &str, why: &str| {
        let message = format!("the probe `{probe}` imports {import}, which {why}");
        Problem::error(Code::ProbeNotGranted, message).at(place.clone())
    };
    let not_offered = |import: &str, hint: String| problem(import, "farrier does not offer").hint(hint);
    let refused = component.imports.iter().filter_map(|import| match contract::named(import) {
        Some((_, contract::TYPES)) => None,
        Some((version, interface)) => match version.capability(interface) {
            Some(capability) => capability.example().filter(|_| !granted.contains(&interface)).map(|example| {
                let hint = format!("Grant it with `grants.{example}` under [readiness].");
                problem(import, "its definition does not grant").hint(hint)
            }),
            None => Some(not_offered(
                import,
                format!(
                    "This version of farrier hosts farrier:probe@{}: install one that has this interface, or build the probe without it.",
                    version.number
                ),
            )),
        },
        None if wasi::base::has(import) => None,
        None => Some(not_offered(
            import,
            format!(
                "Build it against farrier:probe@{} and WASI 0.2 (cli, clocks, filesystem, io, random, sockets) only.",
                contract::CONTRACT
            ),
        )),
    });
    refused.collect()
}

/// The line that grants one more variable, or `None` if a definition cannot grant it.
#[must_use]
pub fn adding_variable(grants: &Grants, name: String) -> Option<String> {
    let can_be = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let mut grants = grants.clone();
    grants.env.push(name);
    can_be.then(|| line(&grants))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_adds_a_grant_keeps_the_others() {
        let granted = Grants {
            dial: vec![DialGrant::This(None)],
            tls: None,
            exec: vec![vec!["sh".to_owned(), "-c".to_owned(), "echo \"\n\"".to_owned()]],
            switches: BTreeSet::from(["health", "logs"]),
            dirs: vec![DirGrant { host: "certs".into(), guest: "/certs".to_owned() }],
            env: vec!["PGUSER".to_owned()],
        };
        let added = adding_dial(&granted, DialGrant::This(Some(9999)));
        insta::assert_snapshot!(added.clone().unwrap_or_default(), @r#"grants = { dial = ["self", "self:9999"], exec = [["sh", "-c", "echo \"\n\""]], health = true, logs = true, env = ["PGUSER"], dirs = [{ host = "certs", guest = "/certs" }] }"#);
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
