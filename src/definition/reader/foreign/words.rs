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
    words(&["env_files", "env_from"], "Write `env_file = [\"db.env\"]`."),
    words(
        &["ports", "port", "expose", "exposed_ports", "publish", "published", "publish_all"],
        "Write `interface.port = 5432` with `interface.kind = \"port\"`: the harness reaches it there. Ports on this host are \
         in `interface.publish`.",
    ),
    words(
        &["volumes", "volume", "mount", "bind", "binds", "volumes_from", "volume_mounts", "volume_driver"],
        "Write `mounts = [\"volume:data:/data\"]`, or `bind:./file:/file:ro` for a file on this host.",
    ),
    words(&["tmpfs"], "Write `mounts = [\"tmpfs:/run:64MiB\"]`."),
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
        "Not supported: the limits are `resources.memory`, `resources.cpus`, `resources.pids`, `shm_size` and `ulimits`.",
    ),
    words(&["cpus", "cpu"], "Write `resources.cpus = 1.5`."),
    words(&["pids_limit"], "Write `resources.pids = 100`."),
    words(&["ulimit"], "Write `ulimits = { nofile = 1024 }`."),
    words(
        &["run_as", "run_as_user", "run_as_group", "run_as_non_root", "uid", "gid"],
        "Write `user = \"1000:1000\"`.",
    ),
    words(
        &["group_add", "userns_mode", "userns"],
        "Not supported: write `user = \"1000:1000\"`, or set it up in an image of your own.",
    ),
    words(
        &[
            "readonly",
            "read_only_root_filesystem",
            "read_only_root_fs",
            "read_only_rootfs",
            "readonly_rootfs",
        ],
        "Write `read_only = true`.",
    ),
    words(&["drop_capabilities", "capabilities_drop"], "Write `cap_drop = [\"ALL\"]`."),
    words(&["add_capabilities", "capabilities_add"], "Write `cap_add = [\"NET_ADMIN\"]`."),
    words(&["capabilities"], "Write `cap_add = [\"NET_ADMIN\"]` or `cap_drop = [\"ALL\"]`."),
    words(
        &["no_new_privileges", "no_new_privs", "allow_privilege_escalation", "security_opts"],
        "Write `security_opt = [\"no-new-privileges\"]`.",
    ),
    words(
        &[
            "security_context",
            "apparmor",
            "apparmor_profile",
            "seccomp",
            "seccomp_profile",
            "isolation",
            "runtime",
            "credential_spec",
            "internal",
        ],
        "Not supported: write `security_opt`, `cap_add` or `cap_drop`; otherwise the container gets the defaults of `docker run`.",
    ),
    words(
        &[
            "device_cgroup_rules",
            "device_cgroup_rule",
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
        "Not supported: the container gets the defaults of `docker run`, and may not start without this key.",
    ),
    words(&["device"], "Write `devices = [\"/dev/fuse\"]`."),
    words(&["gpus", "gpu"], "Write `resources.gpus = \"all\"`."),
    words(&["sysctl"], "Write `sysctls = { \"net.core.somaxconn\" = 1024 }`."),
    words(&["workdir", "working_directory", "cwd"], "Write `working_dir = \"/srv\"`."),
    words(&["cmd", "args", "arguments"], "Write `command = [\"--verbose\"]`."),
    words(
        &["name", "container_name"],
        "Rename the file: the file name without its extension is the sidecar's name, and farrier names the container after it.",
    ),
    words(
        &[
            "domainname",
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
        "Not supported: the image's setting applies; remove the key if you accept that.",
    ),
    words(&["host_name"], "Write `hostname = \"db\"`."),
    words(&["add_host", "host_aliases"], "Write `extra_hosts = { \"db.test\" = \"10.0.0.5\" }`."),
    words(
        &["dns", "dns_search", "dns_opt", "dns_option", "ip", "ip6"],
        "Not supported: the container resolves names as the engine's network does, and by `extra_hosts`.",
    ),
    words(&["links", "link", "external_links"], "Sidecars reach each other by their names: remove the key."),
    words(&["stop_grace_period", "termination_grace_period_seconds"], "Write `stop_timeout = \"10s\"`."),
    words(&["restart_policy"], "Write `restart = \"on-failure:3\"`."),
    words(
        &["depends_on", "requires"],
        "Write `after = [\"db\"]`; `{ sidecar = \"migrate\", until = \"succeeded\" }` waits for a job.",
    ),
    words(
        &["post_start", "pre_stop", "lifecycle_hooks", "init_containers"],
        "Not supported: declare a sidecar of its own with `job = \"once\"`, and name it in `after`.",
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
    words(&["profile"], "Write `profiles = [\"debug\"]`, and launch with `--profile debug`."),
    words(&["extends", "include", "scale", "replicas"], "Not supported: a file declares one container."),
];

/// Words in `interface`.
pub(super) const INTERFACE: &[Words] = &[
    words(
        &["expose", "target", "target_port", "container_port"],
        "Write `interface.port = 5432`, the port that the server in the container listens on.",
    ),
    words(
        &["published", "host_port", "host_ip", "node_port"],
        "Write `interface.publish = [\"15432:5432\"]`; the harness needs no published port.",
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
            "cpu_shares",
            "cpu_quota",
            "cpuset",
            "memory_swap",
            "swap",
            "memory_reservation",
            "disk",
            "storage",
        ],
        "Not supported: the limits here are `memory`, `cpus` and `pids`.",
    ),
    words(&["cpu"], "Write `resources.cpus = 1.5`."),
    words(&["pids_limit"], "Write `resources.pids = 100`."),
    words(&["gpu"], "Write `resources.gpus = \"all\"`."),
    words(
        &["ulimits", "ulimit", "shm_size"],
        "Write it at the top of the file: `ulimits = { nofile = 1024 }`.",
    ),
    words(&["devices", "generic_resources"], "Write `devices = [\"/dev/fuse\"]` at the top of the file."),
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
