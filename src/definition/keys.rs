//! The keys that make a container what it is, in one table. Decoder, model, hash, causes in plans, the engine's
//! settings, drift, the question for an approval, JSON Schema and `docs/definitions.md` follow from it.
//!
//! To add a key, add an entry here, a row to `keys/tests.rs` and a value to the definition of `decode/tests.rs`; if
//! `reader/foreign/words.rs` says that the key is not supported, take the word out there. If compose has the key,
//! `import/service.rs` translates it, and `docs/declaring.md` lists it. A value of a new kind also needs a [`Kind`]: what its
//! values are, and how each part of farrier reads, writes and tells them. `tests/docker/launch_keys.rs` shows what a container
//! gets.

mod amounts;
mod arguments;
mod confine;
mod devices;
mod engine;
mod environment;
mod hosts;
mod job;
mod kind;
mod labels;
mod mounts;
mod networks;
#[cfg(test)]
mod page;
mod paths;
mod placement;
mod privileges;
mod program;
mod publish;
mod restart;
mod stopping;
mod switches;
#[cfg(test)]
mod tests;
mod texts;
mod ulimits;
mod variable_files;

use schemars::{Schema, SchemaGenerator};
use serde_json::Value as Json;

use self::amounts::{Memory, Processes, Processors, SharedMemory};
pub use self::arguments::Words;
use self::arguments::{Command, Entrypoint};
use self::confine::Confine;
pub use self::confine::ConfinedNetwork;
use self::devices::{Devices, Gpus};
use self::engine::Engine;
pub use self::engine::EngineName;
use self::environment::Environment;
pub use self::environment::salted;
use self::hosts::ExtraHosts;
use self::job::Job;
pub use self::job::JobRuns;
pub use self::kind::{Kind, ValueText};
use self::labels::Labels;
use self::mounts::Mounts;
pub use self::mounts::is_engine_socket;
use self::networks::Networks;
pub(super) use self::paths::normalised;
use self::placement::Placement;
pub use self::placement::{NamedNode, named_node, names_one_node};
pub use self::privileges::known as linux_capability;
use self::privileges::{LinuxCapabilities, SecurityOptions, Sysctls};
use self::program::{Program, WorkingDirectory};
use self::publish::Publish;
pub use self::publish::{Protocol, PublishedPort};
use self::restart::Restart;
pub use self::restart::RestartPolicy;
pub use self::stopping::whole_seconds;
use self::stopping::{GracePeriod, Signal};
use self::switches::{Init, Privileged, ReadOnly};
use self::texts::{Hostname, Platform, User};
use self::ulimits::Ulimits;
use self::variable_files::VariableFiles;
use super::node::Node;
use super::reader::Reader;

/// Settings of a container that an engine takes as they stand and shows again. Their names are those of docker's API, which
/// Podman has, too: `StopSignal`, and with its part `HostConfig.Memory`. An engine of another kind carries out those that it
/// knows and refuses all others.
pub type Settings = std::collections::BTreeMap<String, Json>;

/// Makes the model's struct and the table of its entries. An entry is documentation, name, [`Kind`], and in braces what is
/// not as [`Key`] has it by itself.
macro_rules! keys {
    ($($(#[doc = $line:literal])+ $name:ident: $kind:ident { $($property:ident: $value:expr),* $(,)? })*) => {
        /// What a definition says of its container: the values of all [`KEYS`]. Each key's default is that it is absent.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ContainerKeys {
            $($(#[doc = $line])+ pub $name: <$kind as Kind>::Value,)*
        }

        /// All keys, in the order in which a configuration is hashed.
        pub static KEYS: &[Key] = &[$(Key {
            $($property: $value,)*
            ..Key {
                name: stringify!($name),
                path: stringify!($name),
                setting: None,
                is_only_for_images: false,
                is_only_for_programs: false,
                rank: Rank::Usual,
                documentation: concat!($($line, "\n"),+),
                decode: |node, path, reader, keys| keys.$name = $kind::decode(node, path, reader),
                schema: $kind::schema,
                is_absent: |keys| keys.$name == <$kind as Kind>::Value::default(),
                canonical: |keys| $kind::canonical(&keys.$name),
                recorded: |keys, salt| $kind::recorded(&keys.$name, salt),
                differences: $kind::differences,
                texts: |label, keys| $kind::texts(label, &keys.$name, keys),
                engine_value: |keys| $kind::engine_value(&keys.$name),
                holds: $kind::holds,
            }
        },)*];
    };
}

keys! {
    /// Replaces the image's entrypoint.
    entrypoint: Entrypoint { is_only_for_images: true }

    /// Replaces the image's command.
    command: Command { is_only_for_images: true }

    /// The container's environment variables. In TOML, farrier first replaces `${NAME}` in the values.
    env: Environment { rank: Rank::Many }

    /// Mounts: `volume:NAME:/path[:ro]`, persistent data; `bind:SOURCE:/path[:ro]`, a file or folder on this host;
    /// `tmpfs:/path[:SIZE]`, an in-memory file system; `docker-socket[:ro]`, the engine's socket; in a session sidecar,
    /// `workspace:/path[:ro]`, the workspace.
    mounts: Mounts { is_only_for_images: true, rank: Rank::Machine, setting: Some(mounts::TMPFS) }

    /// Networks to join in addition to the harness's.
    networks: Networks { is_only_for_images: true, rank: Rank::Network }

    /// The memory limit: bytes, or a number with a unit (`512m`, `1.5g`, `64MiB`, `512Mi`); at least 6 MiB.
    memory: Memory { path: "resources.memory", setting: Some("HostConfig.Memory") }

    /// The signal that asks the container to stop, by name or number. Default: the image's, or `SIGTERM`.
    stop_signal: Signal { setting: Some("StopSignal") }

    /// How long the container may take to stop before it is killed. Default: 10 s.
    stop_timeout: GracePeriod { setting: Some("StopTimeout") }

    /// Instead of `image`: a program on this host, with its arguments. farrier searches `PATH` for a name without `/`; a path
    /// is relative to this file. The program runs as you, and listens on one of this host's ports; only `confine`
    /// limits what it can do.
    program: Program { rank: Rank::Machine }

    /// The working directory. For an image: an absolute path in the container. For a `program`: relative to this file; default:
    /// an empty folder of its own, which farrier removes with the sidecar.
    working_dir: WorkingDirectory {
        rank: Rank::Machine,
        setting: Some("WorkingDir"),
        engine_value: |keys| keys.working_dir.clone().filter(|_| keys.program.is_none()).map(Json::from),
    }

    /// The user, and optionally the group, that the container's processes run as: `postgres`, `1000`, `1000:1000`. Default: the image's.
    user: User { setting: Some("User") }

    /// The container's own host name. The harness reaches the container by the sidecar's name or `interface.aliases` instead.
    hostname: Hostname { setting: Some("Hostname") }

    /// Whether the engine runs an init process that forwards signals and reaps processes. Default: the engine's.
    init: Init { setting: Some("HostConfig.Init") }

    /// Whether the container can write only to its mounts. Default: false.
    read_only: ReadOnly { setting: Some("HostConfig.ReadonlyRootfs") }

    /// Whether the container's processes have the privileges of root on the engine's host. Default: false.
    privileged: Privileged { setting: Some("HostConfig.Privileged"), rank: Rank::Machine }

    /// Linux capabilities to add, with or without `CAP_`: `NET_ADMIN`, `ALL`.
    cap_add: LinuxCapabilities { setting: Some("HostConfig.CapAdd"), rank: Rank::Machine }

    /// Linux capabilities to drop.
    cap_drop: LinuxCapabilities { setting: Some("HostConfig.CapDrop") }

    /// Security options for the container: `no-new-privileges`, `apparmor=PROFILE`, `seccomp=unconfined`, `label=…`.
    security_opt: SecurityOptions { setting: Some("HostConfig.SecurityOpt"), rank: Rank::Machine }

    /// The size of `/dev/shm` (shared memory): bytes, or a number with a unit. Default: the engine's, 64 MiB.
    shm_size: SharedMemory { setting: Some("HostConfig.ShmSize") }

    /// The kernel's limits for each process, by name: one number, or `{ soft = 1024, hard = 2048 }`; -1 is no limit.
    ulimits: Ulimits { setting: Some("HostConfig.Ulimits") }

    /// Devices of the engine's host: `HOST[:CONTAINER][:rwm]`.
    devices: Devices { setting: Some("HostConfig.Devices"), rank: Rank::Machine }

    /// Kernel parameters to set in the container, such as `net.core.somaxconn`.
    sysctls: Sysctls { setting: Some("HostConfig.Sysctls"), rank: Rank::Machine }

    /// Additional host names with their addresses; `host-gateway` is the engine's host.
    extra_hosts: ExtraHosts { setting: Some("HostConfig.ExtraHosts"), rank: Rank::Network }

    /// Labels for other tools. Names that begin with `farrier.` are reserved.
    labels: Labels { setting: Some("Labels") }

    /// The platform of the image, such as `linux/arm64`. Default: the engine's.
    platform: Platform { setting: Some("Platform") }

    /// Files with variables, `NAME=value` on each line, relative to this file; later files override earlier files, and `env` overrides all of them.
    env_file: VariableFiles {}

    /// Whether the engine starts the container again when it ends: `no` (the default), `on-failure[:N]`, `always`,
    /// `unless-stopped`.
    restart: Restart { setting: Some("HostConfig.RestartPolicy") }

    /// Makes the sidecar a job, which ends by itself and is ready when it has ended with exit code 0. `once`: it runs in each
    /// launch until it has succeeded, and again if a sidecar in its `after` is recreated. `every-launch`: it runs in every launch.
    job: Job {}

    /// Container ports to publish on the engine's host, as in compose's `ports`, but on 127.0.0.1 unless you give an address:
    /// `15432:5432`, `5432` for a free port, `0.0.0.0:8000-8009:8000-8009`, `53:53/udp`.
    publish: Publish {
        path: "interface.publish",
        setting: Some("HostConfig.PortBindings"),
        rank: Rank::Network,
    }

    /// How many CPUs the container may use: `2`, `0.5`.
    cpus: Processors { path: "resources.cpus", setting: Some("HostConfig.NanoCpus") }

    /// How many processes and threads the container may have.
    pids: Processes { path: "resources.pids", setting: Some("HostConfig.PidsLimit") }

    /// For a `program`: what it can use. `read` and `write` list the files and folders that it may read and write, besides the
    /// system's programs and libraries; with `network = "loopback"`, it reaches no network but its own loopback interface.
    confine: Confine { is_only_for_programs: true, rank: Rank::Machine }

    /// GPUs: `all`, a number, or `device=ID,ID`.
    gpus: Gpus { path: "resources.gpus", setting: Some("HostConfig.DeviceRequests"), rank: Rank::Machine }

    /// On which nodes the sidecar may run, for an engine that has several; all constraints must hold: `node.labels.gpu == true`,
    /// `node.hostname != old`.
    placement: Placement { is_only_for_images: true }

    /// The engine that runs the sidecar: `docker`, `native` or `swarm`. `--engine` overrides it. Default: a `program` or an image
    /// file runs on `native`, and everything else on `docker`, or on `native` if Docker does not answer.
    engine: Engine { rank: Rank::Machine }
}

/// What version 0.1.0 wrote into the canonical form of each configuration, whether a definition has it or not. Later keys
/// are left out where they are absent, so that hashes of containers that run stay as they are.
const ALWAYS_WRITTEN: &[&str] = &["entrypoint", "command", "env", "mounts", "networks", "memory"];

/// Keys of which even an empty value has always been read. An empty value of a later one, which earlier versions passed over
/// with a warning, is still passed over.
const NEVER_IGNORED: &[&str] = &["stop_signal", "stop_timeout", "program", "working_dir"];

/// How much a yes to a line of a question may cost, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Power over the machine.
    Machine,
    /// A way into other networks.
    Network,
    /// What a probe may do.
    Grant,
    /// What becomes of the container that exists.
    Container,
    /// Everything else.
    #[default]
    Usual,
    /// There may be hundreds, which must not push anything else out of sight.
    Many,
}

/// One key of the table.
pub struct Key {
    /// Its field in [`ContainerKeys`] and its name in the canonical form of a configuration; stays for ever.
    pub name: &'static str,
    /// Where it stands in a definition: `resources.memory`. Its name if an entry says nothing else.
    pub path: &'static str,
    /// The engine's setting that takes its value as it stands, if there is one: then creating containers and drift need
    /// nothing more.
    pub setting: Option<&'static str>,
    /// Whether it says nothing of a `program`. Of the other keys, an engine refuses by their settings what it lacks.
    pub is_only_for_images: bool,
    /// Whether it says nothing of an `image`.
    pub is_only_for_programs: bool,
    /// Where a question for an approval shows it. [`Rank::Usual`] if an entry says nothing else.
    pub rank: Rank,
    /// The entry's comment, for schema and documentation.
    documentation: &'static str,
    decode: fn(&Node, &str, &mut Reader<'_>, &mut ContainerKeys),
    schema: fn(&mut SchemaGenerator) -> Schema,
    is_absent: fn(&ContainerKeys) -> bool,
    canonical: fn(&ContainerKeys) -> String,
    recorded: fn(&ContainerKeys, &str) -> String,
    differences: fn(&str, Option<&Json>, Option<&Json>) -> Vec<String>,
    texts: fn(&str, &ContainerKeys) -> Vec<ValueText>,
    engine_value: fn(&ContainerKeys) -> Option<Json>,
    holds: fn(&Json, Option<&Json>) -> bool,
}

impl Key {
    /// What it means, in Markdown.
    #[must_use]
    pub fn documentation(&self) -> String {
        self.documentation.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
    }

    /// What people read in place of its name: `stop signal`.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.replace('_', " ")
    }

    /// Whether even an empty value is read.
    pub(super) fn ignores_nothing(&self) -> bool {
        ALWAYS_WRITTEN.contains(&self.name) || NEVER_IGNORED.contains(&self.name)
    }

    /// Reads its value from a file's tree.
    pub(super) fn decode(&self, node: &Node, reader: &mut Reader<'_>, keys: &mut ContainerKeys) {
        (self.decode)(node, self.path, reader, keys);
    }

    /// What editors accept, without its documentation.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// Its value as JSON in the canonical form that is hashed; `None` if it is left out.
    #[must_use]
    pub fn canonical(&self, keys: &ContainerKeys) -> Option<String> {
        self.is_written(keys).then(|| (self.canonical)(keys))
    }

    /// Like [`Key::canonical`], with digests in place of what may be a secret, for a container's label.
    #[must_use]
    pub fn recorded(&self, keys: &ContainerKeys, salt: &str) -> Option<String> {
        self.is_written(keys).then(|| (self.recorded)(keys, salt))
    }

    /// Whether a definition has it.
    #[must_use]
    pub fn is_declared(&self, keys: &ContainerKeys) -> bool {
        !(self.is_absent)(keys)
    }

    fn is_written(&self, keys: &ContainerKeys) -> bool {
        ALWAYS_WRITTEN.contains(&self.name) || !(self.is_absent)(keys)
    }

    /// The paths that differ between two recorded forms; none if they are the same.
    #[must_use]
    pub fn differences(&self, before: Option<&Json>, now: Option<&Json>) -> Vec<String> {
        (self.differences)(self.path, before, now)
    }

    /// Whether what an engine shows of its setting is what it was told.
    #[must_use]
    pub fn holds(&self, told: &Json, shown: Option<&Json>) -> bool {
        (self.holds)(told, shown)
    }

    /// What a question for an approval says of its value.
    #[must_use]
    pub fn texts(&self, keys: &ContainerKeys) -> Vec<ValueText> {
        (self.texts)(&self.label(), keys)
    }
}

impl ContainerKeys {
    /// What the engine is told as it stands.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let value = |key: &Key| Some((key.setting?.to_owned(), (key.engine_value)(self)?));
        KEYS.iter().filter_map(value).collect()
    }
}

/// The names of the keys that stand in a table of a definition: in the top one (no name), or in `resources`.
pub(super) fn in_table(table: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |key| {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (parent == table).then_some(name)
    })
}
