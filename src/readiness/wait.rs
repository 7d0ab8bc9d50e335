//! The wait for one sidecar: polls its probes until all say ready, on evidence from its current start only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Shared, try_join_all};
use tokio::sync::Notify;

use super::closing::{Closing, Place};
use super::dossier::{Answers, Dossier};
use super::executions::Executions;
use super::look::{Ended, find, is_same_run, is_unhealthy, judge, unhealthy};
use super::phase::{Phase, Phases};
use super::powers::Neighbours;
use super::until::until;
use super::watch::Watch;
use crate::definition::model::Readiness;
use crate::engine::{Container, Engine, Status};
use crate::error::Code;
use crate::event::{Event, Reporter};
use crate::probe::catalogue::FoundProbe;
use crate::probe::host::LoadedProbe;
use crate::route::Route;
use crate::sidecar::Sidecar;

mod polling;

/// How often the container is looked at where no event says that something happened.
const SAFETY_LOOK: Duration = Duration::from_secs(1);
/// The same for very many of them, times their number: a hundred looks a second in all.
const LOOKS_APART: Duration = Duration::from_millis(10);
/// After this time without an answer from a probe, events are read.
const QUIET: Duration = Duration::from_millis(250);
/// The pause before an engine that did not answer is asked again.
const ENGINE_PAUSE: Duration = Duration::from_millis(250);
/// How long a container that somebody stopped may be on its way to a new run, as `docker restart` has it.
const RESTART: Duration = Duration::from_secs(2);

/// A component that is being compiled while containers start.
pub type Loading = Shared<BoxFuture<'static, Result<LoadedProbe, String>>>;

/// One of a sidecar's readiness conditions, with its probe.
#[derive(Clone)]
pub struct Condition {
    /// As declared.
    pub readiness: Readiness,
    /// The component.
    pub found: FoundProbe,
    /// Its compiled form, soon.
    pub loading: Loading,
}

/// What all waits of a launch share.
pub struct Waits {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Wakes whoever waits for a container.
    pub watch: Watch,
    /// The look after success at what runs already.
    pub closing: Closing,
    /// The gate for executed commands.
    pub executions: Arc<Executions>,
    /// The way to the containers.
    pub route: Route,
    /// The network that harness and sidecars meet on.
    pub network: String,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// The launch's sidecars, for probes that dial another one.
    pub neighbours: Neighbours,
    /// How many sidecars are waited for.
    pub waiting: AtomicUsize,
    /// How far each sidecar is.
    pub phases: Phases,
}

/// What a launch looked at a moment ago, under its lock, and changed nothing at.
pub struct Known {
    /// The container as it was seen.
    pub container: Container,
    /// Its place in the shared look after success.
    pub place: Place,
}

/// How one generation of the container was waited for.
enum Generation {
    Ready,
    Replaced,
}

/// One wait.
struct Wait<'a> {
    shared: &'a Waits,
    sidecar: &'a Sidecar,
    conditions: &'a [Condition],
    begun: Instant,
    answers: Vec<Mutex<Answers>>,
    /// The probe that said ready last.
    last: Mutex<Option<String>>,
    /// Given back when the first answer is another one than ready.
    place: Mutex<Option<Place>>,
}

impl Waits {
    /// Waits until the sidecar is ready, and returns its container as it then is. One that is `known` is not looked
    /// at again first.
    ///
    /// # Errors
    /// The evidence, when it will not be ready or time is up.
    pub async fn until_ready(
        &self,
        sidecar: &Sidecar,
        conditions: &[Condition],
        begun: Instant,
        known: Option<Known>,
    ) -> Result<Container, Box<Dossier>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.phases.note(sidecar.name(), Phase::Waiting);
        let answers = conditions.iter().map(|condition| Mutex::new(self.begin(sidecar, condition))).collect();
        let last = Mutex::new(None);
        let (known, place) = known.map(|known| (known.container, known.place)).unzip();
        if known.is_none() {
            self.watch.want();
        }
        let place = Mutex::new(place);
        let wait = Wait { shared: self, sidecar, conditions, begun, answers, last, place };
        let result = wait.run(known).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match result {
            Ok(container) => {
                let attempts = wait.collected().iter().map(|answers| answers.attempts).sum();
                let after = begun.elapsed();
                let last = wait.last.lock().unwrap_or_else(PoisonError::into_inner);
                let last = last.as_deref().filter(|_| conditions.len() > 1);
                self.phases.note(sidecar.name(), Phase::Ready);
                self.reporter.tell(&Event::Ready { sidecar: sidecar.name(), after, attempts, last });
                Ok(container)
            }
            Err(ended) => {
                self.phases.note(sidecar.name(), Phase::Failed);
                let here = |container: &Container| self.route.is_direct(container);
                Err(Box::new(wait.dossier(ended).collect(self.engine.as_ref(), here).await))
            }
        }
    }
}

impl Waits {
    fn safety_look(&self) -> Duration {
        let waiting = self.waiting.load(Ordering::Relaxed);
        SAFETY_LOOK.max(LOOKS_APART.saturating_mul(waiting.try_into().unwrap_or(u32::MAX)))
    }

    /// Tells what is waited for.
    fn begin(&self, sidecar: &Sidecar, condition: &Condition) -> Answers {
        let (probe, until) = (condition.found.name.clone(), until(sidecar, condition));
        let timeout = condition.readiness.timeout;
        self.reporter.tell(&Event::Waiting {
            sidecar: sidecar.name(),
            probe: &probe,
            until: &until,
            timeout,
        });
        Answers { probe, until, ..Answers::default() }
    }
}

impl Wait<'_> {
    fn collected(&self) -> Vec<Answers> {
        self.answers
            .iter()
            .map(|answers| answers.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    fn dossier(&self, ended: Ended) -> Dossier {
        let timeouts = self.conditions.iter().map(|condition| condition.readiness.timeout);
        Dossier {
            sidecar: self.sidecar.name().to_owned(),
            container_name: self.sidecar.container.clone(),
            code: ended.code,
            reason: ended.reason,
            waited: self.begun.elapsed(),
            timeout: timeouts.max().unwrap_or_default(),
            answers: self.collected(),
            container: None,
            port: self.sidecar.definition.port(),
            by_health: self.goes_by_health(),
            listeners: None,
            cause: None,
            others: self.shared.phases.others(self.sidecar.name()),
            log: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Whether a condition is the engine's own word, which then ends the wait at once.
    fn goes_by_health(&self) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.found.built_in && condition.found.name == "healthcheck")
    }

    /// Looks at the container; it must run.
    async fn look(&self) -> Result<Container, Ended> {
        let found = find(self.shared.engine.as_ref(), &self.sidecar.container).await;
        judge(found, self.sidecar, &self.shared.watch)
    }

    /// Looks at a container that was signalled from outside. A restart ends it first: it is given a moment to run
    /// again, or to be gone.
    async fn look_after_kill(&self, woken: &Notify) -> Result<Container, Ended> {
        let until = tokio::time::Instant::now() + RESTART;
        loop {
            let found = find(self.shared.engine.as_ref(), &self.sidecar.container).await;
            let stopped = |container: &Container| {
                matches!(container.status, Status::Exited | Status::Removing | Status::Dead)
            };
            let undecided = matches!(&found, Ok(Some(container)) if stopped(container));
            if !undecided || tokio::time::timeout_at(until, woken.notified()).await.is_err() {
                return judge(found, self.sidecar, &self.shared.watch);
            }
        }
    }

    /// Looks again while the engine does not answer, as long as the sidecar has time.
    async fn look_patiently(&self) -> Result<Container, Ended> {
        let timeouts = self.conditions.iter().map(|condition| condition.readiness.timeout);
        let deadline = self.begun + timeouts.max().unwrap_or_default();
        loop {
            match self.look().await {
                Err(ended) if ended.code == Code::EngineFailed && Instant::now() < deadline => {
                    tokio::time::sleep(ENGINE_PAUSE).await;
                }
                look => return look,
            }
        }
    }

    async fn run(&self, mut known: Option<Container>) -> Result<Container, Ended> {
        loop {
            let container = match known.take() {
                Some(container) => container,
                None => self.look_patiently().await?,
            };
            if let Generation::Replaced = self.generation(&container).await? {
                continue;
            }
            if let Some(place) = self.take_place()
                && place.still_runs(self.shared.engine.as_ref(), &self.shared.network, &container).await
            {
                return Ok(container);
            }
            // A container that restarted meanwhile may have another address, and is not ready yet.
            let now = self.look_patiently().await?;
            if is_same_run(&container, &now, &self.shared.network) {
                return Ok(now);
            }
        }
    }

    fn take_place(&self) -> Option<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// It is not ready at once: nobody waits for its look, and whatever happens to it is wanted.
    fn goes_on(&self) {
        drop(self.take_place());
        self.shared.watch.want();
    }

    /// Waits for one run of the container.
    async fn generation(&self, container: &Container) -> Result<Generation, Ended> {
        let woken = self.shared.watch.subscribe(&container.id);
        let poll_again: Vec<Notify> = self.conditions.iter().map(|_| Notify::new()).collect();
        let each = self.conditions.iter().zip(&self.answers).zip(&poll_again);
        let all_ready = try_join_all(each.map(|((condition, answers), again)| async {
            self.condition(condition, answers, container, again).await?;
            let last = condition.found.name.clone();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
            Ok(())
        }));
        let watch = async {
            loop {
                let _ = tokio::time::timeout(self.shared.safety_look(), woken.notified()).await;
                let now = match self.look().await {
                    // An engine that does not answer may answer again; the deadline holds meanwhile.
                    Err(ended) if ended.code == Code::EngineFailed => continue,
                    Err(ended)
                        if ended.code == Code::SidecarExited
                            && self.shared.watch.was_killed(&container.id) =>
                    {
                        self.look_after_kill(&woken).await?
                    }
                    look => look?,
                };
                if !is_same_run(container, &now, &self.shared.network) {
                    return Ok(Generation::Replaced);
                }
                if self.goes_by_health() && is_unhealthy(&now) {
                    return Err(unhealthy(&now));
                }
                let status = |container: &Container| container.health.as_ref().map(|health| health.status);
                if status(&now) != status(container) {
                    poll_again.iter().for_each(Notify::notify_one);
                }
            }
        };
        let quiet = async {
            tokio::time::sleep(QUIET).await;
            self.goes_on();
            std::future::pending().await
        };
        tokio::select! {
            result = all_ready => result.map(|_| Generation::Ready),
            result = watch => result,
            never = quiet => never,
        }
    }
}
