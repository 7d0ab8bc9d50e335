//! The service that a sidecar means, as the API takes it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::api::{Config, LABEL_MAKING};
use super::files;
use crate::definition::RestartPolicy;
use crate::definition::model::Mount;
use crate::plan::sidecar::{FirstValues, Sidecar};

/// The pause before a task that ended is followed by another one. Docker begins with less and gets to minutes; the Swarm's is
/// always the same.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// The longest name that the Swarm takes: it is a name in DNS.
const LONGEST_NAME: usize = 63;

/// Settings of a container, and where a service's container has them.
const OF_CONTAINER: [(&str, &str); 10] = [
    ("StopSignal", "StopSignal"),
    ("WorkingDir", "Dir"),
    ("User", "User"),
    ("Hostname", "Hostname"),
    ("HostConfig.Init", "Init"),
    ("HostConfig.ReadonlyRootfs", "ReadOnly"),
    ("HostConfig.CapAdd", "CapabilityAdd"),
    ("HostConfig.CapDrop", "CapabilityDrop"),
    ("HostConfig.Ulimits", "Ulimits"),
    ("HostConfig.Sysctls", "Sysctls"),
];
/// Likewise of the limits of a task.
const OF_LIMITS: [(&str, &str); 3] = [
    ("HostConfig.Memory", "MemoryBytes"),
    ("HostConfig.NanoCpus", "NanoCPUs"),
    ("HostConfig.PidsLimit", "Pids"),
];
/// The label on volumes of services: the service that they were made for.
pub const LABEL_SWARM_VOLUME: &str = "farrier.swarm-volume";
/// The setting with the file systems in memory: their options by path.
const TMPFS: &str = "HostConfig.Tmpfs";

/// Whether the Swarm takes this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
    let ends = [name.bytes().next(), name.bytes().last()];
    name.len() <= LONGEST_NAME
        && ends.into_iter().all(|byte| byte.is_some_and(is_plain))
        && name.bytes().all(|byte| is_plain(byte) || b"-_".contains(&byte))
}

/// The Swarm replaces what stands in double braces; this is what it replaces by the text itself.
fn literal(text: &str) -> String {
    text.replace("{{", "{{\"{{\"}}")
}

/// The task template of a making: what its tasks run, where, and how often. `networks` are the ids of networks, `configs` the
/// bound files.
#[must_use]
pub fn task_template<'a>(
    sidecar: &Sidecar,
    networks: impl IntoIterator<Item = &'a str>,
    configs: &[Config],
    making: &str,
) -> Value {
    let keys = &sidecar.definition.container;
    let settings = keys.settings();
    let mut labels: BTreeMap<String, String> = keys.labels.clone();
    labels.insert(LABEL_MAKING.to_owned(), making.to_owned());
    let env = sidecar.full_env();
    let env: Vec<String> = env.iter().map(|(name, value)| literal(&format!("{name}={value}"))).collect();
    let mut container = Map::from_iter([
        ("Image".to_owned(), json!(sidecar.image.as_str())),
        ("Labels".to_owned(), json!(labels)),
        ("Command".to_owned(), json!(keys.entrypoint.clone().unwrap_or_default())),
        ("Args".to_owned(), json!(keys.command.clone().unwrap_or_default())),
        ("Env".to_owned(), json!(env)),
        ("Mounts".to_owned(), json!(mounts(sidecar, settings.get(TMPFS)))),
        ("Configs".to_owned(), json!(files::mounted(sidecar, configs))),
    ]);
    if let Some(grace) = keys.stop_timeout {
        container.insert("StopGracePeriod".to_owned(), json!(nanoseconds(grace)));
    }
    let moved = |table: &[(&str, &str)], into: &mut Map<String, Value>| {
        for (setting, name) in table {
            if let Some(value) = settings.get(*setting) {
                into.insert((*name).to_owned(), value.clone());
            }
        }
    };
    moved(&OF_CONTAINER, &mut container);
    if let Some(Value::String(name)) = container.get_mut("Hostname") {
        *name = literal(name);
    }
    let mut limits = Map::new();
    moved(&OF_LIMITS, &mut limits);
    // Without blanks, as docker's own client writes them.
    let constraints: Vec<String> = keys.placement.iter().map(|text| text.replacen(' ', "", 2)).collect();
    let aliases = sidecar.definition.aliases();
    let networks: Vec<Value> =
        networks.into_iter().map(|id| json!({ "Target": id, "Aliases": aliases })).collect();
    json!({
        "ContainerSpec": container,
        "Resources": { "Limits": limits },
        "RestartPolicy": restart_policy(keys.restart.as_ref()),
        "Networks": networks,
        "Placement": { "Constraints": constraints },
        "Runtime": "container",
    })
}

/// The service: one task, whose address its names stand for.
#[must_use]
pub fn service(sidecar: &Sidecar, task_template: &Value, labels: &BTreeMap<String, String>) -> Value {
    json!({
        "Name": sidecar.container,
        "Labels": labels,
        "TaskTemplate": task_template,
        "Mode": { "Replicated": { "Replicas": 1 } },
        "UpdateConfig": { "Parallelism": 1, "Order": "stop-first" },
        "EndpointSpec": { "Mode": "dnsrr" },
    })
}

/// By what farrier knows a making again.
#[must_use]
pub fn labels(sidecar: &Sidecar, making: &str) -> BTreeMap<String, String> {
    let mut labels = sidecar.labels(&FirstValues::new(), making);
    labels.insert(LABEL_MAKING.to_owned(), making.to_owned());
    labels
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn restart_policy(policy: Option<&RestartPolicy>) -> Value {
    let (condition, attempts) = match policy {
        None => return json!({ "Condition": "none" }),
        Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => ("any", 0),
        Some(RestartPolicy::OnFailure(attempts)) => ("on-failure", *attempts),
    };
    json!({ "Condition": condition, "Delay": nanoseconds(RESTART_DELAY), "MaxAttempts": attempts })
}

/// A volume's name on its node. No volume of the engine `docker` has it, which may be that node's, too: names of
/// volumes have no `_`.
#[must_use]
pub fn volume(sidecar: &Sidecar, name: &str) -> String {
    format!("{}_swarm_{name}", sidecar.container)
}

/// The names of the volumes that a sidecar's service mounts.
pub(super) fn volumes(sidecar: &Sidecar) -> impl Iterator<Item = String> {
    sidecar.definition.container.mounts.iter().filter_map(|mount| match mount {
        Mount::Volume { name, .. } => Some(volume(sidecar, name)),
        _ => None,
    })
}

/// By what farrier knows a volume again. The engine `docker` on the same node knows its own by another label.
fn volume_labels(sidecar: &Sidecar) -> BTreeMap<String, String> {
    let mut labels = sidecar.owner_labels();
    labels.insert(LABEL_SWARM_VOLUME.to_owned(), sidecar.container.clone());
    labels
}

/// Everything that is mounted but files.
fn mounts(sidecar: &Sidecar, tmpfs: Option<&Value>) -> Vec<Value> {
    let volume = |mount: &Mount| match mount {
        Mount::Volume { name, target, writable } => Some(json!({
            "Type": "volume",
            "Source": volume(sidecar, name),
            "Target": target,
            "ReadOnly": !writable,
            "VolumeOptions": { "Labels": volume_labels(sidecar) },
        })),
        _ => None,
    };
    let volumes = sidecar.definition.container.mounts.iter().filter_map(volume);
    volumes.chain(tmpfs.map(memory_mounts).unwrap_or_default()).collect()
}

/// File systems in memory, from their options by path: `size=1024`, or none.
fn memory_mounts(tmpfs: &Value) -> Vec<Value> {
    let each = tmpfs.as_object().into_iter().flatten().map(|(target, options)| {
        let options = options.as_str().unwrap_or_default().split(',');
        let size =
            options.filter_map(|option| option.strip_prefix("size=")).find_map(|size| size.parse().ok());
        let size: u64 = size.unwrap_or_default();
        json!({ "Type": "tmpfs", "Target": target, "TmpfsOptions": { "SizeBytes": size } })
    });
    each.collect()
}

/// In what a service is not what farrier would have made, whatever its labels say: the names of what differs.
#[must_use]
pub fn differences(expected: &Value, shown: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["Mode", "EndpointSpec"] {
        note(part, &expected[part], &shown[part], &mut found);
    }
    let (expected, shown) = (&expected["TaskTemplate"], &shown["TaskTemplate"]);
    // Whoever makes the Swarm start a task again has changed nothing that it runs; networks are compared beside this.
    let names = keys_of(expected).chain(keys_of(shown));
    let names: std::collections::BTreeSet<&String> =
        names.filter(|name| !["ForceUpdate", "Networks", "ContainerSpec"].contains(&name.as_str())).collect();
    for name in names {
        note(name, &expected[name.as_str()], &shown[name.as_str()], &mut found);
    }
    let (expected, shown) = (&comparable(&expected["ContainerSpec"]), &comparable(&shown["ContainerSpec"]));
    let names: std::collections::BTreeSet<&String> = keys_of(expected).chain(keys_of(shown)).collect();
    for name in names {
        let is_default = name == "Isolation" && shown["Isolation"] == "default";
        if !is_default {
            note(name, &expected[name.as_str()], &shown[name.as_str()], &mut found);
        }
    }
    found
}

/// Without what another machine would write otherwise for the same sidecar: the ids of configs, which have names, and
/// the labels that volumes get when they are made.
fn comparable(container: &Value) -> Value {
    let mut container = container.clone();
    for (list, field) in [("Configs", "ConfigID"), ("Mounts", "VolumeOptions")] {
        let items = container.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        items.filter_map(Value::as_object_mut).for_each(|item| drop(item.remove(field)));
    }
    container
}

fn keys_of(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(Map::keys)
}

fn note(name: &str, expected: &Value, shown: &Value, found: &mut Vec<String>) {
    if told(expected) != told(shown) {
        found.push(name.to_owned());
    }
}

/// Without what says nothing: the Swarm writes some of what was not asked for.
fn told(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let told = fields.iter().map(|(name, value)| (name.clone(), told(value)));
            let told: Map<String, Value> = told.filter(|(_, value)| !value.is_null()).collect();
            if told.is_empty() { Value::Null } else { Value::Object(told) }
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(told).collect()),
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Bool(false) => Value::Null,
        Value::Number(number) if number.as_f64() == Some(0.0) => Value::Null,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_swarm_takes() {
        let long = "a".repeat(63);
        for (name, expected) in [
            ("farrier-db", true),
            ("farrier-db_1", true),
            (long.as_str(), true),
            (&format!("{long}a"), false),
            ("farrier-db.1", false),
            ("farrier-db-", false),
            ("", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }

    #[test]
    fn what_the_swarm_adds_by_itself_is_no_difference() {
        let expected = json!({ "TaskTemplate": { "ContainerSpec": { "Image": "i", "Env": [] } },
                               "Mode": { "Replicated": { "Replicas": 1 } } });
        let mut shown = expected.clone();
        shown["TaskTemplate"]["ContainerSpec"]["Isolation"] = json!("default");
        shown["TaskTemplate"]["ContainerSpec"]["Init"] = json!(false);
        shown["TaskTemplate"]["Placement"] = json!({});
        shown["TaskTemplate"]["ForceUpdate"] = json!(3);
        shown["TaskTemplate"]["Resources"] = json!({ "Limits": {}, "Reservations": {} });
        assert_eq!(differences(&expected, &shown), [] as [&str; 0]);
        shown["TaskTemplate"]["ContainerSpec"]["Env"] = json!(["A=b"]);
        shown["TaskTemplate"]["Placement"] = json!({ "Constraints": ["node.role==worker"] });
        shown["Mode"]["Replicated"]["Replicas"] = json!(2);
        assert_eq!(differences(&expected, &shown), ["Mode", "Placement", "Env"]);
    }

    #[test]
    fn what_another_machine_writes_otherwise_is_no_difference() {
        let of = |id: &str, folder: &str, target: &str| {
            json!({ "TaskTemplate": { "ContainerSpec": {
                "Configs": [{ "ConfigID": id, "ConfigName": "c", "File": { "Name": "/c" } }],
                "Mounts": [{ "Type": "volume", "Source": "v", "Target": target,
                             "VolumeOptions": { "Labels": { "farrier.definition-folder": folder } } }],
            } } })
        };
        assert_eq!(differences(&of("", "1:2", "/v"), &of("c", "3:4", "/v")), [""; 0]);
        assert_eq!(differences(&of("", "1:2", "/v"), &of("c", "1:2", "/w")), ["Mounts"]);
    }

    #[test]
    fn braces_mean_themselves() {
        assert_eq!(literal("A={{.Node.ID}}"), "A={{\"{{\"}}.Node.ID}}");
    }

    #[test]
    fn file_systems_in_memory() {
        let tmpfs = json!({ "/run": "size=1024,mode=1777", "/tmp": "" });
        let mounts = memory_mounts(&tmpfs);
        assert_eq!(mounts[0]["TmpfsOptions"]["SizeBytes"], 1024);
        assert_eq!((mounts[1]["Target"].as_str(), &mounts[1]["Type"]), (Some("/tmp"), &json!("tmpfs")));
    }
}
