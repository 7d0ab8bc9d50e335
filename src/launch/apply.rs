//! Carries a plan out. It decides nothing: each step is in the plan, and each failure is told as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::departure::Departure;
use crate::engine::docker::proxies::Proxies;
use crate::engine::docker::registry;
use crate::engine::problem::{MAKE_ROOM, RUN_AGAIN, about_addresses, engine_problem};
use crate::engine::stopping::stop_and_remove;
use crate::engine::words::{Meaning, meaning};
use crate::engine::{
    Container, ContainerSpec, Engine, EngineError, EngineErrorKind, Image, PullProgress, Status,
};
use crate::event::{Event, Reporter};
use crate::plan::sidecar::{LABEL_NETWORK, LABEL_REPLACED, LABEL_SCOPE, LABEL_SIDECAR, Sidecar};
use crate::plan::{Action, NetworkPlan, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;
use crate::system::lock::{Holder, LockFolder};

/// How long the engine may take to finish or give up a creation whose launch was killed.
const RESERVED: Duration = Duration::from_secs(10);
/// After this time a container that was created but not started is nobody's: a launch starts its own at once.
const ABANDONED: Duration = Duration::from_secs(2);
/// The pause before a creation that met a taken name is tried again.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// What carrying out needs.
pub struct Applier {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// The folder of docker's client configuration, for credentials.
    pub docker_config: std::path::PathBuf,
    /// What docker's client adds to the environment of each container.
    pub proxies: Proxies,
    /// The launch's network, created only when something is about to join it.
    pub network: LaunchNetwork,
    /// Where the containers are marked as used, a new one before it starts.
    pub departure: Departure,
}

/// The network of a launch.
pub struct LaunchNetwork {
    /// Its name.
    pub name: String,
    /// What is done with it.
    pub plan: NetworkPlan,
    /// Locks between launches: two must not create it at once.
    pub locks: LockFolder,
    /// Set once it is as planned.
    pub done: OnceCell<()>,
}

/// What to do where a container's program does not start.
const CHECK_PROGRAM: &str =
    "Check that the image has the program that `entrypoint` and `command` name, for this architecture.";

impl Applier {
    /// Makes the network if the plan says so and no sidecar of this launch did before.
    ///
    /// # Errors
    /// When the engine refuses, or the lock cannot be taken.
    pub async fn network(&self) -> Result<(), Problem> {
        if self.network.plan.is_untouched() {
            return Ok(());
        }
        let make = async {
            let network = self.network.name.as_str();
            let waiting =
                |holder: Option<&Holder>| self.reporter.tell(&Event::WaitingForNetwork { network, holder });
            let _held = self.network.locks.lock_network(network, waiting).await?;
            // Another launch may have made it while this one waited for the lock.
            let found = self.engine.networks(&self.network.name).await;
            let found = found.map_err(|error| engine_problem("look for the network", &error))?;
            if found.len() == 1 { Ok(()) } else { self.make_network().await }
        };
        self.network.done.get_or_try_init(|| make).await.map(|&()| ())
    }

    /// Leaves one network of the name: Docker accepts two, and is then ambiguous. The lowest id stays, on which all
    /// launches agree.
    async fn make_network(&self) -> Result<(), Problem> {
        let name = &self.network.name;
        let doing = format!("make the network `{name}` ready");
        let failed = |error: EngineError| engine_problem(&doing, &error);
        let surplus = match &self.network.plan {
            NetworkPlan::Use { surplus, .. } => surplus.clone(),
            NetworkPlan::Create => {
                let labels = BTreeMap::from([(LABEL_NETWORK.to_owned(), "1".to_owned())]);
                match self.engine.create_network(name, &labels).await {
                    Ok(_) => self.reporter.tell(&Event::NetworkCreated(name)),
                    // Another tool was faster; its network serves as well.
                    Err(error) if error.kind == EngineErrorKind::Conflict => {}
                    Err(error) => return Err(failed(error)),
                }
                let found = self.engine.networks(name).await.map_err(failed)?;
                found.into_iter().skip(1).map(|network| network.id).collect()
            }
        };
        for id in surplus {
            match self.engine.remove_network(&id).await {
                Ok(()) => {}
                // Its maker removes it as well.
                Err(error) if error.kind == EngineErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Does what the plan says for one sidecar, and returns the id of its container, which then runs.
    ///
    /// # Errors
    /// When a step fails; nothing half-made is left behind where that can be avoided.
    pub async fn sidecar(
        &self,
        plan: &SidecarPlan,
        sidecar: &Sidecar,
        network: &str,
    ) -> Result<String, Problem> {
        if let Some(leftover) = &plan.leftover {
            // It was never started: volumes that nothing else had before are empty.
            let removed = self.engine.remove(leftover, true).await;
            let doing = format!("remove `{}`", sidecar.temporary_name());
            removed.map_err(|error| engine_problem(&doing, &error).of(sidecar.name()))?;
        }
        let result = match plan.action {
            Action::Reuse => self.connect(plan, sidecar).await,
            Action::Resume => match self.resume(plan).await {
                Ok(()) => self.connect(plan, sidecar).await,
                Err(problem) => Err(problem),
            },
            Action::Create | Action::Recreate => self.make(plan, sidecar, network).await,
        };
        result.map_err(|problem| problem.of(sidecar.name()))
    }

    async fn connect(&self, plan: &SidecarPlan, sidecar: &Sidecar) -> Result<String, Problem> {
        let aliases = sidecar.definition.aliases();
        let container = looked_at(plan);
        self.departure.mark(sidecar, container)?;
        if !plan.connect.is_empty() {
            self.network().await?;
        }
        for (network, again) in &plan.connect {
            let failed = |error| cannot_connect(sidecar, network, &error);
            if *again {
                self.engine.disconnect(network, container).await.map_err(failed)?;
            }
            self.engine.connect(network, container, &aliases).await.map_err(failed)?;
        }
        Ok(container.to_owned())
    }

    async fn resume(&self, plan: &SidecarPlan) -> Result<(), Problem> {
        let resumed = self.engine.resume(looked_at(plan)).await;
        resumed.map_err(|error| engine_problem(&format!("resume `{}`", plan.container), &error))?;
        self.reporter.tell(&Event::Started { sidecar: &plan.name, container: &plan.container });
        Ok(())
    }

    async fn make(&self, plan: &SidecarPlan, sidecar: &Sidecar, network: &str) -> Result<String, Problem> {
        let image = self.image(plan, sidecar).await?;
        self.network().await?;
        let id = self.replace(plan, sidecar, network, image).await?;
        self.departure.mark(sidecar, &id)?;
        let start = async {
            let aliases = sidecar.definition.aliases();
            for other in sidecar.definition.container.networks.iter().filter(|name| *name != network) {
                let connected = self.engine.connect(other, &id, &aliases).await;
                connected.map_err(|error| cannot_connect(sidecar, other, &error))?;
            }
            self.engine.start(&id).await.map_err(|error| cannot_start(sidecar, &error))
        };
        if let Err(error) = start.await {
            // One that carries volumes stays, half-made, so that the next launch finds them.
            if plan.carried.is_empty() {
                let _ = self.engine.remove(&id, true).await;
            }
            return Err(error);
        }
        self.reporter.tell(&Event::Started { sidecar: sidecar.name(), container: &id });
        Ok(id)
    }

    /// Makes the new container beside the old one, removes the old one, and gives the new one its name.
    async fn replace(
        &self,
        plan: &SidecarPlan,
        sidecar: &Sidecar,
        network: &str,
        image: String,
    ) -> Result<String, Problem> {
        let mut salt = [0_u8; 16];
        let _ = getrandom::fill(&mut salt);
        let salt = format!("{:032x}", u128::from_ne_bytes(salt));
        let is_taken = plan.existing.as_ref().is_some_and(|existing| existing.name == sidecar.container);
        let name = if is_taken { sidecar.temporary_name() } else { sidecar.container.clone() };
        let mut spec = ContainerSpec {
            image,
            ..sidecar.spec(&name, network, (&plan.carried, &plan.changed_since_data), &salt)
        };
        let used = plan.existing.as_ref().map(|existing| self.departure.used_by_others(existing));
        if let Some(used) = used.filter(|used| !used.is_empty()) {
            spec.labels.insert(LABEL_REPLACED.to_owned(), used.join(" "));
        }
        for (name, value) in self.proxies.variables() {
            spec.env.entry(name).or_insert(value);
        }
        let created = self.create(&spec).await;
        let id = created.map_err(|error| cannot_create(sidecar, &error))?;
        if let Some(existing) = &plan.existing {
            let removed = self.stop_and_remove(sidecar, existing).await;
            removed.map_err(|error| engine_problem(&format!("remove `{}`", existing.name), &error))?;
        }
        if is_taken {
            let renamed = self.engine.rename(&id, &sidecar.container).await;
            renamed.map_err(|error| engine_problem(&format!("rename `{name}`"), &error))?;
        }
        self.reporter.tell(&Event::Created { sidecar: sidecar.name(), container: &id });
        Ok(id)
    }

    /// The new container must not start, nor get the old one's volumes, before the old one has ended by itself.
    async fn stop_and_remove(&self, sidecar: &Sidecar, existing: &Container) -> Result<(), EngineError> {
        if matches!(existing.status, Status::Running | Status::Paused | Status::Restarting) {
            let (sidecar, container) = (sidecar.name(), existing.id.as_str());
            self.reporter.tell(&Event::Stopping { sidecar, container, grace: existing.grace() });
        }
        stop_and_remove(self.engine.as_ref(), existing, false).await
    }

    /// Creates a container. A launch that was killed may have left the engine at it: the name is then reserved
    /// for a moment, and taken by a container that nobody will start.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let begun = Instant::now();
        loop {
            let conflict = match self.engine.create(spec).await {
                Err(error) if error.kind == EngineErrorKind::Conflict => error,
                result => return result,
            };
            match self.engine.container(&spec.name).await? {
                None if begun.elapsed() < RESERVED => {}
                Some(found) if found.status == Status::Created && is_same_sidecar(&found, spec) => {
                    if begun.elapsed() >= ABANDONED {
                        self.engine.remove(&found.id, true).await?;
                    }
                }
                _ => return Err(conflict),
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
        }
    }

    /// What the container is made from, pulled where that is needed. That of an untrusted definition is an id,
    /// which nobody makes name another image meanwhile.
    async fn image(&self, plan: &SidecarPlan, sidecar: &Sidecar) -> Result<String, Problem> {
        if plan.pull {
            let pulled = self.pull(sidecar).await?;
            return Ok(if sidecar.definition.layer.is_trusted() { sidecar.image.clone() } else { pulled });
        }
        if sidecar.definition.layer.is_trusted() || sidecar.image != sidecar.definition.image {
            return Ok(sidecar.image.clone());
        }
        // Absent when it was asked about, and present now: somebody else pulled it.
        let found = self.engine.image(&sidecar.image).await;
        let found = found.map_err(|error| engine_problem(&format!("look at `{}`", sidecar.image), &error))?;
        found.map(|image| image.id).ok_or_else(|| unavailable(sidecar, "it was removed a moment ago"))
    }

    /// Gives the id of what was pulled.
    async fn pull(&self, sidecar: &Sidecar) -> Result<String, Problem> {
        if sidecar.image != sidecar.definition.image {
            return Err(unavailable(sidecar, "what the approval was for was removed a moment ago"));
        }
        let image = &sidecar.definition.image;
        let name = sidecar.name();
        self.reporter.tell(&Event::Pulling { sidecar: name, image });
        let credentials = registry::credentials(&self.docker_config, image).await;
        let told = Mutex::new(PullProgress::default());
        let progress = |progress: PullProgress| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != progress {
                self.reporter.tell(&Event::PullProgress { sidecar: name, progress: progress.clone() });
                *told = progress;
            }
        };
        let pulled = self.engine.pull(image, credentials, &progress).await;
        let found: Result<Option<Image>, EngineError> = match pulled {
            Ok(()) => self.engine.image(image).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(Some(found)) => {
                self.reporter.tell(&Event::Pulled { sidecar: name, image });
                Ok(found.id)
            }
            Ok(None) => Err(unavailable(sidecar, "the engine pulled it but does not have it")),
            Err(error) if error.kind == EngineErrorKind::Unreachable => {
                Err(engine_problem(&format!("pull `{image}`"), &error))
            }
            Err(error) => Err(unavailable(sidecar, &error.message)),
        }
    }
}

/// The very container that the plan is about: its name may be another one's by now.
fn looked_at(plan: &SidecarPlan) -> &str {
    plan.existing.as_ref().map_or(&plan.container, |existing| &existing.id)
}

/// An image is unavailable: what the engine's words say about why, and what to do.
fn unavailable(sidecar: &Sidecar, reason: &str) -> Problem {
    let image = &sidecar.definition.image;
    let pull = command_line(&["docker", "pull"], &[image], &[]);
    let try_it = format!("Try `{pull}`, after `docker login` if its registry asks for it.");
    let build_it =
        "An image that you build yourself must be built before: `docker build -t NAME .`.".to_owned();
    let (code, hints) = match meaning(reason) {
        Some(Meaning::Denied) => (Code::ImageDenied, vec![try_it, build_it]),
        Some(Meaning::NotFound) => {
            let check = format!("Check the name and the tag of `{image}`, and that it was pushed.");
            (Code::ImageNotFound, vec![check, build_it])
        }
        Some(Meaning::DiskFull) => (Code::DiskFull, vec![MAKE_ROOM.to_owned()]),
        Some(Meaning::WrongArchitecture) => {
            let other = "Name an image that is made for this machine's architecture too.".to_owned();
            (Code::WrongArchitecture, vec![other])
        }
        _ => (Code::ImageUnavailable, vec![try_it, build_it]),
    };
    let message = format!("image `{image}` is unavailable: {reason}");
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
        EngineErrorKind::Conflict => Problem::error(
            Code::NameTaken,
            format!("the name `{container}` was taken while the launch was under way"),
        )
        .hint("Run the command again; a container that matches is then reused."),
        EngineErrorKind::Refused | EngineErrorKind::NotFound
            if !matches!(
                meaning(&error.message),
                Some(Meaning::DiskFull | Meaning::NoAddressRange | Meaning::NoAddress)
            ) =>
        {
            Problem::error(Code::StartFailed, format!("the engine does not create `{container}`: {error}"))
                .at(sidecar.definition.place("image"))
                .hint("Correct the definition in the respect that the engine names.")
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
        _ if about_addresses(&error.message).is_some() => {
            engine_problem(&format!("start `{container}`"), error)
        }
        _ => {
            let (code, hint) = match meaning(&error.message) {
                Some(Meaning::DiskFull) => (Code::DiskFull, MAKE_ROOM),
                Some(Meaning::ProgramMissing) => (Code::ProgramMissing, CHECK_PROGRAM),
                Some(Meaning::WrongArchitecture) => (Code::WrongArchitecture, CHECK_PROGRAM),
                // A network that the container is to be on, or the container itself.
                _ if error.kind == EngineErrorKind::NotFound => (Code::StartFailed, RUN_AGAIN),
                _ => (Code::StartFailed, CHECK_PROGRAM),
            };
            Problem::error(code, format!("the engine does not start `{container}`: {error}"))
                .at(sidecar.definition.place("entrypoint"))
                .hint(hint)
        }
    }
}
