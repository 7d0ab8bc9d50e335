//! Carries a plan out. It decides nothing: each step is in the plan, and each failure is told as it is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Docker;
use super::api::{Api, Container, ContainerSpec, Image, Status};
use super::classification::MAKE_ROOM;
use super::networks;
use super::spec::{container_spec, temporary_name};
use super::stopping::stop_and_remove;
use crate::engine::copies;
use crate::engine::problem::{NAME_ANOTHER_IMAGE, RUN_AGAIN, check_name, engine_problem};
use crate::engine::registry::credentials;
use crate::engine::{Carrier, EngineError, EngineErrorKind, Meaning, Progress, PullProgress};
use crate::plan::instance::Instance;
use crate::plan::session::Session;
use crate::plan::sidecar::{ImageReference, LABEL_REPLACED, LABEL_SCOPE, LABEL_SIDECAR, Sidecar};
use crate::plan::{Action, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::lock::Held;

/// How long the engine may take to finish or give up a creation whose launch was killed.
const RESERVED: Duration = Duration::from_secs(10);
/// After this time a container that was created but not started is nobody's: a launch starts its own at once.
const ABANDONED: Duration = Duration::from_secs(2);
/// The pause before a creation that met a taken name is tried again.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// What to do where a container's program does not start.
const CHECK_PROGRAM: &str =
    "Check that the image has the program that `entrypoint` and `command` name, for this architecture.";

/// What to do where somebody took a port between the plan and the start.
const FREE_PORT: &str = "Free the port, or choose another one in `interface.publish`.";

/// One sidecar's part of a plan, being carried out.
pub(super) struct Carrying<'a> {
    pub docker: &'a Docker,
    pub carrier: &'a dyn Carrier,
    pub part: &'a SidecarPlan,
    /// The harness's network.
    pub network: &'a str,
}

impl Carrying<'_> {
    /// Does what the plan says for one sidecar, whose container then runs.
    ///
    /// # Errors
    /// If a step fails; nothing half-made is left behind if that can be avoided.
    pub(super) async fn run(&self) -> Result<(), Problem> {
        let sidecar = self.sidecar();
        if let Some(leftover) = self.part.leftover() {
            // It was never started: volumes that nothing else had before are empty.
            let removed = self.api().remove(leftover, true).await;
            let doing = format!("remove `{}`", temporary_name(&sidecar.container));
            removed.map_err(|error| engine_problem(&doing, &error).of(sidecar.name()))?;
        }
        let result = match self.part.action {
            Action::Reuse => self.connect().await,
            Action::Resume => match self.resume().await {
                Ok(()) => self.connect().await,
                Err(problem) => Err(problem),
            },
            Action::Create | Action::Recreate => self.make().await,
        };
        result.map_err(|problem| problem.of(sidecar.name()))
    }

    /// Pulls the image, if the plan says so.
    ///
    /// # Errors
    /// If it cannot be pulled.
    pub(super) async fn fetch(&self) -> Result<(), Problem> {
        if self.part.pulls() {
            self.pull().await.map_err(|problem| problem.of(self.sidecar().name()))?;
        }
        Ok(())
    }

    fn api(&self) -> &dyn Api {
        self.docker.api.as_ref()
    }

    fn sidecar(&self) -> &Sidecar {
        &self.part.sidecar
    }

    /// The very container that the plan is about: its name may be another one's by now.
    fn existing(&self) -> &str {
        self.part.existing.as_ref().map_or(&self.part.sidecar.container, |existing| &existing.id)
    }

    async fn connect(&self) -> Result<(), Problem> {
        let (sidecar, container) = (self.sidecar(), self.existing());
        let aliases = sidecar.definition.aliases();
        self.carrier.mark(sidecar, container)?;
        if self.part.connections().next().is_some() {
            self.carrier.network().await?;
        }
        for (network, again) in self.part.connections() {
            let failed = |error| cannot_connect(sidecar, network, &error);
            if again {
                self.api().disconnect(network, container).await.map_err(failed)?;
            }
            self.api().connect(network, container, &aliases).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn resume(&self) -> Result<(), Problem> {
        let (sidecar, instance) = (self.sidecar(), self.existing());
        let resumed = self.api().resume(instance).await;
        resumed.map_err(|error| engine_problem(&format!("resume `{}`", sidecar.container), &error))?;
        self.carrier.tell(Progress::Started { sidecar: sidecar.name(), instance });
        Ok(())
    }

    async fn make(&self) -> Result<(), Problem> {
        let sidecar = self.sidecar();
        let image = self.image().await?;
        self.carrier.network().await?;
        let (first, _kept) = self.first_network().await?;
        let id = self.replace(image, &first).await?;
        self.carrier.mark(sidecar, &id)?;
        let start = async {
            let aliases = sidecar.definition.aliases();
            let networks = &sidecar.definition.container.networks;
            let own = (first != self.network).then_some(self.network);
            let declared =
                networks.iter().map(String::as_str).filter(|name| *name != self.network && *name != first);
            for other in own.into_iter().chain(declared) {
                let connected = self.api().connect(other, &id, &aliases).await;
                connected.map_err(|error| cannot_connect(sidecar, other, &error))?;
            }
            self.api().start(&id).await.map_err(|error| cannot_start(sidecar, &error))
        };
        if let Err(error) = start.await {
            // One that carries volumes stays, half-made, so that the next launch finds them.
            if self.part.carried().0.is_empty() {
                let _ = self.api().remove(&id, true).await;
            }
            return Err(error);
        }
        self.carrier.tell(Progress::Started { sidecar: sidecar.name(), instance: &id });
        Ok(())
    }

    /// The network that the container is created on, kept for as long as the result is held if nothing may be on it. Since Docker 28, it has to be there whenever the container is connected to
    /// another one or is started again, so that a sidecar that outlives a session is not created on the session's.
    async fn first_network(&self) -> Result<(String, Option<Held>), Problem> {
        let sidecar = self.sidecar();
        let own = || (self.network.to_owned(), None);
        if sidecar.session.is_some() || !Session::is_network(self.network) {
            return Ok(own());
        }
        let home = networks::home_of_session(self.docker, self.network).await;
        let home = home.map_err(|error| cannot_connect(sidecar, self.network, &error))?;
        Ok(home.map_or_else(own, |(home, kept)| (home, Some(kept))))
    }

    /// Makes the new container beside the old one, removes the old one, and gives the new one its name.
    async fn replace(&self, image: String, first: &str) -> Result<String, Problem> {
        let (sidecar, existing) = (self.sidecar(), self.part.existing.as_ref());
        let mut salt = [0_u8; 16];
        let _ = getrandom::fill(&mut salt);
        let salt = format!("{:032x}", u128::from_ne_bytes(salt));
        let is_taken = existing.is_some_and(|existing| existing.name == sidecar.container);
        let name = if is_taken { temporary_name(&sidecar.container) } else { sidecar.container.clone() };
        let (carried, changed_since) = self.part.carried();
        let spec = container_spec(sidecar, &name, first, (&carried, &changed_since), &salt);
        let mut spec = ContainerSpec { image, ..spec };
        let used = existing.map(|existing| self.carrier.used_by_others(existing));
        if let Some(used) = used.filter(|used| !used.is_empty()) {
            spec.labels.insert(LABEL_REPLACED.to_owned(), used.join(" "));
        }
        for (name, value) in self.docker.proxies.variables() {
            spec.env.entry(name).or_insert(value);
        }
        copies::write(self.docker, sidecar).await?;
        let created = self.create(&spec).await;
        let id = created.map_err(|error| cannot_create(sidecar, &error))?;
        if let Some(existing) = existing {
            let removed = self.stop_and_remove(existing).await;
            removed.map_err(|error| engine_problem(&format!("remove `{}`", existing.name), &error))?;
        }
        if is_taken {
            let renamed = self.api().rename(&id, &sidecar.container).await;
            renamed.map_err(|error| engine_problem(&format!("rename `{name}`"), &error))?;
        }
        copies::settle(self.docker, sidecar).await;
        self.carrier.tell(Progress::Created { sidecar: sidecar.name(), instance: &id });
        Ok(id)
    }

    /// The new container must not start, nor get the old one's volumes, before the old one has ended by itself.
    async fn stop_and_remove(&self, existing: &Instance) -> Result<(), EngineError> {
        if existing.is_up() {
            let (sidecar, instance) = (self.sidecar().name(), existing.id.as_str());
            self.carrier.tell(Progress::Stopping { sidecar, instance, grace: existing.grace });
        }
        stop_and_remove(self.api(), existing).await
    }

    /// Creates a container. A launch that was killed may have left the engine at it: the name is then reserved
    /// for a moment, and taken by a container that nobody will start.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let begun = Instant::now();
        loop {
            let conflict = match self.api().create(spec).await {
                Err(error) if error.kind == EngineErrorKind::Conflict => error,
                result => return result,
            };
            match self.api().container(&spec.name).await? {
                None if begun.elapsed() < RESERVED => {}
                Some(found) if found.status == Status::Created && is_same_sidecar(&found, spec) => {
                    if begun.elapsed() >= ABANDONED {
                        self.api().remove(&found.id, true).await?;
                    }
                }
                _ => return Err(conflict),
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
        }
    }

    /// What the container is made from, pulled where that is needed. That of an untrusted definition is an id,
    /// which nobody makes name another image meanwhile.
    async fn image(&self) -> Result<String, Problem> {
        let sidecar = self.sidecar();
        let asked = sidecar.image.as_str();
        if self.part.pulls() {
            let pulled = self.pull().await?;
            return Ok(if sidecar.definition.layer.is_trusted() { asked.to_owned() } else { pulled });
        }
        if sidecar.definition.layer.is_trusted() || matches!(sidecar.image, ImageReference::Approved(_)) {
            return Ok(asked.to_owned());
        }
        // Absent when it was asked about, and present now: somebody else pulled it.
        let found = self.api().image(asked).await;
        let found = found.map_err(|error| engine_problem(&format!("inspect `{asked}`"), &error))?;
        found.map(|image| image.id).ok_or_else(|| unavailable(sidecar, &gone("it was removed a moment ago")))
    }

    /// Gives the id of what was pulled.
    async fn pull(&self) -> Result<String, Problem> {
        let sidecar = self.sidecar();
        if matches!(sidecar.image, ImageReference::Approved(_)) {
            return Err(unavailable(sidecar, &gone("the image that you approved was removed a moment ago")));
        }
        let image = sidecar.definition.image.as_deref().unwrap_or_default();
        let name = sidecar.name();
        let platform = sidecar.definition.container.platform.as_deref();
        self.carrier.tell(Progress::Pulling { sidecar: name, image });
        let credentials = credentials(&self.docker.config, image).await;
        let told = Mutex::new(PullProgress::default());
        let progress = |progress: PullProgress| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != progress {
                self.carrier.tell(Progress::PullProgress { sidecar: name, progress: progress.clone() });
                *told = progress;
            }
        };
        let pulled = self.api().pull(image, platform, credentials, &progress).await;
        let found: Result<Option<Image>, EngineError> = match pulled {
            Ok(()) => self.api().image(image).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(Some(found)) => {
                self.carrier.tell(Progress::Pulled { sidecar: name, image });
                Ok(found.id)
            }
            Ok(None) => Err(unavailable(sidecar, &gone("the engine pulled it but does not have it"))),
            Err(error) if error.kind == EngineErrorKind::Unreachable => {
                Err(engine_problem(&format!("pull `{image}`"), &error))
            }
            Err(error) => Err(unavailable(sidecar, &error)),
        }
    }
}

/// An image that is not present, in the engine's place.
fn gone(reason: &str) -> EngineError {
    EngineError::new(EngineErrorKind::NotFound, reason)
}

/// An image is unavailable: what the engine's words say about why, and what to do.
fn unavailable(sidecar: &Sidecar, error: &EngineError) -> Problem {
    let image = sidecar.definition.image.as_deref().unwrap_or_default();
    let pull = command_line(&["docker", "pull"], &[image], &[]);
    let try_it = format!("Try `{pull}`, after `docker login` if its registry asks for it.");
    let build_it = "If you build the image yourself, build it first: `docker build -t NAME .`.".to_owned();
    let (code, hints) = match error.meaning {
        Some(Meaning::Denied) => (Code::ImageDenied, vec![try_it, build_it]),
        Some(Meaning::NotFound) => (Code::ImageNotFound, vec![check_name(image), build_it]),
        Some(Meaning::DiskFull) => (Code::DiskFull, vec![MAKE_ROOM.to_owned()]),
        Some(Meaning::WrongArchitecture) => (Code::WrongArchitecture, vec![NAME_ANOTHER_IMAGE.to_owned()]),
        _ => (Code::ImageUnavailable, vec![try_it, build_it]),
    };
    let message = format!("image `{image}` is unavailable: {error}");
    let problem = Problem::error(code, message).at(sidecar.definition.place("image"));
    hints.into_iter().fold(problem, Problem::hint)
}

fn is_same_sidecar(container: &Container, spec: &ContainerSpec) -> bool {
    [LABEL_SIDECAR, LABEL_SCOPE]
        .into_iter()
        .all(|label| container.labels.get(label) == spec.labels.get(label))
}

fn cannot_connect(sidecar: &Sidecar, network: &str, error: &EngineError) -> Problem {
    engine_problem(&format!("connect `{}` to the network `{network}`", sidecar.container), error)
}

fn cannot_create(sidecar: &Sidecar, error: &EngineError) -> Problem {
    let container = &sidecar.container;
    match error.kind {
        EngineErrorKind::Conflict => {
            Problem::error(Code::NameTaken, format!("the name `{container}` was taken during the launch"))
                .hint("Run the command again; a container that matches is then reused.")
        }
        EngineErrorKind::Refused | EngineErrorKind::NotFound
            if !matches!(
                error.meaning,
                Some(Meaning::DiskFull | Meaning::NoAddressRange | Meaning::NoAddress)
            ) =>
        {
            Problem::error(Code::StartFailed, format!("cannot create `{container}`: {error}"))
                .at(sidecar.definition.place("image"))
                .hint("Fix the setting named in the engine's error.")
        }
        _ => engine_problem(&format!("create `{container}`"), error),
    }
}

fn cannot_start(sidecar: &Sidecar, error: &EngineError) -> Problem {
    let container = &sidecar.container;
    match error.kind {
        EngineErrorKind::Unreachable | EngineErrorKind::PermissionDenied | EngineErrorKind::TimedOut => {
            engine_problem(&format!("start `{container}`"), error)
        }
        _ if error.is_about_addresses() => engine_problem(&format!("start `{container}`"), error),
        _ => {
            let (code, hint) = match error.meaning {
                Some(Meaning::DiskFull) => (Code::DiskFull, MAKE_ROOM),
                Some(Meaning::PortTaken) => (Code::PortTaken, FREE_PORT),
                Some(Meaning::ProgramMissing) => (Code::ProgramMissing, CHECK_PROGRAM),
                Some(Meaning::WrongArchitecture) => (Code::WrongArchitecture, CHECK_PROGRAM),
                // A network that the container is to be on, or the container itself.
                _ if error.kind == EngineErrorKind::NotFound => (Code::StartFailed, RUN_AGAIN),
                _ => (Code::StartFailed, CHECK_PROGRAM),
            };
            Problem::error(code, format!("cannot start `{container}`: {error}"))
                .at(sidecar.definition.place("entrypoint"))
                .hint(hint)
        }
    }
}
