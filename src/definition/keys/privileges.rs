//! What gives a container more power over its host than others have, or takes some away.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::environment::Scalar;
use super::kind::{Kind, ValueText};
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{listed, quoted, word};

/// Capabilities of Linux, and the word for all of them.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Settings of the kernel that each container has for itself, beside all of `net.` and `fs.mqueue.`.
const OWN_SYSCTLS: &[&str] = &[
    "kernel.domainname",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Capabilities by their names without `CAP_`, sorted, each once.
pub struct LinuxCapabilities;

/// Options of the engine's confinement, `name` or `name=value`, sorted, each once.
pub struct SecurityOptions;

/// Settings of the kernel.
pub struct Sysctls;

fn capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// The name of a capability of Linux, without `CAP_`; `None` if there is no such capability.
#[must_use]
pub fn known(text: &str) -> Option<String> {
    Some(capability(text)).filter(|name| CAPABILITIES.contains(&name.as_str()))
}

/// The texts of a JSON list in one form, sorted, each once.
fn texts_of(list: Option<&Json>, canonical: impl Fn(&str) -> String) -> Vec<String> {
    let items = list.and_then(Json::as_array).into_iter().flatten();
    let mut texts: Vec<String> = items.filter_map(Json::as_str).map(canonical).collect();
    texts.sort();
    texts.dedup();
    texts
}

impl Kind for LinuxCapabilities {
    type Value = Vec<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let (Some(names), Value::List(items)) = (reader.strings(node, path), &node.value) else {
            return Vec::new();
        };
        let mut found = Vec::with_capacity(names.len());
        for (index, (name, item)) in names.iter().zip(items).enumerate() {
            if let Some(name) = known(name) {
                found.push(name);
            } else {
                let hint =
                    "Write it as in `man 7 capabilities`, with or without `CAP_`: \"NET_ADMIN\", or \"ALL\".";
                reader.wrong(&format!("{path}[{index}]"), "a capability of Linux", item, hint);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    /// With and without `CAP_`, as the engine's version has them.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        texts_of(Some(told), capability) == texts_of(shown, capability)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        if value.is_empty() { Vec::new() } else { ValueText::line(label, value.join(", ")) }
    }
}

/// `name:value` is the old form of `name=value`. That no new privileges are to be had can be said in four ways.
fn security_option(text: &str) -> String {
    let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
    match (name, value) {
        ("no-new-privileges", "" | "true" | "1") => "no-new-privileges".to_owned(),
        ("no-new-privileges", "false" | "0") => "no-new-privileges=false".to_owned(),
        (name, "") => name.to_owned(),
        (name, value) => format!("{name}={value}"),
    }
}

/// Why an engine does not take an option in this form, and what to do.
fn security_option_problem(option: &str) -> Option<(&'static str, &'static str)> {
    const FORMS: &str =
        "Write \"no-new-privileges\", \"apparmor=PROFILE\", \"seccomp=unconfined\" or \"label=TYPE:VALUE\".";
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    match (name, value) {
        ("no-new-privileges", "" | "false") | ("seccomp", "unconfined" | "builtin") => None,
        ("no-new-privileges", _) => Some(("it is on or off", "Write \"no-new-privileges\".")),
        ("apparmor" | "label", value) if !value.is_empty() => None,
        ("seccomp", _) => Some((
            "farrier cannot pass a profile's file to the engine",
            "Write \"seccomp=unconfined\", or remove it to use the engine's default profile.",
        )),
        ("systempaths", _) => Some((
            "farrier does not unmask system paths",
            "Remove it, or write `privileged = true` if the sidecar cannot run without.",
        )),
        _ => Some(("it is not an option that docker has", FORMS)),
    }
}

impl Kind for SecurityOptions {
    type Value = Vec<String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let (Some(texts), Value::List(items)) = (reader.strings(node, path), &node.value) else {
            return Vec::new();
        };
        let mut found = Vec::with_capacity(texts.len());
        for (index, (text, item)) in texts.iter().zip(items).enumerate() {
            let option = security_option(text);
            match security_option_problem(&option) {
                None => found.push(option),
                Some((reason, hint)) => {
                    let message = format!("`{path}[{index}]` is \"{text}\": {reason}");
                    reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &item.span);
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        texts_of(Some(told), security_option) == texts_of(shown, security_option)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        if value.is_empty() { Vec::new() } else { ValueText::line(label, quoted(value)) }
    }
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum TableOrList {
    Table(BTreeMap<String, Scalar>),
    List(Vec<String>),
}

/// What editors accept as names with values, in both forms of compose.
pub(super) fn pairs_schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<TableOrList>()
}

impl Kind for Sysctls {
    type Value = BTreeMap<String, String>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let mut found = BTreeMap::new();
        for pair in reader.pairs(node, path, &['=']) {
            let field = format!("{path}.{}", pair.name);
            let is_own = pair.name.starts_with("net.")
                || pair.name.starts_with("fs.mqueue.")
                || OWN_SYSCTLS.contains(&pair.name);
            if !is_own {
                let message = format!("`{field}` is not a setting that each container has for itself");
                let hint = "Remove it, and set it on the engine's host if the sidecar needs it there: containers have \
                            `net.*`, `fs.mqueue.*` and some of `kernel.*`.";
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &pair.node.span);
                continue;
            }
            match pair.text.filter(|text| !text.is_empty()) {
                Some(text) => drop(found.insert(pair.name.to_owned(), text.to_owned())),
                None => reader.wrong(
                    &field,
                    "a single value",
                    pair.node,
                    "Write its value: `{ \"net.core.somaxconn\" = 1024 }`.",
                ),
            }
        }
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        pairs_schema(generator)
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let settings: Vec<String> =
            value.iter().map(|(name, value)| format!("{} = {}", word(name), quoted(value))).collect();
        if settings.is_empty() { Vec::new() } else { ValueText::line(label, listed(&settings)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_security_option_has_one_form() {
        for (text, expected) in [
            ("no-new-privileges", "no-new-privileges"),
            ("no-new-privileges:true", "no-new-privileges"),
            ("no-new-privileges=true", "no-new-privileges"),
            ("no-new-privileges:false", "no-new-privileges=false"),
            ("label:disable", "label=disable"),
            ("label=user:USER", "label=user:USER"),
            ("seccomp:unconfined", "seccomp=unconfined"),
        ] {
            assert_eq!(security_option(text), expected, "{text}");
            assert_eq!(security_option_problem(expected), None, "{text}");
        }
        for option in
            ["no-new-privileges=maybe", "seccomp=./p.json", "apparmor", "systempaths=unconfined", "x", ""]
        {
            assert!(security_option_problem(option).is_some(), "{option}");
        }
    }

    #[test]
    fn what_docker_shows_in_another_form_is_the_same() {
        let json = |texts: &[&str]| Json::from(texts.to_vec());
        let (told, shown) = (json(&["NET_ADMIN", "SYS_PTRACE"]), json(&["CAP_SYS_PTRACE", "CAP_NET_ADMIN"]));
        assert!(LinuxCapabilities::holds(&told, Some(&shown)));
        assert!(!LinuxCapabilities::holds(&told, Some(&json(&["CAP_NET_ADMIN"]))));
        assert!(!LinuxCapabilities::holds(&told, None));
        assert!(SecurityOptions::holds(
            &json(&["no-new-privileges"]),
            Some(&json(&["no-new-privileges:true"]))
        ));
    }
}
