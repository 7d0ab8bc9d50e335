//! Drift: a container that is not what farrier would have made of its definition and image, whatever its labels say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::api::{Container, DEFAULT_GRACE, Image, Mounted, Process, whole_seconds};
use super::proxies;
use super::spec::declared_mounts;
use crate::definition::{KEYS, Key, canonical_signal};
use crate::plan::sidecar::Sidecar;

/// Settings outside of the host part that farrier never makes, and that no image brings.
const NEVER_SET: &[&str] = &["Domainname", "MacAddress", "NetworkDisabled", "OpenStdin", "Tty"];

/// In what the container is not what farrier would have made, whatever its labels say.
pub(super) fn drift(sidecar: &Sidecar, container: &Container, image: &Image) -> Vec<String> {
    let expected = expected_process(sidecar, image);
    let actual = &container.process;
    let mut found = Vec::new();
    let mut note = |what: &str, differs: bool| {
        if differs {
            found.push(what.to_owned());
        }
    };
    note("entrypoint", expected.entrypoint != actual.entrypoint);
    note("command", expected.command != actual.command);
    // As it was when the container was made; whoever launches now may have other proxies.
    let without_proxies = |env| {
        let mut env = env_map(env);
        env.retain(|name, _| !proxies::is_variable(name) || sidecar.env().contains_key(*name));
        env
    };
    let mut env = actual.env.clone();
    env.retain(|pair| expected.env.contains(pair) || !container.own_variables.contains(pair));
    note("env", without_proxies(&expected.env) != without_proxies(&env));
    note("user", expected.user != actual.user);
    note("working dir", expected.directory != actual.directory);
    note("health test", expected.health != actual.health);
    note("stop signal", stop_signal(&expected) != stop_signal(actual));
    note("stop timeout", container.grace() != grace(sidecar.definition.container.stop_timeout));
    note("mounts", !mounts_match(sidecar, container, image));
    note("memory", container.memory != sidecar.definition.container.memory.unwrap_or(0));
    let mode = container.network_mode.as_str();
    let is_shared = mode == "host" || mode.starts_with("container:");
    note("network mode", is_shared || matches!(mode, "none" | "bridge" | "default"));
    let wanted = sidecar.definition.container.settings();
    for (name, value) in &wanted {
        let key = KEYS.iter().find(|key| key.setting == Some(name.as_str()));
        let shown = container.settings.get(name);
        if !key.map_or(shown == Some(value), |key| key.holds(value, shown)) {
            let label = key.map_or_else(|| name.clone(), Key::label);
            if !found.contains(&label) {
                found.push(label);
            }
        }
    }
    let unwanted =
        container.privileges.keys().filter(|name| !wanted.contains_key(&format!("HostConfig.{name}")));
    found.extend(unwanted.cloned());
    // Whoever shares a network has its name, too.
    if !wanted.contains_key("Hostname") && !is_shared && !has_its_own_hostname(container) {
        found.push("hostname".to_owned());
    }
    let is_set = |name: &&str| container.settings.get(*name).is_some_and(|value| !is_empty(value));
    found.extend(NEVER_SET.iter().filter(|name| is_set(name)).map(|name| (*name).to_owned()));
    found
}

/// Whether its name for itself is the one that Docker gives: the beginning of its id.
fn has_its_own_hostname(container: &Container) -> bool {
    let shown = container.settings.get("Hostname").and_then(Json::as_str).unwrap_or_default();
    shown.is_empty() || container.id.starts_with(shown)
}

fn is_empty(value: &Json) -> bool {
    matches!(value, Json::Null | Json::Bool(false)) || value.as_str() == Some("")
}

/// What Docker makes of image and definition: a declared entrypoint drops the image's command.
fn expected_process(sidecar: &Sidecar, image: &Image) -> Process {
    let entrypoint = sidecar.definition.container.entrypoint.clone().unwrap_or_default();
    let command = sidecar.definition.container.command.clone().unwrap_or_default();
    let mut process = image.process.clone();
    if !entrypoint.is_empty() {
        process.entrypoint = entrypoint;
        process.command = command;
    } else if !command.is_empty() {
        process.command = command;
    }
    process.apply(&sidecar.definition.container.settings());
    process.env.extend(sidecar.env().iter().map(|(name, value)| format!("{name}={value}")));
    process
}

/// Under its one name; without a declared one it is SIGTERM.
fn stop_signal(process: &Process) -> Option<String> {
    let declared = Some(process.stop_signal.as_str()).filter(|signal| !signal.is_empty());
    canonical_signal(declared.unwrap_or("SIGTERM"))
}

/// As an engine keeps it, in whole seconds.
fn grace(declared: Option<Duration>) -> Duration {
    declared.map_or(DEFAULT_GRACE, |grace| Duration::from_secs(whole_seconds(grace)))
}

fn env_map(env: &[String]) -> BTreeMap<&str, &str> {
    env.iter().map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect()
}

fn mounts_match(sidecar: &Sidecar, container: &Container, image: &Image) -> bool {
    let declared = declared_mounts(sidecar);
    let (anonymous, mut other): (Vec<&Mounted>, Vec<&Mounted>) =
        container.mounts.iter().partition(|mount| mount.is_anonymous_volume());
    other.sort();
    let mut expected: Vec<&Mounted> = declared.iter().collect();
    expected.sort();
    // More of them grant nothing: they were carried over from an image that declared them.
    let has_its_volumes = image
        .volumes
        .iter()
        .map(|target| if target == "/" { "/" } else { target.trim_end_matches('/') })
        .filter(|target| !declared.iter().any(|mount| mount.target == *target))
        .all(|target| anonymous.iter().any(|mount| mount.target == target));
    other == expected && has_its_volumes
}
