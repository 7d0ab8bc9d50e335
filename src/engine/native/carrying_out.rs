//! Carries one sidecar's part of a plan out: makes its instance, ends the one before, and starts the new one.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::fingerprint::Fingerprint;
use super::observing::port_taken;
use super::specification::Specification;
use super::state::{Beginning, Failure};
use super::stopping::{Ended, stop};
use super::store::{Store, Stored, new_id, refused};
use super::{Native, SUPERVISE, ports};
use crate::definition::ReadingBudget;
use crate::engine::problem::engine_problem;
use crate::engine::{Carrier, EngineError, EngineResult, Progress};
use crate::plan::sidecar::{ImageReference, Sidecar};
use crate::plan::{Action, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// How long a supervisor may take to say how the start went.
const BEGINNING: Duration = Duration::from_secs(30);
/// The longest word of a supervisor.
const MOST_BYTES: u64 = 64 << 10;

/// One sidecar's part of a plan, being carried out.
pub struct Carrying<'a> {
    pub native: &'a Native,
    pub carrier: &'a dyn Carrier,
    pub part: &'a SidecarPlan,
    pub network: &'a str,
}

impl Carrying<'_> {
    /// Does what the plan says, after which the instance runs.
    pub async fn run(&self) -> Result<(), Problem> {
        let sidecar = self.sidecar();
        let done = match (self.part.action, &self.part.existing) {
            (Action::Reuse | Action::Resume, Some(existing)) => self.carrier.mark(sidecar, &existing.id),
            _ => self.make().await,
        };
        done.map_err(|problem| problem.of(sidecar.name()))
    }

    const fn store(&self) -> &Store {
        &self.native.store
    }

    fn sidecar(&self) -> &Sidecar {
        &self.part.sidecar
    }

    async fn make(&self) -> Result<(), Problem> {
        let (sidecar, store) = (self.sidecar(), self.store());
        let failed = |doing: &str, error: &EngineError| {
            engine_problem(&format!("{doing} `{}`", sidecar.container), error)
        };
        store.make().map_err(|error| failed("create", &error))?;
        store.sweep();
        self.carrier.network().await?;
        let file = self.file()?;
        let id = self.create(file).map_err(|error| failed("create", &error))?;
        let old = store.find(&sidecar.container);
        let mut ended = None;
        if let Some(old) = &old {
            ended = Some(self.end(old).await.map_err(|error| {
                let _ = store.remove_folder(&id);
                failed("end", &error)
            })?);
        }
        // From now on the old one is nobody's.
        store.name(&sidecar.container, &id).map_err(|error| failed("create", &error))?;
        if let Some(old) = &old {
            store.remove_folder(&old.id).map_err(|error| failed("remove", &error))?;
        }
        drop(ended);
        self.carrier.tell(Progress::Created { sidecar: sidecar.name(), instance: &id });
        let started = match self.carrier.mark(sidecar, &id) {
            Ok(()) => self.start(&id).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = started {
            if let Some(made) = store.read(&id) {
                let _ended = stop(store, &made).await;
                let _ = store.remove(&made);
            }
            return Err(problem);
        }
        self.carrier.tell(Progress::Started { sidecar: sidecar.name(), instance: &id });
        Ok(())
    }

    /// The program's file, as it is now.
    fn file(&self) -> Result<(PathBuf, Fingerprint), Problem> {
        let definition = &self.sidecar().definition;
        let Some(found) = definition.find_program(&ReadingBudget::default()) else {
            let message =
                "the engine for programs on this host needs a `program`, and this definition has an `image`";
            return Err(Problem::error(Code::EngineLacks, message).at(definition.place("image")));
        };
        let path = found?.path;
        let failed = |error: &dyn std::fmt::Display| {
            Problem::error(
                Code::ProgramMissing,
                format!("the program {} cannot be read: {error}", path.display()),
            )
            .at(definition.place("program"))
            .hint("Check that it exists, and that you may read it.")
        };
        let fingerprint = Fingerprint::of(&path).map_err(|error| failed(&error))?;
        if let ImageReference::ApprovedProgram(digest) = &self.sidecar().image
            && *digest != fingerprint.digest
        {
            return Err(failed(&"it changed a moment ago").hint("Run the command again."));
        }
        Ok((path, fingerprint))
    }

    fn create(&self, file: (PathBuf, Fingerprint)) -> EngineResult<String> {
        let (id, salt) = (new_id()?, new_id()?);
        let existing = self.part.existing.as_ref();
        let replaced = existing.map(|existing| self.carrier.used_by_others(existing)).unwrap_or_default();
        let specification = Specification::new(self.sidecar(), &id, self.network, file, &replaced, &salt);
        self.store().create(&id, &specification)?;
        Ok(id)
    }

    async fn end(&self, old: &Stored) -> EngineResult<Ended> {
        let (sidecar, instance) = (self.sidecar().name(), old.instance());
        if instance.is_up() {
            let stopping = Progress::Stopping { sidecar, instance: &instance.id, grace: instance.grace };
            self.carrier.tell(stopping);
        }
        stop(self.store(), old).await
    }

    async fn start(&self, id: &str) -> Result<(), Problem> {
        let sidecar = self.sidecar();
        if let Some(problem) = port_taken(sidecar, &ports::taken(), None) {
            return Err(problem);
        }
        let begun = self.supervise(id).await;
        let begun =
            begun.map_err(|error| engine_problem(&format!("start `{}`", sidecar.container), &error))?;
        begun.failure.map_or(Ok(()), |failure| Err(cannot_start(sidecar, &failure)))
    }

    /// Executes farrier once more, as the supervisor, and waits until the program runs.
    async fn supervise(&self, id: &str) -> EngineResult<Beginning> {
        let folder = self.store().instance(id);
        let failed = |error: &std::io::Error| refused(format!("its supervisor does not start: {error}"));
        let mut supervisor = Command::new(&self.native.executable)
            .arg0("farrier")
            .arg(SUPERVISE)
            .arg(&folder.0)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut said = Vec::new();
        if let Some(output) = supervisor.stdout.take() {
            let mut output = output.take(MOST_BYTES);
            let read = tokio::time::timeout(BEGINNING, output.read_to_end(&mut said)).await;
            read.map_err(|_| refused("its supervisor does not report the result of the start"))?
                .map_err(|error| failed(&error))?;
        }
        serde_json::from_slice(&said).map_err(|_| refused("its supervisor ended at once"))
    }
}

fn cannot_start(sidecar: &Sidecar, failure: &Failure) -> Problem {
    let name = sidecar.definition.container.program.iter().flatten().next().cloned().unwrap_or_default();
    let errno = failure.errno.map(Errno::from_raw_os_error);
    let (code, hint) = match errno {
        Some(Errno::NOENT) => (
            Code::ProgramMissing,
            "Check that the program exists, and also the interpreter in its first line (`#!…`) or its loader.",
        ),
        Some(Errno::ACCESS) => (
            Code::ProgramMissing,
            "Check that you may execute the file, and that its file system allows execution.",
        ),
        Some(Errno::NOEXEC) => (Code::WrongArchitecture, "Check that it was built for this machine."),
        _ => (Code::StartFailed, "Correct the definition, and launch again."),
    };
    let validate = command_line(&["farrier", "explain"], &[code.as_str()], &[]);
    Problem::error(code, format!("`{name}` does not start: {}", failure.message))
        .at(sidecar.definition.place("program"))
        .hint(hint)
        .hint(format!("See `{validate}`."))
}
