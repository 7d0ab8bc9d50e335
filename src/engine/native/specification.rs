//! What an instance is, fixed when it is created.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::confining::Confinement;
use super::container::mounts::ContainerMount;
use super::container::specification::ContainerSpecification;
use super::control_group::Limits;
use super::fingerprint::Fingerprint;
use super::limited::user_of_this_host;
use crate::definition::RestartPolicy;
use crate::plan::sidecar::{FirstValues, LABEL_REPLACED, Sidecar};

/// The signal that asks a program to end if nothing names one.
const STOP_SIGNAL: &str = "SIGTERM";
/// How long a program may take to end if its definition does not say it: as Docker has it.
const GRACE: Duration = Duration::from_secs(10);
/// The variables that a program inherits.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// The variable by which the processes of an instance are found, wherever they went.
pub const MARK: &str = "FARRIER_INSTANCE";

/// The file of an instance that says what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Specification {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The network that it was made for.
    pub network: String,
    /// Its names there.
    pub aliases: Vec<String>,
    /// What runs.
    pub runs: Runs,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// What asks it to end.
    pub stop_signal: String,
    /// How long it may take to end.
    pub grace: Duration,
    /// When it is started again; never if `None`.
    #[serde(default)]
    pub restart: Option<RestartPolicy>,
}

/// What an instance runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// A program of this host.
    Program(Box<ProgramSpecification>),
    /// A container.
    Container(Box<ContainerSpecification>),
}

/// A program of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpecification {
    /// Its file.
    pub file: PathBuf,
    /// What the file was.
    pub fingerprint: Fingerprint,
    /// What the program is started with, its own name first.
    pub arguments: Vec<String>,
    /// Where it starts; the instance's own folder if `None`.
    pub directory: Option<PathBuf>,
    /// Who it runs as, by name or number; whoever started it if `None`.
    #[serde(default)]
    pub user: Option<String>,
    /// The kernel's limits for each of its processes, soft and hard.
    #[serde(default)]
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// The ports at which it listens.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// How much it may use.
    #[serde(default)]
    pub limits: Limits,
    /// What confines it; nothing if `None`.
    #[serde(default)]
    pub confinement: Option<Confinement>,
}

impl ProgramSpecification {
    /// Whether something is to be set before it is executed.
    pub fn is_limited(&self) -> bool {
        self.user.is_some()
            || !self.ulimits.is_empty()
            || !self.limits.is_none()
            || self.confinement.is_some()
    }
}

impl Specification {
    /// Of a sidecar's new instance with this id.
    pub fn new(
        sidecar: &Sidecar,
        network: &str,
        (runs, mut env): (Runs, BTreeMap<String, String>),
        stop_signal: Option<String>,
        (replaced, changed_since): (&[String], &FirstValues),
        (id, salt): (&str, &str),
    ) -> Self {
        let definition = &sidecar.definition;
        let keys = &definition.container;
        let mut labels = sidecar.labels(changed_since, salt);
        labels.extend(keys.labels.clone());
        if !replaced.is_empty() {
            labels.insert(LABEL_REPLACED.to_owned(), replaced.join(" "));
        }
        let is_found_by_mark =
            !matches!(&runs, Runs::Container(container) if container.isolation.is_isolated());
        if is_found_by_mark {
            env.insert(MARK.to_owned(), id.to_owned());
        }
        let stop_signal = keys.stop_signal.clone().or(stop_signal);
        Self {
            name: sidecar.container.clone(),
            labels,
            network: network.to_owned(),
            aliases: definition.aliases(),
            runs,
            env,
            stop_signal: stop_signal.unwrap_or_else(|| STOP_SIGNAL.to_owned()),
            grace: keys.stop_timeout.unwrap_or(GRACE),
            restart: keys.restart.clone(),
        }
    }

    /// The ports at which others reach it.
    pub fn ports(&self) -> &[u16] {
        match &self.runs {
            Runs::Program(program) => &program.ports,
            Runs::Container(container) => &container.ports,
        }
    }

    /// How much it may use.
    pub fn limits(&self) -> &Limits {
        match &self.runs {
            Runs::Program(program) => &program.limits,
            Runs::Container(container) => &container.limits,
        }
    }

    /// The signal that asks the program to end; `None` if the engine does not know it.
    pub fn signal(&self) -> Option<Signal> {
        signal_named(&self.stop_signal)
    }

    /// The digest that stands for what it was made from.
    pub fn image(&self) -> &str {
        match &self.runs {
            Runs::Program(program) => &program.fingerprint.digest,
            Runs::Container(container) => &container.image,
        }
    }

    /// The names of the volumes that it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.container()
            .into_iter()
            .flat_map(|container| container.mounts.iter().filter_map(ContainerMount::volume))
    }

    /// Whether its memory can be limited for each of its processes, in place of all together; nothing else can.
    pub fn has_own_memory_limit(&self) -> bool {
        let limits = self.limits();
        let is_program = matches!(self.runs, Runs::Program(_));
        is_program && *limits == Limits { memory: limits.memory, ..Limits::default() }
    }

    /// The container that it is; `None` if it is a program of this host.
    pub fn container(&self) -> Option<&ContainerSpecification> {
        match &self.runs {
            Runs::Container(container) => Some(container),
            Runs::Program(_) => None,
        }
    }
}

/// What a program of this host inherits, and what its definition gives it.
pub fn environment_of_program(sidecar: &Sidecar) -> BTreeMap<String, String> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut env: BTreeMap<String, String> = inherited.collect();
    let user = sidecar.definition.container.user.as_deref();
    if let Some(home) = user.and_then(|user| user_of_this_host(user).ok()?.home) {
        env.insert("HOME".to_owned(), home);
    }
    env.extend(sidecar.definition.container.env.clone());
    env
}

/// The signal with this name; `None` for those that have only numbers.
pub fn signal_named(name: &str) -> Option<Signal> {
    Signal::from_named_raw(name.parse::<nix::sys::signal::Signal>().ok()? as i32)
}
