//! Words of compose, docker and Kubernetes that a definition does not have. Whoever writes one means it: passed over, the
//! container would run as another user, with more power, or without what it needs.

use super::reader::{nearest, plain};

/// What a word's loss would do to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It would have more power than the file says.
    Power,
    /// It would be something else than the file says.
    Meaning,
}

use Loss::{Meaning, Power};

/// Words of one meaning.
struct Words {
    /// In lower case, with `_` between their parts.
    spellings: &'static [&'static str],
    loss: Loss,
    /// What to do.
    hint: &'static str,
}

const fn words(loss: Loss, spellings: &'static [&'static str], hint: &'static str) -> Words {
    Words { spellings, loss, hint }
}

/// Words beside `image`.
const TOP: &[Words] = &[
    words(
        Meaning,
        &["environment", "envs", "env_vars", "environment_variables"],
        "Write `env = { NAME = \"value\" }`.",
    ),
    words(
        Meaning,
        &["env_file", "env_files", "env_from"],
        "It is not offered yet: write the values into `env`.",
    ),
    words(
        Meaning,
        &["ports", "port", "expose", "exposed_ports", "publish", "published", "publish_all"],
        "Write `interface.port = 5432` with `interface.kind = \"port\"`: the harness reaches it there. Nothing is published \
         on this host.",
    ),
    words(
        Meaning,
        &["volumes", "volume", "mount", "bind", "binds", "volumes_from", "volume_mounts", "volume_driver"],
        "It is not offered yet; `mounts = [\"docker-socket\"]` is the only mount. Copy files into an image of your own; \
         volumes that the image declares are kept when its container is recreated.",
    ),
    words(
        Meaning,
        &["tmpfs"],
        "It is not offered yet: the container's own file system is writable; remove the key.",
    ),
    words(
        Meaning,
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
    words(Meaning, &["probe", "mode"], "Write `readiness.probe = \"tcp\"`."),
    words(Meaning, &["timeout", "start_timeout"], "Write `readiness.timeout = \"30s\"`."),
    words(Meaning, &["settings"], "Write `readiness.settings = { path = \"/\" }`."),
    words(Meaning, &["kind"], "Write `interface.kind = \"port\"`."),
    words(
        Meaning,
        &["aliases", "alias", "network_alias", "network_aliases"],
        "Write `interface.aliases = [\"db.test\"]`.",
    ),
    words(
        Power,
        &["network_mode", "network", "net"],
        "Write `networks = [\"name\"]` to join more networks than the harness's; other modes are not offered.",
    ),
    words(
        Power,
        &["memory", "mem_limit", "mem", "memory_limit", "deploy"],
        "Write `resources.memory = \"512MiB\"`.",
    ),
    words(
        Power,
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
        "It is not offered yet: `resources.memory = \"512MiB\"` is the only limit.",
    ),
    words(
        Power,
        &["user", "group_add", "run_as_user", "run_as_group", "userns_mode", "userns", "uid", "gid"],
        "It is not offered yet: set the user with `USER` in an image of your own.",
    ),
    words(
        Power,
        &["read_only", "read_only_root_filesystem", "readonly_rootfs"],
        "It is not offered yet: the container's own file system is writable; remove the key if that may be.",
    ),
    words(
        Power,
        &[
            "cap_drop",
            "capabilities",
            "security_opt",
            "security_opts",
            "security_context",
            "no_new_privileges",
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
        "It is not offered yet: the container gets what `docker run` gives by default; remove the key if that may be.",
    ),
    words(
        Meaning,
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
        "It is not offered yet: the container gets what `docker run` gives by default, and may not start without this.",
    ),
    words(Meaning, &["cmd", "args", "arguments"], "Write `command = [\"--verbose\"]`."),
    words(
        Meaning,
        &["name", "container_name"],
        "Rename the file: its name without the ending is the sidecar's, and farrier names the container after it.",
    ),
    words(
        Meaning,
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
            "labels",
            "label",
            "label_file",
            "annotations",
            "logging",
            "log_driver",
            "log_opt",
            "log_opts",
        ],
        "It is not offered yet: what the image declares holds; remove the key if that may be.",
    ),
    words(
        Meaning,
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
        "It is not offered yet: the container finds names as the engine's network has them.",
    ),
    words(
        Meaning,
        &["links", "link", "external_links"],
        "Sidecars reach each other by their names: remove the key.",
    ),
    words(
        Meaning,
        &["stop_grace_period", "termination_grace_period_seconds"],
        "Write `stop_timeout = \"10s\"`.",
    ),
    words(
        Meaning,
        &["restart", "restart_policy"],
        "It is not offered yet: a sidecar that ended is started again by the next launch.",
    ),
    words(
        Meaning,
        &["depends_on", "after", "requires"],
        "It is not offered yet: all sidecars start together, and the harness waits for all. Let the server retry.",
    ),
    words(
        Meaning,
        &["job", "program", "on_exit", "post_start", "pre_stop", "lifecycle_hooks", "init_containers"],
        "It is not offered yet: a sidecar is one container that goes on running.",
    ),
    words(
        Meaning,
        &["secrets", "configs", "secret", "config"],
        "It is not offered: write a value that may stand in a file into `env`, or let the image fetch it.",
    ),
    words(
        Meaning,
        &["build", "dockerfile", "context", "develop"],
        "It is not offered: build the image first, and name it with `image = \"name:tag\"`.",
    ),
    words(
        Meaning,
        &["pull_policy", "pull", "image_pull_policy"],
        "It is not offered: farrier pulls an image that is absent, and uses the one that is here.",
    ),
    words(
        Meaning,
        &["services", "containers", "spec", "sidecars"],
        "Write each service as a file of its own; the file's name without its ending is the sidecar's.",
    ),
    words(
        Meaning,
        &["extends", "include", "scale", "replicas"],
        "It is not offered: a file declares one container.",
    ),
    words(
        Meaning,
        &["profiles", "profile", "engine", "placement"],
        "It is not offered yet: every definition takes part in each launch; `disable = true` takes one out.",
    ),
    words(
        Meaning,
        &["harness"],
        "It is not offered yet: the harness gets `SWARMFORGE_TONG_<NAME>_HOST` and `…_PORT`.",
    ),
];

const INTERFACE: &[Words] = &[
    words(
        Meaning,
        &["ports", "expose", "target", "target_port", "container_port"],
        "Write `interface.port = 5432`: the one that the server in the container listens on.",
    ),
    words(
        Meaning,
        &["publish", "published", "host_port", "host_ip", "node_port"],
        "It is not offered yet: nothing is published on this host; the harness reaches the sidecar without.",
    ),
    words(
        Meaning,
        &["alias", "network_alias", "network_aliases", "hostname", "host"],
        "Write `interface.aliases = [\"db.test\"]`.",
    ),
    words(Meaning, &["type"], "Write `interface.kind = \"port\"`."),
];

const RESOURCES: &[Words] = &[
    words(Power, &["mem", "mem_limit", "memory_limit", "ram"], "Write `resources.memory = \"512MiB\"`."),
    words(
        Power,
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
        "It is not offered yet: `resources.memory = \"512MiB\"` is the only limit.",
    ),
    words(Meaning, &["devices", "generic_resources"], "It is not offered: no device is handed to sidecars."),
];

const READINESS: &[Words] = &[
    words(
        Meaning,
        &["test", "cmd", "exec"],
        "Write `readiness.probe = \"exec\"` with `readiness.command = [\"pg_isready\"]`.",
    ),
    words(
        Meaning,
        &["start_interval", "period_seconds", "poll_interval"],
        "It is not offered: farrier polls as soon as something may have changed; remove it.",
    ),
    words(
        Meaning,
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
    words(Meaning, &["success_threshold"], "Write `readiness.successes = 3`."),
    words(
        Meaning,
        &["http_get", "http"],
        "Write `readiness.probe = \"http\"` with `readiness.settings = { path = \"/health\" }`.",
    ),
    words(Meaning, &["tcp_socket", "tcp"], "Write `readiness.probe = \"tcp\"`."),
    words(Meaning, &["grpc"], "Write `readiness.probe = \"grpc\"`."),
    words(Meaning, &["disable", "none"], "Write `readiness.probe = \"skip\"`."),
    words(
        Meaning,
        &[
            "path", "url", "status", "text", "regex", "port", "query", "user", "password", "database",
            "headers",
        ],
        "Write it into the probe's settings: `readiness.settings = { path = \"/health\" }`.",
    ),
    words(
        Meaning,
        &["dial", "dirs", "logs", "env"],
        "Write it into the grants: `readiness.grants = { dial = [\"self\"] }`.",
    ),
    words(Power, &["sha", "sha_256", "digest", "checksum", "pin"], "Write `readiness.sha256 = \"…\"`."),
    words(
        Power,
        &["memory", "fuel"],
        "Write it into the limits: `readiness.limits = { memory = \"64MiB\", poll = \"2s\" }`.",
    ),
];

const LIMITS: &[Words] = &[
    words(Power, &["mem", "memory_limit", "ram"], "Write `memory = \"64MiB\"`."),
    words(Power, &["time", "timeout", "cpu", "deadline", "fuel"], "Write `poll = \"2s\"`."),
];

/// Known keys whose loss would leave the container, its probe or the workspace more power than the file says.
const RESTRICTING: [&str; 6] = ["resources", "memory", "required", "sha256", "limits", "poll"];

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

/// What to do about a key of the table at a path, where it is such a word.
pub fn advice(path: &str, key: &str) -> Option<&'static str> {
    let key = plain(key);
    table(path).iter().find(|group| group.spellings.contains(&key.as_str())).map(|group| group.hint)
}

/// Whether a key that is no such word is probably one that was to take power away: it must be told.
pub fn takes_power(path: &str, key: &str, known: &[&str]) -> bool {
    if matches!(path, "resources") || path.ends_with("limits") {
        return true;
    }
    let restricting = known.iter().copied().filter(|known| RESTRICTING.contains(known));
    let foreign = table(path).iter().filter(|group| group.loss == Power).flat_map(|group| group.spellings);
    let candidates: Vec<&str> = restricting.chain(foreign.copied()).collect();
    nearest(&plain(key), &candidates).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::schema;

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
            ("", "ports", "interface.port"),
            ("interface", "containerPort", "interface.port"),
            ("resources", "cpus", "only limit"),
            ("readiness", "httpGet", "http"),
            ("readiness[1]", "retries", "timeout"),
            ("readiness.limits", "timeout", "poll"),
            ("readiness[0].limits", "timeout", "poll"),
        ] {
            assert!(advice(path, key).is_some_and(|found| found.contains(hint)), "{path}.{key}");
        }
        for (path, key) in
            [("", "x-note"), ("", "comment"), ("interface", "user"), ("readiness.settings", "user")]
        {
            assert_eq!(advice(path, key), None, "{path}.{key}");
        }
    }

    #[test]
    fn what_would_leave_more_power_is_told_in_any_case() {
        for (path, key, expected) in [
            ("", "usr", true),
            ("", "cap_dorp", true),
            ("", "readonly", true),
            ("", "resource", true),
            ("", "requird", true),
            ("resources", "memroy", true),
            ("resources", "anything", true),
            ("readiness", "sha265", true),
            ("readiness.limits", "pol", true),
            ("", "comment", false),
            ("", "x-note", false),
            ("readiness", "timout", false),
        ] {
            let keys = match path {
                "" => schema::DefinitionFile::KEYS,
                "readiness" => schema::Readiness::KEYS,
                _ => &[],
            };
            assert_eq!(takes_power(path, key, keys), expected, "{path}.{key}");
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
    }
}
