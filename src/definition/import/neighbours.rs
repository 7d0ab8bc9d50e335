//! What the services of a file say of each other: at which ports they reach one, and by which other names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::writing::texts;
use crate::definition::names::is_dns_name;

/// Keys whose texts say where other services are.
const SPEAKING: [&str; 3] = ["environment", "command", "entrypoint"];

/// What others say of a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The ports at which they reach it, each once, in the order in which they are met.
    pub ports: Vec<u16>,
    /// Other names by which they call it.
    pub aliases: Vec<String>,
    /// Whether they name it at all.
    pub is_named: bool,
}

/// What each service hears of itself.
pub fn of(services: &Map<String, Json>) -> BTreeMap<&str, Reached> {
    let mut reached: BTreeMap<&str, Reached> = BTreeMap::new();
    for (speaker, service) in services {
        for link in service.get("links").and_then(texts).unwrap_or_default() {
            let Some((name, alias)) = link.split_once(':') else { continue };
            if let Some((name, _)) = services.get_key_value(name).filter(|_| is_dns_name(alias)) {
                reached.entry(name).or_default().aliases.push(alias.to_owned());
            }
        }
        let mut said = BTreeSet::new();
        SPEAKING.iter().filter_map(|key| service.get(*key)).for_each(|value| collect(value, &mut said));
        for text in said {
            for (host, port) in hosts(text) {
                let Some((name, _)) = services.get_key_value(host).filter(|(name, _)| *name != speaker)
                else {
                    continue;
                };
                let heard = reached.entry(name).or_default();
                heard.is_named = true;
                heard.ports.extend(port.filter(|port| !heard.ports.contains(port)));
            }
        }
    }
    reached
}

/// All texts in a value.
fn collect<'a>(value: &'a Json, into: &mut BTreeSet<&'a str>) {
    match value {
        Json::String(text) => drop(into.insert(text)),
        Json::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Json::Object(table) => table.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

/// What stands in a text where hosts do, each with the port behind it: a whole value, and what follows `//`, `@`, or comes
/// before a colon and a number.
fn hosts(text: &str) -> impl Iterator<Item = (&str, Option<u16>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut places = Vec::new();
    let mut begin = None;
    for (at, character) in text.char_indices().chain([(text.len(), '\0')]) {
        match (is_part(character), begin) {
            (true, None) => begin = Some(at),
            (false, Some(from)) => {
                places.push((from, at));
                begin = None;
            }
            _ => {}
        }
    }
    places.into_iter().filter_map(move |(from, to)| {
        let (before, after) = (&text[..from], &text[to..]);
        let digits = after.strip_prefix(':').map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            &rest[..end]
        });
        let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0);
        let is_whole = after.is_empty() && (before.is_empty() || before.ends_with('='));
        let is_host = port.is_some() || is_whole || before.ends_with("//") || before.ends_with('@');
        is_host.then_some((&text[from..to], port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_say_at_which_ports_and_by_which_names_a_service_is() {
        let file = serde_json::json!({
            "meta": { "environment": { "OWN": "http://meta:1" } },
            "web": { "environment": { "A": "http://meta:8080", "B": "${M:-http://meta:9090/x}", "C": "a:b:meta" } },
            "cli": { "environment": ["HOST=rest", "URL=postgres://u@db/app"], "command": "wait meta:8080 -- run" },
            "old": { "links": ["db:database", "rest"] },
            "rest": {}, "db": {},
        });
        let services = file.as_object().expect("a table");
        let reached = of(services);
        let heard = |ports: &[u16], aliases: &[&str], is_named| Reached {
            ports: ports.to_vec(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            is_named,
        };
        let expected = [
            ("db", heard(&[], &["database"], true)),
            ("meta", heard(&[8080, 9090], &[], true)),
            ("rest", heard(&[], &[], true)),
        ];
        assert_eq!(reached, expected.into());
    }
}
