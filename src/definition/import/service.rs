//! One service of a compose file as a definition.

mod finishing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::neighbours::Reached;
use super::writing::{key, pairs, string, strings, table, text, texts, words};
use super::{ImportedService, Outcome, build, dependencies, mounts, object};
use crate::definition::interpolation::interpolated;
use crate::definition::names::is_dns_name;

/// What a service's keys refer to.
pub struct Surroundings<'a> {
    /// From the definitions' folder to the compose file's.
    pub folder: &'a Path,
    /// The volumes that the file declares.
    pub named_volumes: &'a BTreeSet<&'a str>,
    /// Those that several services mount.
    pub shared_volumes: &'a BTreeSet<String>,
    /// The services that end by themselves.
    pub jobs: &'a BTreeSet<String>,
    /// The services that get a definition.
    pub imported: &'a BTreeSet<&'a str>,
    /// The secrets and configurations that the file declares.
    pub secrets: Option<&'a Json>,
    pub configs: Option<&'a Json>,
    /// What others say of each service.
    pub reached: &'a BTreeMap<&'a str, Reached>,
}

/// A definition that is being written.
struct Writing<'a> {
    service: &'a Map<String, Json>,
    around: &'a Surroundings<'a>,
    top: String,
    mounts: Vec<String>,
    aliases: Vec<String>,
    is_job: bool,
    resources: Vec<(String, String)>,
    keys: Vec<(String, Outcome)>,
}

/// Keys that definitions have under the same name: texts, switches, lists of texts, and names with values.
const TEXTS: &[&str] = &["user", "working_dir", "hostname", "shm_size", "platform", "stop_signal", "restart"];
const SWITCHES: &[&str] = &["init", "read_only", "privileged"];
const LISTS: &[&str] = &["cap_add", "cap_drop", "security_opt", "devices", "profiles"];
const PAIRS: &[&str] = &["sysctls", "labels"];

/// Keys that farrier does without.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("networks", "sidecars meet on the harness's network"),
    ("links", "sidecars find each other by their names"),
    ("external_links", "sidecars find each other by their names"),
    ("logging", "the engine's own log is used"),
    ("stdin_open", "nobody writes to a sidecar"),
    ("tty", "nobody looks at a sidecar"),
    ("attach", "`farrier logs` shows what a sidecar writes"),
    ("pull_policy", "farrier pulls an image that is absent"),
    ("extends", "what it names was merged in"),
    ("scale", "a sidecar is one container"),
    ("develop", "a sidecar is not what is being worked on"),
    ("annotations", "no engine acts on them"),
];

/// Translates a service.
pub fn translated(name: &str, service: &Map<String, Json>, around: &Surroundings<'_>) -> ImportedService {
    let mut writing = Writing {
        service,
        around,
        top: "lifecycle = \"shared\"\n".to_owned(),
        mounts: Vec::new(),
        aliases: around.reached.get(name).map(|reached| reached.aliases.clone()).unwrap_or_default(),
        is_job: around.jobs.contains(name),
        resources: Vec::new(),
        keys: Vec::new(),
    };
    let image = writing.image(name);
    if writing.is_job {
        writing.line("job", "\"once\"");
    }
    for key in service.keys() {
        writing.key(key);
    }
    let toml = writing.finished(name, &image);
    let mut keys = writing.keys;
    keys.sort_by(|left, right| left.0.cmp(&right.0));
    ImportedService { name: name.to_owned(), toml, keys }
}

/// Whether nothing is left of a text without the variables of its user.
fn is_empty_by_default(text: &str) -> bool {
    interpolated(text, &mut |_| Ok(None)).is_ok_and(|text| text.is_empty())
}

impl Writing<'_> {
    fn note(&mut self, key: &str, outcome: Outcome) {
        self.keys.push((key.to_owned(), outcome));
    }

    fn translated(&mut self, key: &str, to: &str) {
        self.note(key, Outcome::Translated(to.to_owned()));
    }

    fn line(&mut self, key: &str, value: &str) {
        self.top.push_str(&format!("{key} = {value}\n"));
    }

    fn image(&mut self, name: &str) -> String {
        let image = self.service.get("image").and_then(text);
        let built = image.clone().unwrap_or_else(|| format!("{name}:local"));
        if let Some(build) = self.service.get("build") {
            self.note("build", Outcome::Lost(build::told(build, &built)));
        }
        if image.is_some() {
            self.translated("image", "image");
        }
        self.line("image", &string(&built));
        built
    }

    /// One key, unless `finished` sees to it.
    fn key(&mut self, name: &str) {
        let Some(value) = self.service.get(name) else { return };
        if value.is_null() {
            self.note(name, Outcome::NotNeeded("it is empty"));
            return;
        }
        let not_needed = NOT_NEEDED.iter().find(|(key, _)| *key == name);
        match name {
            "image" | "build" | "ports" | "expose" | "healthcheck" => {}
            "environment" => self.environment(value),
            "env_file" => self.variable_files(value),
            "command" | "entrypoint" => self.words(name, value),
            "volumes" => self.volumes(value),
            "tmpfs" => match mounts::of_memory(value) {
                Some(made) => {
                    self.mounts.extend(made);
                    self.translated(name, "mounts");
                }
                None => self.unreadable(name),
            },
            "container_name" => self.alias(name, value),
            "stop_grace_period" => self.renamed(name, "stop_timeout", value),
            "mem_limit" => self.resource(name, "memory", value),
            "cpus" => self.resource(name, "cpus", value),
            "pids_limit" => self.resource(name, "pids", value),
            "deploy" => self.deploy(value),
            "ulimits" => self.ulimits(value),
            "extra_hosts" => self.extra_hosts(value),
            "depends_on" => self.dependencies(value),
            "restart" if self.is_job && text(value).is_some_and(|text| !text.starts_with("on-failure")) => {
                self.note(name, Outcome::NotNeeded("others wait for its end"));
            }
            "secrets" => self.files(name, value, self.around.secrets),
            "configs" => self.files(name, value, self.around.configs),
            "extends" if value.is_object() => self.note(
                name,
                Outcome::Lost(
                    "what it names is in another file: import that, and put both together".to_owned(),
                ),
            ),
            "network_mode" => {
                self.note(
                    name,
                    Outcome::Lost("sidecars have a network of their own; `networks` joins more".to_owned()),
                );
            }
            key if TEXTS.contains(&key) => match text(value) {
                Some(text) if is_empty_by_default(&text) => {
                    let what = format!("it is empty unless a variable is set: `{key} = {}`", string(&text));
                    self.note(key, Outcome::Lost(what));
                }
                Some(text) => {
                    self.line(key, &string(&text));
                    self.translated(key, key);
                }
                None => self.unreadable(key),
            },
            key if SWITCHES.contains(&key) => {
                self.line(key, if *value == Json::Bool(true) { "true" } else { "false" });
                self.translated(key, key);
            }
            key if LISTS.contains(&key) => match texts(value) {
                Some(texts) => {
                    self.line(key, &strings(&texts));
                    self.translated(key, key);
                }
                None => self.unreadable(key),
            },
            key if PAIRS.contains(&key) => match pairs(value) {
                Some(found) => {
                    let found: Vec<(String, String)> =
                        found.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
                    self.line(key, &table(&found));
                    self.translated(key, key);
                }
                None => self.unreadable(key),
            },
            _ if not_needed.is_some() => {
                let reason = not_needed.map_or("", |(_, reason)| *reason);
                let outcome = self.networks(name, value).unwrap_or(Outcome::NotNeeded(reason));
                self.note(name, outcome);
            }
            key if key.starts_with("x-") => self.note(name, Outcome::NotNeeded("it is a note")),
            _ => self.note(name, Outcome::Lost("definitions have no such key".to_owned())),
        }
    }

    fn unreadable(&mut self, key: &str) {
        self.note(key, Outcome::Lost("its value has a form that is not known; write it by hand".to_owned()));
    }

    fn renamed(&mut self, key: &str, to: &str, value: &Json) {
        match text(value) {
            Some(text) => {
                self.line(to, &string(&text));
                self.translated(key, to);
            }
            None => self.unreadable(key),
        }
    }

    fn resource(&mut self, key: &str, to: &str, value: &Json) {
        match (text(value), to) {
            (Some(text), "pids") if text.parse::<u32>().is_ok_and(|count| count > 0) => {
                self.resources.push((to.to_owned(), text));
                self.translated(key, "resources.pids");
            }
            (Some(text), "pids") if text == "-1" || text == "0" => {
                self.note(key, Outcome::NotNeeded("there is no limit by itself"));
            }
            (Some(text), "memory" | "cpus") => {
                self.resources.push((to.to_owned(), string(&text)));
                self.translated(key, &format!("resources.{to}"));
            }
            _ => self.unreadable(key),
        }
    }

    fn deploy(&mut self, value: &Json) {
        for (key, value) in object(Some(value)) {
            let path = format!("deploy.{key}");
            match key.as_str() {
                "resources" => {
                    for (name, value) in object(value.get("limits")) {
                        let path = format!("deploy.resources.limits.{name}");
                        self.resource(&path, name, value);
                    }
                    if value.get("reservations").is_some() {
                        let hint = "for graphics processors write resources.gpus = \"all\"";
                        self.note("deploy.resources.reservations", Outcome::Lost(hint.to_owned()));
                    }
                }
                // The other engines refuse it.
                "placement" => {
                    let hint =
                        "it is for the engine swarm: write `placement = [\"node.labels.gpu == true\"]` there";
                    self.note(&path, Outcome::Lost(hint.to_owned()));
                }
                "replicas" if value.as_i64() != Some(1) => {
                    self.note(&path, Outcome::Lost("a sidecar is one container".to_owned()));
                }
                _ => self.note(&path, Outcome::NotNeeded("it is for a swarm")),
            }
        }
    }

    fn environment(&mut self, value: &Json) {
        let Some(found) = pairs(value) else { return self.unreadable("environment") };
        // A name alone takes the launcher's own value, if there is one.
        let found: Vec<(String, String)> = found
            .into_iter()
            .map(|(name, value)| {
                let otherwise = format!("${{{name}:-}}");
                (name, value.unwrap_or(otherwise))
            })
            .collect();
        self.top.push_str("env = {");
        let lines: Vec<String> =
            found.iter().map(|(name, value)| format!(" {} = {}", key(name), string(value))).collect();
        self.top.push_str(&lines.join(","));
        self.top.push_str(" }\n");
        self.translated("environment", "env");
    }

    fn variable_files(&mut self, value: &Json) {
        let single = std::slice::from_ref(value);
        let items = value.as_array().map_or(single, Vec::as_slice);
        let mut files = Vec::new();
        for item in items {
            let path = item.get("path").or(Some(item)).and_then(text);
            let Some(path) = path else { return self.unreadable("env_file") };
            let path = string(&mounts::from_definitions(&path, self.around.folder));
            let is_optional = item.get("required") == Some(&false.into());
            files.push(if is_optional { format!("{{ path = {path}, required = false }}") } else { path });
        }
        self.line("env_file", &format!("[{}]", files.join(", ")));
        self.translated("env_file", "env_file");
    }

    fn words(&mut self, key: &str, value: &Json) {
        let Json::Array(items) = value else { return self.renamed(key, key, value) };
        let found: Vec<String> = items.iter().filter_map(text).collect();
        self.line(key, &words(&found));
        self.translated(key, key);
    }

    fn dependencies(&mut self, value: &Json) {
        let Some((after, lost)) = dependencies::after(value, self.around.imported) else {
            return self.unreadable("depends_on");
        };
        if let Some(after) = after {
            self.line("after", &after);
        }
        if lost.is_empty() {
            self.translated("depends_on", "after");
        } else {
            let what = format!("import what it names, too, and write it into after: {}", lost.join(", "));
            self.note("depends_on", Outcome::Lost(what));
        }
    }

    fn volumes(&mut self, value: &Json) {
        let mut lost = Vec::new();
        for made in mounts::of_volumes(value, self.around) {
            match made {
                Ok(mount) => self.mounts.push(mount),
                Err(reason) => lost.push(reason),
            }
        }
        if lost.is_empty() {
            self.translated("volumes", "mounts");
        } else {
            self.note("volumes", Outcome::Lost(lost.join("; ")));
        }
    }

    fn files(&mut self, key: &str, value: &Json, declared: Option<&Json>) {
        if let Some(made) = mounts::of_files(key, value, declared, self.around.folder) {
            self.mounts.extend(made);
            self.translated(key, "mounts");
        } else {
            let hint = "bind a file with its content: mounts = [\"bind:./file:/run/secrets/name:ro\"]";
            self.note(key, Outcome::Lost(hint.to_owned()));
        }
    }

    fn alias(&mut self, key: &str, value: &Json) {
        match text(value).filter(|text| is_dns_name(text)) {
            Some(name) => {
                self.aliases.push(name);
                self.translated(key, "interface.aliases");
            }
            None => self.note(key, Outcome::NotNeeded("farrier names containers itself")),
        }
    }

    /// Takes the aliases of networks, and says what else they have that is lost.
    fn networks(&mut self, key: &str, value: &Json) -> Option<Outcome> {
        if key != "networks" {
            return None;
        }
        let mut is_fixed = false;
        for (_, network) in object(Some(value)) {
            let aliases = network.get("aliases").and_then(texts).unwrap_or_default();
            self.aliases.extend(aliases.into_iter().filter(|alias| is_dns_name(alias)));
            is_fixed |= network.get("ipv4_address").or(network.get("ipv6_address")).is_some();
        }
        let hint = "the engine chooses a sidecar's address: use its name where the address is written";
        is_fixed.then(|| Outcome::Lost(hint.to_owned()))
    }

    fn ulimits(&mut self, value: &Json) {
        let mut limits = Vec::new();
        for (name, limit) in object(Some(value)) {
            let of = |key: &str| limit.get(key).and_then(Json::as_i64);
            match (limit.as_i64(), of("soft"), of("hard")) {
                (Some(both), ..) => limits.push(format!("{} = {both}", key(name))),
                (None, Some(soft), Some(hard)) => {
                    limits.push(format!("{} = {{ soft = {soft}, hard = {hard} }}", key(name)));
                }
                _ => return self.unreadable("ulimits"),
            }
        }
        self.line("ulimits", &format!("{{ {} }}", limits.join(", ")));
        self.translated("ulimits", "ulimits");
    }

    fn extra_hosts(&mut self, value: &Json) {
        let lines: Option<Vec<String>> = match value {
            Json::Object(table) => {
                table.iter().map(|(name, address)| Some(format!("{name}={}", text(address)?))).collect()
            }
            other => texts(other),
        };
        match lines {
            Some(lines) => {
                self.line("extra_hosts", &strings(&lines));
                self.translated("extra_hosts", "extra_hosts");
            }
            None => self.unreadable("extra_hosts"),
        }
    }
}
