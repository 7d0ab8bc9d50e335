//! `probe check --record`: a scenario of what the probe did with a real server.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::definition::model::{ProbeReference, Readiness};
use crate::definition::scenario::{MOST_BYTES, MOST_POLLS, Poll, Scenario, parse};
use crate::readiness::dry_run::{Address, DryRun};
use crate::readiness::scenario::{Recording, TooLong, write};
use crate::report::error::{Code, Failure, Problem, Source};
use crate::report::escape::escape;
use crate::system::complete_file::expect_replaceable;
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
    ///
    /// # Errors
    /// If it says something that scenarios cannot.
    pub fn begin(&self, run: &DryRun) -> Result<Recording, Failure> {
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
        let scenario = Scenario {
            description: None,
            sidecar: run.stand.own.host.clone(),
            port: Some(run.stand.own.port),
            env,
            seed: seed(),
            date: Duration::from_secs(date.as_secs()),
            readiness,
            polls: Vec::new(),
        };
        // Before somebody waits in vain.
        let with_a_poll = Scenario { polls: vec![Poll::default()], ..scenario.clone() };
        self.playable(&with_a_poll, "")?;
        Ok(Recording::new(scenario))
    }

    /// Writes it, so that only this user can read it.
    ///
    /// # Errors
    /// If it is too long or says something that scenarios cannot, or the file cannot be written.
    pub fn write(self, probe: &str, target: &Address, recording: Recording) -> Result<Recorded, Failure> {
        let has_all_polls = recording.has_all_polls();
        let head = format!(
            "Recorded by `farrier probe check` with the probe {} from {target}.\n\
             It contains everything that the probe sent and received, passwords included.",
            escape(probe)
        );
        let scenario = recording.finish().ok_or_else(too_long)?;
        let text = self.playable(&scenario, &head)?;
        replace(&self.file, text.as_bytes()).map_err(|error| {
            let message = format!("cannot write `{}`: {error}", self.file.display());
            Problem::error(Code::ScenarioUnreadable, message)
                .hint("With `--record`, name a file in a folder that you can write to.")
        })?;
        Ok(Recorded { file: self.file, has_all_polls })
    }
}

impl Record {
    /// The text of a scenario that can be read back.
    fn playable(&self, scenario: &Scenario, head: &str) -> Result<String, Failure> {
        let text = write(scenario, head).map_err(|TooLong| too_long())?;
        let source = Arc::new(Source { path: self.file.clone(), text });
        parse(&source).map_err(|problems| {
            let why = problems.into_iter().next().map(|problem| problem.message).unwrap_or_default();
            Problem::error(Code::ScenarioUnreadable, format!("this cannot be recorded: {why}"))
                .hint("Check the probe without `--record`, or without what a scenario cannot contain.")
        })?;
        Ok(source.text.clone())
    }
}

fn too_long() -> Problem {
    let message = format!("the recording is larger than {} MiB, the limit of a scenario", MOST_BYTES >> 20);
    Problem::error(Code::ScenarioUnreadable, message)
        .hint("Record fewer polls, or a server that answers less.")
}

/// A file that was written.
pub struct Recorded {
    /// Its path.
    pub file: PathBuf,
    /// Whether the wait ended because a scenario cannot have more polls.
    has_all_polls: bool,
}

/// What is said of a file that was written.
pub fn told(Recorded { file, has_all_polls }: &Recorded) -> String {
    let end = if *has_all_polls {
        format!("the check ended after {MOST_POLLS} polls: a scenario cannot have more\n")
    } else {
        String::new()
    };
    format!(
        "recorded in {}, which contains everything that the probe sent and received, passwords included; only you can \
         read it\n{end}",
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
    expect_replaceable(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = private_temporary_file(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
