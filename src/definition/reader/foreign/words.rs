//! The words themselves, by the table that they are written in.

/// Words of one meaning.
pub(super) struct Words {
    /// In lower case, with `_` between their parts.
    pub(super) spellings: &'static [&'static str],
    /// What to do.
    pub(super) hint: &'static str,
}

const fn words(spellings: &'static [&'static str], hint: &'static str) -> Words {
    Words { spellings, hint }
}

/// Words beside `image`.
pub(super) const TOP: &[Words] = &[
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
        "Not supported yet: the container gets the defaults of `docker run`; remove the key if you accept that.",
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
        "Not supported yet: the container gets the defaults of `docker run`, and may not start without this key.",
    ),
    words(&["workdir", "working_directory", "cwd"], "Write `working_dir = \"folder\"`, for a `program`."),
    words(&["cmd", "args", "arguments"], "Write `command = [\"--verbose\"]`."),
    words(
        &["name", "container_name"],
        "Rename the file: the file name without its extension is the sidecar's name, and farrier names the container after it.",
    ),
    words(
        &[
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
        "Not supported yet: the image's setting applies; remove the key if you accept that.",
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
        "Not supported yet: the container resolves names as the engine's network does.",
    ),
    words(&["links", "link", "external_links"], "Sidecars reach each other by their names: remove the key."),
    words(&["stop_grace_period", "termination_grace_period_seconds"], "Write `stop_timeout = \"10s\"`."),
    words(
        &["restart", "restart_policy"],
        "Not supported yet: the next launch starts a sidecar that has ended.",
    ),
    words(
        &["depends_on", "after", "requires"],
        "Not supported yet: all sidecars start together, and the harness waits for all. Let the server retry.",
    ),
    words(
        &["job", "on_exit", "post_start", "pre_stop", "lifecycle_hooks", "init_containers"],
        "Not supported yet: a sidecar is one container that keeps running.",
    ),
    words(
        &["secrets", "configs", "secret", "config"],
        "Not supported: write a value that may be stored in a file into `env`, or let the image fetch it.",
    ),
    words(
        &["build", "dockerfile", "context", "develop"],
        "Not supported: build the image first, and name it with `image = \"name:tag\"`.",
    ),
    words(
        &["pull_policy", "pull", "image_pull_policy"],
        "Not supported: farrier pulls a missing image, and uses an image that is present.",
    ),
    words(
        &["services", "containers", "spec", "sidecars"],
        "Write a file for each service; the file name without its extension is the sidecar's name.",
    ),
    words(&["extends", "include", "scale", "replicas"], "Not supported: a file declares one container."),
    words(
        &["profiles", "profile", "engine", "placement"],
        "Not supported yet: every launch uses all definitions; `disable = true` excludes one.",
    ),
    words(&["harness"], "Not supported yet: the harness gets `SWARMFORGE_TONG_<NAME>_HOST` and `…_PORT`."),
];

/// Words in `interface`.
pub(super) const INTERFACE: &[Words] = &[
    words(
        &["ports", "expose", "target", "target_port", "container_port"],
        "Write `interface.port = 5432`, the port that the server in the container listens on.",
    ),
    words(
        &["publish", "published", "host_port", "host_ip", "node_port"],
        "Not supported yet: nothing is published on this host; the harness needs no published port.",
    ),
    words(
        &["alias", "network_alias", "network_aliases", "hostname", "host"],
        "Write `interface.aliases = [\"db.test\"]`.",
    ),
    words(&["type"], "Write `interface.kind = \"port\"`."),
];

/// Words in `resources`.
pub(super) const RESOURCES: &[Words] = &[
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
    words(&["devices", "generic_resources"], "Not supported: sidecars get no devices."),
];

/// Words in `readiness`.
pub(super) const READINESS: &[Words] = &[
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
        "Write how long to wait in total: `readiness.timeout = \"60s\"`.",
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

/// Words in `readiness.limits`.
pub(super) const LIMITS: &[Words] = &[
    words(&["mem", "memory_limit", "ram"], "Write `memory = \"64MiB\"`."),
    words(&["time", "timeout", "cpu", "deadline", "fuel"], "Write `poll = \"2s\"`."),
];
