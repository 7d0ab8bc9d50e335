//! What a Swarm can do, and which keys of a definition it carries out.

use super::files::MOST_BYTES;
use crate::engine::Capabilities;
use crate::engine::capabilities::{Availability, HostFiles, KnownKeys};

/// What it can do. Executions and health tests need the node of a task itself: a manager speaks for its Swarm, and as an engine
/// for its own node only.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "swarm",
    product: "Docker Swarm",
    images: true,
    image_files: false,
    programs: false,
    exec: Availability::OnNamedNode,
    logs: true,
    health: Availability::OnNamedNode,
    own_network: true,
    resolves_names: true,
    has_socket: false,
    host_files: HostFiles::Copies(MOST_BYTES),
    volumes: Availability::OnNamedNode,
    nodes: true,
    sessions: false,
    keys: Some(KnownKeys {
        of_programs: &[],
        of_images: &[
            "cap_add",
            "cap_drop",
            "command",
            "cpus",
            "engine",
            "entrypoint",
            "env",
            "env_file",
            "hostname",
            "init",
            "job",
            "labels",
            "memory",
            "mounts",
            "networks",
            "pids",
            "placement",
            "read_only",
            "restart",
            "stop_signal",
            "stop_timeout",
            "sysctls",
            "ulimits",
            "user",
            "working_dir",
        ],
    }),
};
