//! Carries one sidecar's part of a plan out: makes its instance, ends the one before, and starts the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::Native;
use super::confining::Confinement;
use super::container::mounts::{ContainerMount, mounts};
use super::container::specification::{ContainerSpecification, address_of, environment};
use super::control_group::Limits;
use super::fingerprint::Fingerprint;
use super::images::importing::Imported;
use super::isolation::Isolation;
use super::observing::port_taken;
use super::obtaining::{Obtained, Obtaining};
use super::refusals::without_isolation;
use super::roles::{Failure, SUPERVISE};
use super::specification::{ProgramSpecification, Runs, Specification, environment_of_program};
use super::state::Beginning;
use super::stopping::{Ended, stop};
use super::store::{Store, Stored, new_id, refused};
use super::volumes::is_anonymous;
use crate::definition::{ReadingBudget, canonical_signal};
use crate::engine::copies;
use crate::engine::image_file::ImageConfig;
use crate::engine::problem::engine_problem;
use crate::engine::{Carrier, EngineError, EngineResult, Progress};
use crate::plan::sidecar::{ImageReference, Sidecar};
use crate::plan::{Action, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::listeners;

/// How long a supervisor may take to say how the start went.
const BEGINNING: Duration = Duration::from_secs(30);
/// The lowest port that needs no privilege, unless this host has another one.
const UNPRIVILEGED: u16 = 1024;
/// The longest word of a supervisor.
const MOST_BYTES: u64 = 64 << 10;

/// What a container is, its environment, and the signal by which its image wants to be ended.
type Composed = (ContainerSpecification, BTreeMap<String, String>, Option<String>);

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
        let id = self.create().await?;
        let old = store.find(&sidecar.container);
        let mut ended = None;
        if let Some(old) = &old {
            ended = Some(self.end(old).await.map_err(|error| {
                self.discard(&id);
                failed("end", &error)
            })?);
        }
        // From now on the old one is nobody's.
        store.name(&sidecar.container, &id).map_err(|error| failed("create", &error))?;
        if let Some(old) = &old {
            store.remove_folder(&old.id).map_err(|error| failed("remove", &error))?;
        }
        drop(ended);
        copies::settle(self.native, sidecar).await;
        self.carrier.tell(Progress::Created { sidecar: sidecar.name(), instance: &id });
        let started = match self.carrier.mark(sidecar, &id) {
            Ok(()) => self.start(&id).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = started {
            if let Some(made) = store.read(&id) {
                let _ended = stop(store, &made).await;
                // One that carries volumes stays, so that the next launch finds them.
                if self.part.carried().0.is_empty() {
                    let _ = store.remove(&made);
                    store.remove_unused_volumes(&made.specification);
                }
            }
            return Err(problem);
        }
        self.carrier.tell(Progress::Started { sidecar: sidecar.name(), instance: &id });
        Ok(())
    }

    /// Removes an instance that never ran.
    fn discard(&self, id: &str) {
        let store = self.store();
        let specification = store.instance(id).specification();
        let _ = store.remove_folder(id);
        if let Some(specification) = specification {
            store.remove_unused_volumes(&specification);
        }
    }

    /// The program, with its file as it is now; `None` if it is an image.
    fn program(&self) -> Result<Option<ProgramSpecification>, Problem> {
        let definition = &self.sidecar().definition;
        let Some(found) = definition.find_program(&ReadingBudget::default()) else { return Ok(None) };
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
        Ok(Some(ProgramSpecification {
            file: path,
            fingerprint,
            arguments: definition.container.program.clone().unwrap_or_default(),
            directory: definition.working_directory(),
            user: definition.container.user.clone(),
            ulimits: definition.container.ulimits.clone(),
            ports: ports_of(self.sidecar()),
            limits: Limits::of(&definition.container),
            confinement: Confinement::of(definition)?,
        }))
    }

    /// Makes the instance, which does not run yet.
    async fn create(&self) -> Result<String, Problem> {
        let sidecar = self.sidecar();
        let failed = |error: &EngineError| engine_problem(&format!("create `{}`", sidecar.container), error);
        let (id, salt) =
            (new_id().map_err(|error| failed(&error))?, new_id().map_err(|error| failed(&error))?);
        let existing = self.part.existing.as_ref();
        let replaced = existing.map(|existing| self.carrier.used_by_others(existing)).unwrap_or_default();
        let store = self.store();
        // Until an instance names its image, nothing else keeps it.
        let mut kept = None;
        let (runs, stop_signal) = if let Some(program) = self.program()? {
            ((Runs::Program(Box::new(program)), environment_of_program(sidecar)), None)
        } else {
            let obtaining = Obtaining { native: self.native, carrier: self.carrier, sidecar };
            let Obtained { image, isolation, kept: held } = obtaining.obtain().await?;
            kept = Some(held);
            copies::write(self.native, sidecar).await?;
            let (container, env, stop_signal) = self.container(&id, image, isolation)?;
            ((Runs::Container(Box::new(container)), env), stop_signal)
        };
        let (_, changed_since) = self.part.carried();
        let before = (replaced.as_slice(), &changed_since);
        let specification =
            Specification::new(sidecar, self.network, runs, stop_signal, before, (&id, &salt));
        store.create(&id, &specification).map_err(|error| failed(&error))?;
        drop(kept);
        // From now on the volumes are in use: nobody takes them for left ones.
        if let Err(error) = self.make_volumes(&specification) {
            self.discard(&id);
            return Err(failed(&refused(format!("a volume cannot be made: {error}"))));
        }
        Ok(id)
    }

    /// Makes the volumes that are not there yet.
    fn make_volumes(&self, specification: &Specification) -> std::io::Result<()> {
        let (volumes, labels) = (self.store().volumes(), self.sidecar().volume_labels());
        specification.volumes().try_for_each(|name| {
            let labels = if is_anonymous(name) { &BTreeMap::new() } else { &labels };
            volumes.make(name, labels).map(drop)
        })
    }

    /// What the container of an image is.
    fn container(
        &self,
        id: &str,
        Imported { id: image, config }: Imported,
        isolation: Isolation,
    ) -> Result<Composed, Problem> {
        let sidecar = self.sidecar();
        let definition = &sidecar.definition;
        if let Some(problem) = without_isolation(sidecar, isolation) {
            return Err(problem);
        }
        let address = address_of(self.store().root(), &sidecar.container);
        let container = ContainerSpecification::new(
            (&image, &config),
            &definition.container,
            (id, std::iter::once(sidecar.container.clone()).chain(definition.aliases()).collect()),
            (isolation, address, ports_of(sidecar)),
            self.mounts(isolation, &config)?,
        );
        let env = environment(&config.config, &definition.container, &container.hostname);
        let stop_signal = Some(config.config.stop_signal).filter(|signal| !signal.is_empty());
        Ok((container, env, stop_signal.and_then(|signal| canonical_signal(&signal))))
    }

    /// What the container mounts. Where nothing can be mounted, an image's volumes are folders like all others.
    fn mounts(&self, isolation: Isolation, config: &ImageConfig) -> Result<Vec<ContainerMount>, Problem> {
        if !isolation.is_isolated() {
            return Ok(Vec::new());
        }
        let paths: Vec<String> = config.config.volumes.keys().cloned().collect();
        // As many random digits as Docker gives them.
        let names = paths.iter().map(|_| Ok(format!("{}{}", new_id()?, new_id()?)));
        let names = names.collect::<EngineResult<Vec<String>>>();
        let mut names = names.map_err(|error| engine_problem("make a volume", &error))?;
        let (carried, _) = self.part.carried();
        Ok(mounts(self.sidecar(), &carried, &paths, || names.pop().unwrap_or_default()))
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
        let made = self.store().read(id);
        let container = made.as_ref().and_then(|made| made.specification.container());
        // A container with an address of its own finds out when it takes its ports.
        let is_at_own_address = container.is_some_and(|container| container.isolation.is_isolated());
        if !is_at_own_address && let Some(problem) = port_taken(sidecar, &listeners::taken(), None) {
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
        // It is never closed.
        let _room = self.native.starts.acquire().await;
        let mut supervisor = Command::new(&self.store().helper().0)
            .arg0("farrier")
            .arg(SUPERVISE)
            .arg(&folder.0)
            .env_clear()
            // What maps users is found on it.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
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

/// All declared ports, each once.
fn ports_of(sidecar: &Sidecar) -> Vec<u16> {
    let definition = &sidecar.definition;
    let more = definition.more_ports().into_iter().map(|(_, port)| port);
    let all: BTreeSet<u16> = definition.port().into_iter().chain(more).collect();
    all.into_iter().collect()
}

fn cannot_start(sidecar: &Sidecar, failure: &Failure) -> Problem {
    let definition = &sidecar.definition;
    let program = definition.container.program.iter().flatten().next();
    let (field, name) = match (program, &definition.image) {
        (Some(program), _) => ("program", program.clone()),
        (None, image) => ("image", image.clone().unwrap_or_default()),
    };
    let errno = failure.errno.map(Errno::from_raw_os_error);
    let has_low_port = ports_of(sidecar).first().is_some_and(|port| *port < UNPRIVILEGED);
    let (code, hint) = match errno.filter(|errno| !failure.is_of_step || *errno == Errno::ADDRINUSE) {
        Some(Errno::NOENT) => (
            Code::ProgramMissing,
            "Check that the program exists, and also the interpreter in its first line (`#!…`) or its loader.",
        ),
        Some(Errno::ACCESS) => (
            Code::ProgramMissing,
            "Check that you may execute the file, and that its file system allows execution.",
        ),
        Some(Errno::ADDRINUSE) => (
            Code::PortTaken,
            "End the process that listens on this port on all addresses of this host, or use another port.",
        ),
        Some(Errno::NOEXEC) => (Code::WrongArchitecture, "Check that it was built for this machine."),
        _ if errno == Some(Errno::ACCESS) && has_low_port => (
            Code::StartFailed,
            "Ports below 1024 need root, or `sysctl net.ipv4.ip_unprivileged_port_start=0`; or let the server listen on another port.",
        ),
        _ if failure.is_of_step => {
            (Code::StartFailed, "Run `farrier doctor` to see how well this host can isolate containers.")
        }
        _ => (Code::StartFailed, "Correct the definition, and launch again."),
    };
    let validate = command_line(&["farrier", "explain"], &[code.as_str()], &[]);
    Problem::error(code, format!("`{name}` does not start: {}", failure.message))
        .at(definition.place(field))
        .hint(hint)
        .hint(format!("See `{validate}`."))
}
