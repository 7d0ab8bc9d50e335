//! Words of compose, docker and Kubernetes that a definition does not have. Whoever writes one means it: passed over, the
//! container would run as another user, with more power, or without what it needs.

use super::reader::plain;
use crate::definition::node::{ScalarKind, Value};

/// Words of one meaning.
struct Words {
    /// In lower case, with `_` between their parts.
    spellings: &'static [&'static str],
    /// What to do.
    hint: &'static str,
}

const fn words(spellings: &'static [&'static str], hint: &'static str) -> Words {
    Words { spellings, hint }
}

/// Words beside `image`.
const TOP: &[Words] = &[
    words(
        &["environment", "envs", "env_vars", "environment_variables"],
        "Write `env = { NAME = \"value\" }`.",
    ),
    words(&["env_file", "env_files", "env_from"], "Not supported yet: write the values into `env`."),
    words(
        &["ports", "port", "expose", "exposed_ports", "publish", "published", "publish_all"],
        "Write `interface.port = 5432` with `interface.kind = \"port\"`: the harness reaches it there. Nothing is published \
         on this host.",
    ),
    words(
        &["volumes", "volume", "mount", "bind", "binds", "volumes_from", "volume_mounts", "volume_driver"],
        "Not supported yet; `mounts = [\"docker-socket\"]` is the only mount. Copy files into an image of your own; \
         volumes that the image declares are kept when its container is recreated.",
    ),
    words(&["tmpfs"], "Not supported yet: the container's own file system is writable; remove the key."),
    words(
        &[
            "healthcheck",
            "health_check",
            "health_cmd",
            "health",
            "readiness_probe",
            "liveness_probe",
            "startup_probe",
            "health_interval",
            "health_retries",
            "health_timeout",
            "health_start_period",
            "no_healthcheck",
        ],
        "Write `readiness.probe = \"exec\"` with `readiness.command = [\"pg_isready\"]`, or `readiness.probe = \"healthcheck\"` \
         for the image's own test.",
    ),
    words(&["probe", "mode"], "Write `readiness.probe = \"tcp\"`."),
    words(&["timeout", "start_timeout"], "Write `readiness.timeout = \"30s\"`."),
    words(&["settings"], "Write `readiness.settings = { path = \"/\" }`."),
    words(&["kind"], "Write `interface.kind = \"port\"`."),
    words(
        &["aliases", "alias", "network_alias", "network_aliases"],
        "Write `interface.aliases = [\"db.test\"]`.",
    ),
    words(
        &["network_mode", "network", "net", "network_disabled"],
        "Write `networks = [\"name\"]` to join more networks than the harness's; other modes are not supported.",
    ),
    words(
        &["memory", "mem_limit", "mem", "memory_limit", "deploy"],
        "Write `resources.memory = \"512MiB\"`.",
    ),
    words(
        &[
            "memory_reservation",
            "mem_reservation",
            "memory_swap",
            "memswap_limit",
            "memory_swappiness",
            "mem_swappiness",
            "kernel_memory",
            "oom_kill_disable",
            "oom_score_adj",
            "cpus",
            "cpu",
            "cpu_count",
            "cpu_percent",
            "cpu_period",
            "cpu_quota",
            "cpu_rt_period",
            "cpu_rt_runtime",
            "cpu_shares",
            "cpuset",
            "cpuset_cpus",
            "cpuset_mems",
            "pids_limit",
            "pids",
            "ulimits",
            "ulimit",
            "blkio_config",
            "blkio_weight",
            "device_read_bps",
            "device_read_iops",
            "device_write_bps",
            "device_write_iops",
            "storage_opt",
            "limits",
            "requests",
            "reservations",
        ],
        "Not supported yet: `resources.memory = \"512MiB\"` is the only limit.",
    ),
    words(
        &[
            "user",
            "group_add",
            "run_as",
            "run_as_user",
            "run_as_group",
            "run_as_non_root",
            "userns_mode",
            "userns",
            "uid",
            "gid",
        ],
        "Not supported yet: set the user with `USER` in an image of your own.",
    ),
    words(
        &[
            "read_only",
            "readonly",
            "read_only_root_filesystem",
            "read_only_root_fs",
            "read_only_rootfs",
            "readonly_rootfs",
        ],
        "Not supported yet: the container's own file system is writable; remove the key if you accept that.",
    ),
    words(
        &[
            "cap_drop",
            "drop_capabilities",
            "capabilities_drop",
            "capabilities",
            "security_opt",
            "security_opts",
            "security_context",
            "no_new_privileges",
            "no_new_privs",
            "allow_privilege_escalation",
            "apparmor",
            "apparmor_profile",
            "seccomp",
            "seccomp_profile",
            "isolation",
            "runtime",
            "credential_spec",
            "internal",
        ],
        "Not supported yet: the container gets what `docker run` gives by default; remove the key if you accept that.",
    ),
    words(
        &[
            "cap_add",
            "privileged",
            "devices",
            "device",
            "device_cgroup_rules",
            "device_cgroup_rule",
            "gpus",
            "sysctls",
            "sysctl",
            "shm_size",
            "ipc",
            "ipc_mode",
            "pid",
            "pid_mode",
            "uts",
            "uts_mode",
            "cgroup",
            "cgroup_parent",
            "cgroupns",
            "cgroupns_mode",
        ],
        "Not supported yet: the container gets what `docker run` gives by default, and may not start without this.",
    ),
    words(&["cmd", "args", "arguments"], "Write `command = [\"--verbose\"]`."),
    words(
        &["name", "container_name"],
        "Rename the file: its name without the ending is the sidecar's, and farrier names the container after it.",
    ),
    words(
        &[
            "working_dir",
            "workdir",
            "working_directory",
            "hostname",
            "host_name",
            "domainname",
            "init",
            "platform",
            "mac_address",
            "stdin_open",
            "interactive",
            "tty",
            "attach",
            "logging",
            "log_driver",
            "log_opt",
            "log_opts",
        ],
        "Not supported yet: what the image declares holds; remove the key if you accept that.",
    ),
    words(
        &[
            "extra_hosts",
            "add_host",
            "host_aliases",
            "dns",
            "dns_search",
            "dns_opt",
            "dns_option",
            "ip",
            "ip6",
        ],
        "Not supported yet: the container finds names as the engine's network has them.",
    ),
    words(&["links", "link", "external_links"], "Sidecars reach each other by their names: remove the key."),
    words(&["stop_grace_period", "termination_grace_period_seconds"], "Write `stop_timeout = \"10s\"`."),
    words(
        &["restart", "restart_policy"],
        "Not supported yet: a sidecar that ended is started again by the next launch.",
    ),
    words(
        &["depends_on", "after", "requires"],
        "Not supported yet: all sidecars start together, and the harness waits for all. Let the server retry.",
    ),
    words(
        &["job", "program", "on_exit", "post_start", "pre_stop", "lifecycle_hooks", "init_containers"],
        "Not supported yet: a sidecar is one container that goes on running.",
    ),
    words(
        &["secrets", "configs", "secret", "config"],
        "Not supported: write a value that may stand in a file into `env`, or let the image fetch it.",
    ),
    words(
        &["build", "dockerfile", "context", "develop"],
        "Not supported: build the image first, and name it with `image = \"name:tag\"`.",
    ),
    words(
        &["pull_policy", "pull", "image_pull_policy"],
        "Not supported: farrier pulls an image that is absent, and uses the one that is here.",
    ),
    words(
        &["services", "containers", "spec", "sidecars"],
        "Write each service as a file of its own; the file's name without its ending is the sidecar's.",
    ),
    words(&["extends", "include", "scale", "replicas"], "Not supported: a file declares one container."),
    words(
        &["profiles", "profile", "engine", "placement"],
        "Not supported yet: every definition takes part in each launch; `disable = true` takes one out.",
    ),
    words(&["harness"], "Not supported yet: the harness gets `SWARMFORGE_TONG_<NAME>_HOST` and `…_PORT`."),
];

const INTERFACE: &[Words] = &[
    words(
        &["ports", "expose", "target", "target_port", "container_port"],
        "Write `interface.port = 5432`: the one that the server in the container listens on.",
    ),
    words(
        &["publish", "published", "host_port", "host_ip", "node_port"],
        "Not supported yet: nothing is published on this host; the harness reaches the sidecar without.",
    ),
    words(
        &["alias", "network_alias", "network_aliases", "hostname", "host"],
        "Write `interface.aliases = [\"db.test\"]`.",
    ),
    words(&["type"], "Write `interface.kind = \"port\"`."),
];

const RESOURCES: &[Words] = &[
    words(&["mem", "mem_limit", "memory_limit", "ram"], "Write `resources.memory = \"512MiB\"`."),
    words(
        &[
            "limits",
            "reservations",
            "requests",
            "cpus",
            "cpu",
            "cpu_shares",
            "cpu_quota",
            "cpuset",
            "pids",
            "pids_limit",
            "memory_swap",
            "swap",
            "memory_reservation",
            "ulimits",
            "shm_size",
            "disk",
            "storage",
        ],
        "Not supported yet: `resources.memory = \"512MiB\"` is the only limit.",
    ),
    words(&["devices", "generic_resources"], "Not supported: no device is handed to sidecars."),
];

const READINESS: &[Words] = &[
    words(
        &["test", "cmd", "exec"],
        "Write `readiness.probe = \"exec\"` with `readiness.command = [\"pg_isready\"]`.",
    ),
    words(
        &["start_interval", "period_seconds", "poll_interval"],
        "Not supported: farrier polls as soon as something may have changed; remove it.",
    ),
    words(
        &[
            "retries",
            "failure_threshold",
            "start_period",
            "initial_delay_seconds",
            "initial_delay",
            "timeout_seconds",
            "deadline",
        ],
        "Write how long to wait in all: `readiness.timeout = \"60s\"`.",
    ),
    words(&["success_threshold"], "Write `readiness.successes = 3`."),
    words(
        &["http_get", "http"],
        "Write `readiness.probe = \"http\"` with `readiness.settings = { path = \"/health\" }`.",
    ),
    words(&["tcp_socket", "tcp"], "Write `readiness.probe = \"tcp\"`."),
    words(&["grpc"], "Write `readiness.probe = \"grpc\"`."),
    words(&["disable", "none"], "Write `readiness.probe = \"skip\"`."),
    words(
        &[
            "path", "url", "status", "text", "regex", "port", "query", "user", "password", "database",
            "headers",
        ],
        "Write it into the probe's settings: `readiness.settings = { path = \"/health\" }`.",
    ),
    words(
        &["dial", "dirs", "logs", "env"],
        "Write it into the grants: `readiness.grants = { dial = [\"self\"] }`.",
    ),
    words(&["sha", "sha_256", "digest", "checksum", "pin"], "Write `readiness.sha256 = \"…\"`."),
    words(
        &["memory", "fuel"],
        "Write it into the limits: `readiness.limits = { memory = \"64MiB\", poll = \"2s\" }`.",
    ),
];

const LIMITS: &[Words] = &[
    words(&["mem", "memory_limit", "ram"], "Write `memory = \"64MiB\"`."),
    words(&["time", "timeout", "cpu", "deadline", "fuel"], "Write `poll = \"2s\"`."),
];

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
/// table in TOML, however it was meant, so words of the definition itself count in its tables too.
pub fn advice(path: &str, key: &str) -> Option<&'static str> {
    let key = plain(key);
    let of = |words: &'static [Words]| {
        words.iter().find(|group| group.spellings.contains(&key.as_str())).map(|group| group.hint)
    };
    let is_table =
        ["interface", "resources"].contains(&path) || (path.starts_with("readiness") && !path.contains('.'));
    // Conditions and limits may be named as a note.
    of(table(path)).or_else(|| of(TOP).filter(|_| is_table && key != "name"))
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

    #[test]
    fn every_spelling_of_a_word_is_known() {
        for (path, key, hint) in [
            ("", "environment", "env = "),
            ("", "read_only", "writable"),
            ("", "readOnly", "writable"),
            ("", "read-only", "writable"),
            ("", "--cap-drop", "docker run"),
            ("", "CAP_DROP", "docker run"),
            ("", "capDrop", "docker run"),
            ("", "capabilities_drop", "docker run"),
            ("", "drop_capabilities", "docker run"),
            ("", "no_new_privs", "docker run"),
            ("", "runAsNonRoot", "USER"),
            ("", "run_as_non_root", "USER"),
            ("", "run_as", "USER"),
            ("", "readOnlyRootFS", "writable"),
            ("", "read_only_rootfs", "writable"),
            ("", "network_disabled", "networks"),
            ("", "ports", "interface.port"),
            ("interface", "containerPort", "interface.port"),
            ("interface", "user", "USER"),
            ("interface", "readOnly", "writable"),
            ("resources", "cap_drop", "docker run"),
            ("readiness[1]", "privileged", "docker run"),
            ("resources", "cpus", "only limit"),
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
        let with_default = DEFAULTS.iter().flat_map(|(words, _)| *words);
        for word in with_default.chain(&CHOSEN_BY_PRESENCE) {
            assert!(all.contains(word), "{word}");
        }
    }
}
