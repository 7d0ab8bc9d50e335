//! `probe check --record`: a scenario of what the probe did with a real server.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::definition::model::{ProbeReference, Readiness};
use crate::definition::scenario::{MOST_BYTES, Scenario};
use crate::readiness::dry_run::{Address, DryRun};
use crate::readiness::scenario::{Recording, TooLong, write};
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::system::private_files::private_temporary_file;

/// The timeout of a scenario whose probe was not watched, as of a definition.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a scenario is written.
pub struct Record {
    file: PathBuf,
}

impl Record {
    /// Into this file.
    pub fn to(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// Begins a recording of this run.
    pub fn begin(run: &DryRun) -> Recording {
        let settings = serde_json::from_str(&run.settings).unwrap_or_default();
        let (timeout, max_timeout, successes, interval) = match run.watch {
            Some(terms) => (terms.timeout, terms.max_timeout, terms.successes, terms.interval),
            None => (TIMEOUT, TIMEOUT * 2, 1, Duration::ZERO),
        };
        let readiness = Readiness {
            probe: ProbeReference::Named(String::new()),
            timeout,
            max_timeout,
            successes,
            interval,
            command: run.granted.declared.clone().or_else(|| run.granted.commands.first().cloned()),
            sha256: None,
            settings,
            grants: run.grants.as_ref().clone(),
            limits: run.limits,
            has_poll_limit: true,
            field: "readiness".to_owned(),
        };
        let env: BTreeMap<String, String> = run.granted.environment.iter().cloned().collect();
        let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Recording::new(Scenario {
            description: None,
            sidecar: run.stand.own.host.clone(),
            port: Some(run.stand.own.port),
            env,
            seed: seed(),
            date: Duration::from_secs(date.as_secs()),
            readiness,
            polls: Vec::new(),
        })
    }

    /// Writes it, so that only this user can read it.
    ///
    /// # Errors
    /// If it is too long, or the file cannot be written.
    pub fn write(self, probe: &str, target: &Address, recording: Recording) -> Result<PathBuf, Failure> {
        let head = format!(
            "Recorded by `farrier probe check` with the probe {} from {target}.\n\
             It contains everything that the probe sent and received, passwords included.",
            escape(probe)
        );
        let text = write(&recording.finish(), &head).map_err(|TooLong| {
            let message =
                format!("the recording is larger than {} MiB, the limit of a scenario", MOST_BYTES >> 20);
            Problem::error(Code::ScenarioUnreadable, message)
                .hint("Record fewer polls, or a server that answers less.")
        })?;
        replace(&self.file, text.as_bytes()).map_err(|error| {
            let message = format!("cannot write `{}`: {error}", self.file.display());
            Problem::error(Code::ScenarioUnreadable, message)
                .hint("With `--record`, name a file in a folder that you can write to.")
        })?;
        Ok(self.file)
    }
}

/// What is said of a file that was written.
pub fn told(file: &Path) -> String {
    format!(
        "recorded in {}, which contains everything that the probe sent and received, passwords included; only you can \
         read it\n",
        escape(&file.display().to_string())
    )
}

/// Any number: what the probe makes of it is in the recording.
fn seed() -> u64 {
    let mut bytes = [0; 4];
    // Without random numbers, it is 0.
    let _ = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes).into()
}

/// Replaces a file as a whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = private_temporary_file(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
