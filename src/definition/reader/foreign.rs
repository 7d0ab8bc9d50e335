//! Words of compose, docker and Kubernetes that a definition does not have. Whoever writes one means it: passed over, the
//! container would run as another user, with more power, or without what it needs.

mod words;

use self::words::{INTERFACE, LIMITS, READINESS, RESOURCES, TOP, Words};
use super::{join, plain};
use crate::definition::keys::in_table;
use crate::definition::node::{ScalarKind, Value};

/// Words for which an empty value asks for something.
const CHOSEN_BY_PRESENCE: [&str; 14] = [
    "cmd",
    "args",
    "arguments",
    "capabilities",
    "network_mode",
    "network",
    "net",
    "test",
    "exec",
    "http_get",
    "http",
    "tcp_socket",
    "tcp",
    "grpc",
];

/// Words with the values that ask for what farrier does anyway, in lower case.
const DEFAULTS: &[(&[&str], &[&str])] = &[
    (
        &[
            "privileged",
            "tty",
            "stdin_open",
            "interactive",
            "init",
            "publish_all",
            "read_only",
            "readonly",
            "read_only_root_filesystem",
            "read_only_root_fs",
            "read_only_rootfs",
            "readonly_rootfs",
            "no_new_privileges",
            "no_new_privs",
            "run_as_non_root",
            "network_disabled",
            "oom_kill_disable",
            "internal",
            "no_healthcheck",
            "disable",
        ],
        &["false", "no", "off"],
    ),
    (&["allow_privilege_escalation"], &["true", "yes", "on"]),
    (&["restart", "restart_policy"], &["false", "no", "never"]),
    (&["scale", "replicas", "success_threshold"], &["1"]),
    (&["pull_policy", "pull", "image_pull_policy"], &["missing", "if_not_present", "ifnotpresent"]),
];

/// The words for the table at a path.
fn table(path: &str) -> &'static [Words] {
    match path.split('[').next().unwrap_or(path) {
        "" => TOP,
        "interface" => INTERFACE,
        "resources" => RESOURCES,
        "readiness" if path.ends_with(".limits") => LIMITS,
        "readiness" if !path.contains('.') => READINESS,
        "readiness.limits" => LIMITS,
        _ => &[],
    }
}

/// What to do about a key of the table at a path, where it is such a word. A key behind a table's header belongs to that
/// table in TOML, however it was meant, so words of the definition itself count in its tables too. So do its own keys: in
/// another spelling, or in a table where they have no meaning.
pub fn advice(path: &str, key: &str) -> Option<String> {
    let key = plain(key);
    let of = |words: &'static [Words]| {
        words.iter().find(|group| group.spellings.contains(&key.as_str())).map(|group| group.hint.to_owned())
    };
    let own = |table: &str| in_table(table).find(|own| *own == key);
    let is_table =
        ["interface", "resources"].contains(&path) || (path.starts_with("readiness") && !path.contains('.'));
    let misspelled = || Some(format!("Write `{} = …`.", join(path, own(path)?)));
    let misplaced =
        || Some(format!("Write it at the top of the file, before any `[table]`: `{} = …`.", own("")?));
    // Conditions and limits may be named as a note.
    of(table(path))
        .or_else(misspelled)
        .or_else(|| of(TOP).filter(|_| is_table && key != "name"))
        .or_else(|| misplaced().filter(|_| is_table))
}

/// Whether the value of such a word asks for what farrier does anyway.
pub fn is_default(path: &str, key: &str, value: &Value, sidecar: &str) -> bool {
    let key = plain(key);
    let key = key.as_str();
    match value {
        Value::List(items) => items.is_empty() && !CHOSEN_BY_PRESENCE.contains(&key),
        Value::Table(entries) => entries.is_empty() && !CHOSEN_BY_PRESENCE.contains(&key),
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Null || scalar.text.is_empty() => {
            !CHOSEN_BY_PRESENCE.contains(&key)
        }
        Value::Scalar(scalar) if path.is_empty() && key == "name" => scalar.text == sidecar,
        Value::Scalar(scalar) => {
            let text = scalar.text.to_lowercase();
            DEFAULTS.iter().any(|(words, values)| words.contains(&key) && values.contains(&text.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::schema;

    #[test]
    fn every_spelling_of_a_word_is_known() {
        for (path, key, hint) in [
            ("", "environment", "env = "),
            ("", "capabilities_drop", "cap_drop"),
            ("", "drop_capabilities", "cap_drop"),
            ("", "no_new_privs", "no-new-privileges"),
            ("", "runAsNonRoot", "user = "),
            ("", "run_as_non_root", "user = "),
            ("", "run_as", "user = "),
            ("", "readOnlyRootFS", "read_only = "),
            ("", "read_only_rootfs", "read_only = "),
            ("", "readOnly", "read_only = "),
            ("", "--cap-drop", "cap_drop = "),
            ("", "capDrop", "cap_drop = "),
            ("", "CAP_DROP", "cap_drop = "),
            ("", "shmSize", "shm_size = "),
            ("", "network_disabled", "networks"),
            ("", "ports", "interface.port"),
            ("interface", "containerPort", "interface.port"),
            ("interface", "user", "top of the file"),
            ("interface", "readOnly", "top of the file"),
            ("resources", "cap_drop", "top of the file"),
            ("readiness[1]", "privileged", "top of the file"),
            ("resources", "cpu", "resources.cpus"),
            ("readiness", "httpGet", "http"),
            ("readiness[1]", "retries", "timeout"),
            ("readiness.limits", "timeout", "poll"),
            ("readiness[0].limits", "timeout", "poll"),
        ] {
            assert!(advice(path, key).is_some_and(|found| found.contains(hint)), "{path}.{key}");
        }
        for (path, key) in [
            ("", "x-note"),
            ("", "comment"),
            ("interface", "comment"),
            ("readiness", "name"),
            ("readiness.settings", "user"),
        ] {
            assert_eq!(advice(path, key), None, "{path}.{key}");
        }
    }

    #[test]
    fn no_key_of_a_definition_is_foreign() {
        for (path, keys) in [
            ("", schema::known_keys("").to_vec()),
            ("resources", schema::known_keys("resources").to_vec()),
            ("interface", schema::known_keys("interface").to_vec()),
            ("readiness", schema::Readiness::KEYS.to_vec()),
            ("readiness.limits", schema::Limits::KEYS.to_vec()),
        ] {
            for key in keys {
                let is_foreign = table(path).iter().any(|group| group.spellings.contains(&key));
                assert!(!is_foreign, "{path}.{key}");
            }
        }
    }

    #[test]
    fn words_are_spelled_as_they_are_looked_for() {
        for tables in [TOP, INTERFACE, RESOURCES, READINESS, LIMITS] {
            let all: Vec<&str> = tables.iter().flat_map(|group| group.spellings).copied().collect();
            for word in &all {
                assert_eq!(plain(word), *word);
                assert_eq!(all.iter().filter(|other| *other == word).count(), 1, "{word}");
            }
        }
        let all: Vec<&str> = [TOP, READINESS]
            .iter()
            .flat_map(|table| table.iter())
            .flat_map(|group| group.spellings)
            .copied()
            .collect();
        let all: Vec<&str> = all.into_iter().chain(in_table("")).collect();
        let with_default = DEFAULTS.iter().flat_map(|(words, _)| *words);
        for word in with_default.chain(&CHOSEN_BY_PRESENCE) {
            assert!(all.contains(word), "{word}");
        }
    }
}
