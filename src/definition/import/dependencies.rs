//! What a service depends on, as what its sidecar comes after.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::writing::string;

/// How a service waits for another one.
struct Dependency<'a> {
    service: &'a str,
    condition: &'a str,
}

fn dependencies(value: &Json) -> Option<Vec<Dependency<'_>>> {
    if let Json::Array(names) = value {
        let each = names
            .iter()
            .map(|name| Some(Dependency { service: name.as_str()?, condition: "service_started" }));
        return each.collect();
    }
    let table = value.as_object()?;
    let each = table.iter().map(|(service, how)| {
        let condition = how.get("condition").and_then(Json::as_str).unwrap_or("service_started");
        Dependency { service, condition }
    });
    Some(each.collect())
}

/// The services that others wait for until they have ended: jobs.
pub fn jobs(services: &Map<String, Json>) -> BTreeSet<String> {
    let all = services.values().filter_map(|service| dependencies(service.get("depends_on")?));
    let ends = |dependency: &Dependency<'_>| dependency.condition == "service_completed_successfully";
    all.flatten().filter(ends).map(|dependency| dependency.service.to_owned()).collect()
}

/// The value of `after`, if there is anything to come after, and the services that are not imported; `None` if the value has
/// another form.
pub fn after(value: &Json, imported: &BTreeSet<&str>) -> Option<(Option<String>, Vec<String>)> {
    let (mut entries, mut lost) = (Vec::new(), Vec::new());
    for Dependency { service, condition } in dependencies(value)? {
        if !imported.contains(service) {
            lost.push(service.to_owned());
            continue;
        }
        let until = match condition {
            "service_healthy" => None,
            "service_completed_successfully" => Some("succeeded"),
            _ => Some("started"),
        };
        entries.push(match until {
            None => string(service),
            Some(until) => format!("{{ sidecar = {}, until = \"{until}\" }}", string(service)),
        });
    }
    let entries = (!entries.is_empty()).then(|| format!("[{}]", entries.join(", ")));
    Some((entries, lost))
}

/// The names of all services that are imported.
pub fn names<'a>(services: &'a Map<String, Json>, wanted: &[String]) -> BTreeSet<&'a str> {
    let is_wanted = |name: &&str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    services.keys().map(String::as_str).filter(is_wanted).collect()
}
