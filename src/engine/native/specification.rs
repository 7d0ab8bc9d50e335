//! What an instance is, fixed when it is created.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::plan::sidecar::{FirstValues, LABEL_REPLACED, Sidecar};

/// The signal that asks a program to end if its definition names none.
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
    /// The program's file.
    pub file: PathBuf,
    /// What the file was.
    pub fingerprint: Fingerprint,
    /// What the program is started with, its own name first.
    pub arguments: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts; the instance's own folder if `None`.
    pub directory: Option<PathBuf>,
    /// What asks it to end.
    pub stop_signal: String,
    /// How long it may take to end.
    pub grace: Duration,
}

impl Specification {
    /// Of a sidecar's new instance with this id.
    pub fn new(
        sidecar: &Sidecar,
        id: &str,
        network: &str,
        (file, fingerprint): (PathBuf, Fingerprint),
        replaced: &[String],
        salt: &str,
    ) -> Self {
        let definition = &sidecar.definition;
        let keys = &definition.container;
        let mut labels = sidecar.labels(&FirstValues::new(), salt);
        if !replaced.is_empty() {
            labels.insert(LABEL_REPLACED.to_owned(), replaced.join(" "));
        }
        let inherited =
            INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let mut env: BTreeMap<String, String> = inherited.collect();
        env.extend(keys.env.clone());
        env.insert(MARK.to_owned(), id.to_owned());
        Self {
            name: sidecar.container.clone(),
            labels,
            network: network.to_owned(),
            aliases: definition.aliases(),
            file,
            fingerprint,
            arguments: keys.program.clone().unwrap_or_default(),
            env,
            directory: definition.working_directory(),
            stop_signal: keys.stop_signal.clone().unwrap_or_else(|| STOP_SIGNAL.to_owned()),
            grace: keys.stop_timeout.unwrap_or(GRACE),
        }
    }

    /// The signal that asks the program to end; `None` if the engine does not know it.
    pub fn signal(&self) -> Option<Signal> {
        signal_named(&self.stop_signal)
    }
}

/// The signal with this name; `None` for those that have only numbers.
pub fn signal_named(name: &str) -> Option<Signal> {
    Signal::from_named_raw(name.parse::<nix::sys::signal::Signal>().ok()? as i32)
}
