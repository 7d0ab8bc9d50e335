//! Carries a plan out. No lock of this machine keeps others away: the Swarm has one service of a name, and takes an update only
//! of the state that was looked at. Whoever comes second looks again, and uses what the first one made if it is what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::try_join;

use super::api::{Config, Overlay, Service, SwarmApi};
use super::comparison::{networks_of, wanted_networks};
use super::delay::Delay;
use super::instance::{instance_id, service_of};
use super::others::Others;
use super::waiting::NotStarted;
use super::{NETWORK, Swarm, files, networks, spec};
use crate::engine::machine::machine;
use crate::engine::problem::engine_problem;
use crate::engine::registry::{Credentials, credentials};
use crate::engine::{Carrier, EngineError, EngineErrorKind, Progress};
use crate::plan::instance::{Instance, Status};
use crate::plan::reconcile::in_use;
use crate::plan::sidecar::{LABEL_REPLACED, Sidecar};
use crate::plan::{Action, Cause, SidecarPlan};
use crate::report::error::{Code, Problem};

/// How often a service is looked at again that others change at the same moment.
const MOST_LOOKS: usize = 5;

/// The pause before it is looked at whether a network is taken down.
const LOOK: Duration = Duration::from_millis(100);

/// One sidecar's part of a plan, being carried out.
pub(super) struct Carrying<'a> {
    pub swarm: &'a Swarm,
    pub carrier: &'a dyn Carrier,
    pub part: &'a SidecarPlan,
    /// The harness's network.
    pub network: &'a str,
}

/// A making that was just written to the Swarm.
pub(super) struct Made {
    pub service: String,
    pub id: String,
    /// Whether it is this launch's own.
    is_ours: bool,
    /// Whether there was no service before.
    is_new: bool,
}

impl Carrying<'_> {
    /// Does what the plan says for one sidecar, whose task then starts.
    ///
    /// # Errors
    /// If a step fails; nothing half-made is left behind if that can be avoided.
    pub(super) async fn run(&self) -> Result<(), Problem> {
        let result = match (self.part.action, &self.part.existing) {
            (Action::Reuse | Action::Resume, Some(existing)) => self.reuse(existing).await,
            _ => self.make().await,
        };
        result.map_err(|problem| problem.of(self.sidecar().name()))
    }

    /// Uses what there is, once it has started: another launch may have made it a moment ago.
    async fn reuse(&self, existing: &Instance) -> Result<(), Problem> {
        self.carrier.mark(self.sidecar(), &existing.id)?;
        if existing.status != Status::Starting {
            return Ok(());
        }
        let service = service_of(&existing.id).to_owned();
        let made = Made { service, id: existing.id.clone(), is_ours: false, is_new: false };
        self.started(made).await.map(drop).map_err(|not_started| not_started.problem)
    }

    pub(super) fn api(&self) -> &dyn SwarmApi {
        self.swarm.api.as_ref()
    }

    pub(super) fn sidecar(&self) -> &Sidecar {
        &self.part.sidecar
    }

    async fn make(&self) -> Result<(), Problem> {
        self.carrier.network().await?;
        let (sidecar, name) = (self.sidecar(), self.sidecar().container.as_str());
        let made = self.write().await?;
        if made.is_ours {
            self.carrier.tell(Progress::Created { sidecar: sidecar.name(), instance: &made.id });
        }
        self.carrier.mark(sidecar, &made.id)?;
        let (service, id) = (made.service.clone(), made.id.clone());
        let is_removed = made.is_ours && made.is_new;
        match self.started(made).await {
            Ok(instance) => {
                self.carrier.tell(Progress::Started { sidecar: sidecar.name(), instance: &instance });
                Ok(())
            }
            Err(NotStarted { problem, is_half_made }) => {
                // One that another launch has changed meanwhile is not ours any more, and one that there was before stays.
                let now = self.api().service(name).await.ok().flatten();
                let is_still_ours = now.is_some_and(|now| instance_id(&now) == id);
                if is_half_made && is_removed && is_still_ours {
                    let _ = self.api().remove_service(&service).await;
                }
                self.sweep_files().await;
                Err(problem)
            }
        }
    }

    /// Creates or updates the service. After a failure, no configs stay that it was to mount.
    async fn write(&self) -> Result<Made, Problem> {
        let written = self.attempts().await;
        if written.is_err() {
            self.sweep_files().await;
        }
        written
    }

    /// Creates or updates the service; looks again if somebody else did meanwhile.
    async fn attempts(&self) -> Result<Made, Problem> {
        let credentials = self.credentials().await;
        let (mut is_told, mut missing, mut looks) = (false, None, 0);
        let (mut gone, begun) = (BTreeSet::new(), Instant::now());
        let mut delay = Delay::from(begun);
        while looks < MOST_LOOKS {
            match self.write_once(credentials.as_ref(), &mut is_told, &mut gone).await? {
                Attempt::Made(made) => return Ok(made),
                Attempt::TakingDown if begun.elapsed() < networks::TAKING_DOWN => {
                    delay.tell(self, async || networks::taking_down(self.network)).await;
                    tokio::time::sleep(LOOK).await;
                }
                Attempt::TakingDown => return Err(networks::not_taken_down(self.network)),
                Attempt::Changed(error) => {
                    tracing::debug!("{} was changed meanwhile: {error}", self.sidecar().container);
                    looks += 1;
                    // Another command may have swept a config that no service mounted yet.
                    missing = missing.or((error.kind == EngineErrorKind::NotFound).then_some(error));
                }
            }
        }
        let sidecar = self.sidecar();
        Err(missing.map_or_else(|| changed_meanwhile(sidecar), |error| cannot_write(sidecar, &error)))
    }

    /// With what nodes pull the image: only what is named by a reference, and the Swarm keeps it.
    async fn credentials(&self) -> Option<Credentials> {
        let sidecar = self.sidecar();
        let is_reference = !sidecar.image.as_str().starts_with("sha256:");
        let reference = sidecar.definition.image.as_deref().filter(|_| is_reference)?;
        credentials(&self.swarm.config, reference).await
    }

    /// One attempt. `gone` are the ids of networks that the manager lists, but that are none of the Swarm's any more.
    async fn write_once(
        &self,
        credentials: Option<&Credentials>,
        is_told: &mut bool,
        gone: &mut BTreeSet<String>,
    ) -> Result<Attempt, Problem> {
        let (sidecar, name) = (self.sidecar(), self.sidecar().container.as_str());
        let failed = |error: EngineError| cannot_write(sidecar, &error);
        let (found, (now, marks)) =
            try_join(self.api().service(name), self.api().marks()).await.map_err(failed)?;
        let (machine, own) = (machine(), self.swarm.mark.get());
        let others = Others::of(&marks, now, &machine, own.as_ref());
        let Some(overlays) = self.networks(&others, gone).await? else { return Ok(Attempt::TakingDown) };
        if let Some(service) = &found {
            match self.standing(service, &overlays, &others) {
                Standing::ToChange => {}
                Standing::AsWanted => {
                    let (service, id) = (service.id.clone(), instance_id(service));
                    return Ok(Attempt::Made(Made { service, id, is_ours: false, is_new: false }));
                }
                Standing::Used(problem) => return Err(problem),
                Standing::Otherwise => return Err(changed_meanwhile(sidecar)),
            }
        }
        let configs = files::make(self.api(), sidecar).await?;
        let making = making();
        let spec = self.spec(found.as_ref(), (&overlays, &configs), &others, &making)?;
        let written = match &found {
            None => self.api().create_service(&spec, credentials).await,
            Some(service) => {
                if let Some(existing) = self.existing().filter(|old| old.is_up() && !*is_told) {
                    self.tell_stopping(existing);
                    *is_told = true;
                }
                let updated = self.api().update_service(service, &spec, credentials).await;
                updated.map(|()| service.id.clone())
            }
        };
        let is_worth_another =
            |error: &EngineError| matches!(error.kind, EngineErrorKind::Conflict | EngineErrorKind::NotFound);
        match written {
            Ok(service) => {
                if found.is_some() {
                    self.sweep_files().await;
                }
                let id = format!("{service}.{making}");
                Ok(Attempt::Made(Made { service, id, is_ours: true, is_new: found.is_none() }))
            }
            Err(error) => match overlays.into_iter().find(|network| error.message.contains(&network.id)) {
                Some(network) if networks::says_gone(&error.message) => {
                    gone.insert(network.id);
                    Ok(Attempt::TakingDown)
                }
                _ if is_worth_another(&error) => Ok(Attempt::Changed(error)),
                _ => Err(failed(error)),
            },
        }
    }

    /// Removes files that the service does not mount. What goes wrong is left to the next change.
    async fn sweep_files(&self) {
        let name = &self.sidecar().container;
        if let Err(error) = files::sweep(self.api(), name).await {
            tracing::debug!("files that {name} does not mount any more stay: {error}");
        }
    }

    fn existing(&self) -> Option<&Instance> {
        self.part.existing.as_ref()
    }

    fn tell_stopping(&self, existing: &Instance) {
        let (sidecar, instance) = (self.sidecar().name(), existing.id.as_str());
        self.carrier.tell(Progress::Stopping { sidecar, instance, grace: existing.grace });
    }

    /// The Swarm's networks, with those of farrier's on which earlier launches want the service and that they may not have made
    /// yet; `None` while the manager's node takes down what was the harness's.
    async fn networks(
        &self,
        others: &Others<'_>,
        gone: &BTreeSet<String>,
    ) -> Result<Option<Vec<Overlay>>, Problem> {
        let is_its = |name: &str| name == self.network;
        let names = others.networks(self.sidecar());
        let own = names.into_iter().filter(|name| name.starts_with(NETWORK) && !is_its(name));
        // Made already, unless that one is gone.
        let again = Some(self.network).filter(|name| name.starts_with(NETWORK) && !gone.is_empty());
        for name in own.chain(again) {
            networks::create(self.api(), name).await?;
        }
        let all = self.api().overlays().await;
        let all = all.map_err(|error| cannot_write(self.sidecar(), &error))?;
        let overlays: Vec<Overlay> = all.into_iter().filter(|network| !gone.contains(&network.id)).collect();
        // Also if the former one has just disappeared, and nobody has made the next one yet.
        let is_taken_down = again.is_some() && !overlays.iter().any(|network| is_its(&network.name));
        Ok((!is_taken_down).then_some(overlays))
    }

    /// How a service stands to the plan.
    fn standing(&self, service: &Service, overlays: &[Overlay], others: &Others<'_>) -> Standing {
        let sidecar = self.sidecar();
        if self.existing().is_some_and(|existing| existing.id == instance_id(service)) {
            return Standing::ToChange;
        }
        if !is_of(service, sidecar) {
            return Standing::Otherwise;
        }
        let on = networks_of(overlays, sidecar, service);
        let mut wanted = wanted_networks(sidecar, self.network);
        wanted.extend(others.networks(sidecar));
        let missing: Vec<&str> = wanted.difference(&on).copied().collect();
        if missing.is_empty() {
            return Standing::AsWanted;
        }
        match others.content(sidecar, true, &on).first() {
            Some(holder) => {
                let causes = missing.into_iter().map(|name| format!("not on network {name}"));
                Standing::Used(in_use(sidecar, &[Cause::Drifted(causes.collect())], holder))
            }
            None => Standing::ToChange,
        }
    }

    /// The service as it is to be. It is on every network on which a launch wants it, and stays on those that it is on.
    fn spec(
        &self,
        existing: Option<&Service>,
        (overlays, configs): (&[Overlay], &[Config]),
        others: &Others<'_>,
        making: &str,
    ) -> Result<serde_json::Value, Problem> {
        let sidecar = self.sidecar();
        let id_of = |name: &str| {
            let found = overlays.iter().find(|overlay| overlay.is_overlay && overlay.name == name);
            found.map(|overlay| overlay.id.as_str()).ok_or_else(|| {
                let message = format!("the network `{name}` was removed during the launch");
                Problem::error(Code::NetworkUnusable, message).hint(crate::engine::problem::RUN_AGAIN)
            })
        };
        let wanted: Result<BTreeSet<&str>, Problem> =
            wanted_networks(sidecar, self.network).into_iter().map(id_of).collect();
        let mut networks = wanted?;
        networks.extend(others.all_networks(sidecar).into_iter().filter_map(|name| id_of(name).ok()));
        networks.extend(existing.iter().flat_map(|service| service.networks()).map(|(id, _)| id));
        let mut labels: BTreeMap<String, String> = spec::labels(sidecar, making);
        let used = self.existing().map(|existing| self.carrier.used_by_others(existing));
        if let Some(used) = used.filter(|used| !used.is_empty()) {
            labels.insert(LABEL_REPLACED.to_owned(), used.join(" "));
        }
        let template = spec::task_template(sidecar, networks, configs, making);
        Ok(spec::service(sidecar, &template, &labels))
    }
}

/// What came of an attempt to write a service.
enum Attempt {
    Made(Made),
    /// Others changed what it was to be made of.
    Changed(EngineError),
    /// The network was removed that it is to be on, and containers there have not ended yet.
    TakingDown,
}

/// How a service stands to a plan.
enum Standing {
    /// It is the one that the plan replaces, or lacks a network and is used by nobody.
    ToChange,
    /// Another launch has made it, as this one would.
    AsWanted,
    /// Another launch has made it, and uses it as it is, which this one cannot.
    Used(Problem),
    /// Another launch has made it otherwise.
    Otherwise,
}

/// Whether a service is made of what the sidecar declares now.
pub(super) fn is_of(service: &Service, sidecar: &Sidecar) -> bool {
    let made = Instance { labels: service.labels.clone(), ..Instance::default() };
    sidecar.owns(&service.labels) && made.is_of(sidecar) && service.image() == sidecar.image.as_str()
}

/// 64 bits, which nobody guesses and no other making has.
fn making() -> String {
    let mut random = [0_u8; 8];
    let _ = getrandom::fill(&mut random);
    format!("{:016x}", u64::from_ne_bytes(random))
}

pub(super) fn changed_meanwhile(sidecar: &Sidecar) -> Problem {
    let message = format!("the service `{}` was changed or removed during the launch", sidecar.container);
    Problem::error(Code::NameTaken, message)
        .hint("Run the command again; a service that matches is then reused.")
}

fn cannot_write(sidecar: &Sidecar, error: &EngineError) -> Problem {
    let service = &sidecar.container;
    if error.kind == EngineErrorKind::Refused {
        return Problem::error(Code::StartFailed, format!("cannot create the service `{service}`: {error}"))
            .at(sidecar.definition.place("image"))
            .hint("Fix the setting named in the engine's error.");
    }
    engine_problem(&format!("create the service `{service}`"), error)
}
