//! The wait for one sidecar: polls its probes until all say ready, on evidence from its latest start only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Shared, try_join_all};
use tokio::sync::Notify;

use super::context::Neighbours;
use super::look::{Ended, ended, find_with_cause, is_unhealthy, judge, unhealthy};
use super::phase::Phases;
use super::until::until;
use super::watch::Watch;
use crate::definition::model::Readiness;
use crate::engine::Engine;
use crate::event::failure::evidence::{Answers, FailureReport};
use crate::event::failure::older_data;
use crate::event::failure::phase::Phase;
use crate::event::{Event, Reporter};
use crate::plan::instance::{Instance, Status};
use crate::plan::sidecar::Sidecar;
use crate::probe::catalogue::FoundProbe;
use crate::probe::executions::Executions;
use crate::probe::host::{LoadError, LoadedProbe};
use crate::probe::usage::{Usage, UsageTotal};
use crate::readiness::matches::MatchCache;
use crate::readiness::route::Route;
use crate::report::error::Code;

mod job;
mod polling;

use polling::poll_limits;

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
pub type Loading = Shared<BoxFuture<'static, Result<LoadedProbe, LoadError>>>;

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
    /// What logs are known to say.
    pub matches: MatchCache,
    /// The gate for executed commands.
    pub executions: Arc<Executions>,
    /// The way to the containers.
    pub route: Arc<Route>,
    /// The network that harness and sidecars meet on.
    pub network: String,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// The launch's sidecars, for probes that dial another one.
    pub neighbours: Neighbours,
    /// How many sidecars are waited for.
    pub waiting: AtomicUsize,
    /// How far each sidecar is.
    pub phases: Arc<Phases>,
}

/// How one generation of the container was waited for.
enum Generation {
    Ready,
    Replaced,
}

/// The wait for one sidecar. It outlives the first time that the sidecar is ready: others may not be.
pub struct Wait<'a> {
    shared: &'a Waits,
    sidecar: &'a Sidecar,
    conditions: Vec<Condition>,
    begun: Instant,
    answers: Vec<Mutex<Answers>>,
    /// What the polls of each condition used, as far as it was not told yet.
    used: Vec<UsageTotal>,
    /// The probe that said ready last.
    last: Mutex<Option<String>>,
}

impl Waits {
    /// Begins to wait for a sidecar; its time counts from `begun`.
    pub fn begin<'a>(&'a self, sidecar: &'a Sidecar, conditions: Vec<Condition>, begun: Instant) -> Wait<'a> {
        self.phases.note(sidecar.name(), Phase::Waiting);
        let answers = conditions.iter().map(|condition| Mutex::new(self.begin_condition(sidecar, condition)));
        let answers = answers.collect();
        let used = conditions.iter().map(|_| UsageTotal::default()).collect();
        Wait { shared: self, sidecar, conditions, begun, answers, used, last: Mutex::new(None) }
    }
}

impl Wait<'_> {
    /// Waits until the sidecar is ready, and returns the run that is. A container that is `known` is not inspected again
    /// first.
    ///
    /// # Errors
    /// The evidence, if the sidecar will not be ready or its time is up.
    pub async fn until_ready(&self, known: Option<Instance>) -> Result<Instance, Box<FailureReport>> {
        let shared = self.shared;
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        if known.is_none() {
            shared.watch.want();
        }
        let result = self.run(known).await;
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        self.tell_used();
        match result {
            Ok(container) => {
                let attempts = self.collected().iter().map(|answers| answers.attempts).sum();
                let after = self.begun.elapsed();
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                let last = last.as_deref().filter(|_| self.conditions.len() > 1);
                shared.phases.note(self.sidecar.name(), Phase::Ready);
                shared.reporter.tell(&Event::Ready { sidecar: self.sidecar.name(), after, attempts, last });
                Ok(container)
            }
            Err(ended) => Err(self.failed(ended).await),
        }
    }

    /// Waits, once the sidecar is ready, until the engine tells that its run does not go on. An event that is lost costs
    /// nothing: before the harness starts, all are looked at once more.
    ///
    /// # Errors
    /// The evidence, if the sidecar will not be ready again.
    pub async fn until_lost(&self, container: &Instance) -> Result<(), Box<FailureReport>> {
        let woken = self.shared.watch.subscribe(&container.id);
        let lost = async {
            // A launch of running sidecars only is over by then, and needs no events.
            let _ = tokio::time::timeout(QUIET, woken.notified()).await;
            self.shared.watch.want();
            loop {
                match self.look_again(container, &woken).await {
                    Ok(Some(_)) => woken.notified().await,
                    Ok(None) => return Ok(()),
                    Err(ended) if ended.code == Code::EngineFailed => tokio::time::sleep(ENGINE_PAUSE).await,
                    Err(ended) => return Err(ended),
                }
            }
        };
        match lost.await {
            Ok(()) => self.lose().await,
            Err(ended) => Err(self.failed(ended).await),
        }
    }

    /// Looks whether the run that was ready goes on, and returns its container as it is now; `None` if the sidecar has
    /// to be waited for again.
    ///
    /// # Errors
    /// The evidence, if the sidecar will not be ready again.
    pub async fn still_ready(&self, container: &Instance) -> Result<Option<Instance>, Box<FailureReport>> {
        let woken = self.shared.watch.subscribe(&container.id);
        loop {
            match self.look_again(container, &woken).await {
                Ok(Some(now)) => return Ok(Some(now)),
                Ok(None) => {
                    self.lose().await?;
                    return Ok(None);
                }
                Err(ended) if ended.code == Code::EngineFailed && Instant::now() < self.deadline() => {
                    tokio::time::sleep(ENGINE_PAUSE).await;
                }
                Err(ended) => return Err(self.failed(ended).await),
            }
        }
    }

    /// Goes back to waiting, if there is time left.
    async fn lose(&self) -> Result<(), Box<FailureReport>> {
        if Instant::now() >= self.deadline() {
            let reason = "it was ready, but its container restarted while farrier waited for other sidecars, and its \
                          timeout has passed";
            return Err(self.failed(ended(Code::NotReady, reason)).await);
        }
        self.shared.phases.note(self.sidecar.name(), Phase::Waiting);
        self.shared.reporter.tell(&Event::NoLongerReady { sidecar: self.sidecar.name() });
        Ok(())
    }

    /// Tells once what the probes used of their grants.
    fn tell_used(&self) {
        let used = self.conditions.iter().zip(&self.used).filter_map(|(condition, used)| {
            let used = used.take();
            (!used.is_empty()).then(|| (condition.found.name.clone(), used))
        });
        let probes: Vec<(String, Usage)> = used.collect();
        if !probes.is_empty() {
            self.shared.reporter.tell(&Event::Used { sidecar: self.sidecar.name(), probes: &probes });
        }
    }

    /// The evidence of a failure.
    async fn failed(&self, ended: Ended) -> Box<FailureReport> {
        let shared = self.shared;
        shared.phases.note(self.sidecar.name(), Phase::Failed);
        let here = |container: &Instance| shared.route.is_direct(container);
        let for_memory = |container: &Instance| shared.watch.was_killed_for_memory(&container.id);
        Box::new(self.report(ended).collect(shared.engine.as_ref(), for_memory, here).await)
    }
}

impl Drop for Wait<'_> {
    /// A wait that another sidecar's failure or a signal ends has used something, too.
    fn drop(&mut self) {
        self.tell_used();
    }
}

impl Waits {
    fn safety_look(&self) -> Duration {
        let waiting = self.waiting.load(Ordering::Relaxed);
        SAFETY_LOOK.max(LOOKS_APART.saturating_mul(waiting.try_into().unwrap_or(u32::MAX)))
    }

    /// Tells what is waited for.
    fn begin_condition(&self, sidecar: &Sidecar, condition: &Condition) -> Answers {
        let (probe, until) = (condition.found.name.clone(), until(sidecar, condition));
        let timeout = condition.readiness.timeout;
        self.reporter.tell(&Event::Waiting {
            sidecar: sidecar.name(),
            probe: &probe,
            until: &until,
            timeout,
        });
        let poll = poll_limits(condition, Duration::MAX).poll;
        Answers { probe, until, poll, ..Answers::default() }
    }
}

impl Wait<'_> {
    /// Whether it is one of these waits.
    pub(super) fn is_of(&self, waits: &Waits) -> bool {
        std::ptr::eq(self.shared, waits)
    }

    /// The network on which the sidecar has to be ready.
    pub(super) fn network(&self) -> &str {
        &self.shared.network
    }

    fn collected(&self) -> Vec<Answers> {
        self.answers
            .iter()
            .map(|answers| answers.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    fn report(&self, ended: Ended) -> FailureReport {
        let timeouts = self.conditions.iter().map(|condition| condition.readiness.timeout);
        let settings = self.conditions.iter().flat_map(|condition| condition.readiness.settings.values());
        FailureReport {
            sidecar: self.sidecar.name().to_owned(),
            reference: self.sidecar.reference().to_owned(),
            whole_log: self.sidecar.whole_log(),
            is_kept: self.sidecar.session.is_none(),
            container_name: self.sidecar.container.clone(),
            code: ended.code,
            reason: ended.reason,
            waited: self.begun.elapsed(),
            timeout: timeouts.max().unwrap_or(self.sidecar.definition.job_timeout),
            answers: self.collected(),
            container: None,
            is_told: ended.is_gone,
            command: self.conditions.iter().find_map(|condition| condition.readiness.command.clone()),
            env_in_settings: older_data::in_settings(self.sidecar.env(), settings),
            by_health: self.goes_by_health(),
            listeners: None,
            cause: None,
            others: self.shared.phases.others(self.sidecar.name()),
            held_back: Vec::new(),
            log: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// When the sidecar has to be ready.
    fn deadline(&self) -> Instant {
        let extended = |answers: Answers| answers.extended_to.unwrap_or_default();
        let each = self.conditions.iter().zip(self.collected());
        let each = each.map(|(condition, answers)| condition.readiness.timeout.max(extended(answers)));
        self.begun + each.max().unwrap_or_default()
    }

    /// Whether a condition is the engine's own word, which then ends the wait at once.
    pub(super) fn goes_by_health(&self) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.found.built_in && condition.found.name == "healthcheck")
    }

    /// Looks at the container; it must run.
    async fn look(&self) -> Result<Instance, Ended> {
        let shared = self.shared;
        let found = find_with_cause(shared.engine.as_ref(), &shared.watch, &self.sidecar.container).await;
        judge(found, self.sidecar, &shared.network, &shared.watch)
    }

    /// Looks at a container again: as it is now, or `None` if what was seen of it counts no more.
    async fn look_again(&self, seen: &Instance, woken: &Notify) -> Result<Option<Instance>, Ended> {
        let now = match self.look().await {
            Err(ended) if ended.code == Code::SidecarExited && self.shared.watch.was_killed(&seen.id) => {
                self.look_after_kill(woken).await?
            }
            look => look?,
        };
        if self.goes_by_health() && is_unhealthy(&now) {
            return Err(unhealthy(&now));
        }
        Ok(seen.goes_on_as(&now, &self.shared.network).then_some(now))
    }

    /// Looks at a container that was signalled from outside. A restart ends it first: it is given a moment to run
    /// again, or to be gone.
    async fn look_after_kill(&self, woken: &Notify) -> Result<Instance, Ended> {
        let until = tokio::time::Instant::now() + RESTART;
        loop {
            let shared = self.shared;
            let found = find_with_cause(shared.engine.as_ref(), &shared.watch, &self.sidecar.container).await;
            let stopped = |container: &Instance| {
                matches!(container.status, Status::Exited | Status::Removing | Status::Dead)
            };
            let undecided = matches!(&found, Ok(Some(container)) if stopped(container));
            if !undecided || tokio::time::timeout_at(until, woken.notified()).await.is_err() {
                return judge(found, self.sidecar, &shared.network, &shared.watch);
            }
        }
    }

    /// Looks again while the engine does not answer, as long as the sidecar has time.
    async fn look_patiently(&self) -> Result<Instance, Ended> {
        let deadline = self.deadline();
        loop {
            match self.look().await {
                Err(ended) if ended.code == Code::EngineFailed && Instant::now() < deadline => {
                    tokio::time::sleep(ENGINE_PAUSE).await;
                }
                look => return look,
            }
        }
    }

    async fn run(&self, mut known: Option<Instance>) -> Result<Instance, Ended> {
        loop {
            let was_known = known.is_some();
            let container = match known.take() {
                Some(container) => container,
                None => self.look_patiently().await?,
            };
            if matches!(container.status, Status::Starting | Status::Restarting) {
                self.between_runs(&container).await?;
            } else if let Generation::Ready = self.generation(&container).await? {
                if was_known && self.collected().iter().all(|answers| answers.attempts <= 1) {
                    return Ok(container);
                }
                // If it ended meanwhile, another container may have got its address, and answered.
                let now = self.look_patiently().await?;
                if container.goes_on_as(&now, &self.shared.network) {
                    return Ok(now);
                }
            }
        }
    }

    /// Waits for something to happen to a container that the engine is starting or restarting.
    async fn between_runs(&self, container: &Instance) -> Result<(), Ended> {
        if Instant::now() >= self.deadline() {
            let reason = if container.status == Status::Starting {
                "the engine has not started it".to_owned()
            } else {
                format!("its container restarts again and again; it exited with code {}", container.exit_code)
            };
            return Err(ended(Code::NotReady, reason));
        }
        let woken = self.shared.watch.subscribe(&container.id);
        let _ = tokio::time::timeout(self.shared.safety_look(), woken.notified()).await;
        Ok(())
    }

    /// Waits for one run of the container.
    async fn generation(&self, container: &Instance) -> Result<Generation, Ended> {
        let woken = self.shared.watch.subscribe(&container.id);
        let poll_again: Vec<Notify> = self.conditions.iter().map(|_| Notify::new()).collect();
        let each = self.conditions.iter().zip(&self.answers).zip(&self.used).zip(&poll_again);
        let all_ready = try_join_all(each.map(|(((condition, answers), used), again)| async {
            self.condition(condition, answers, used, container, again).await?;
            let last = condition.found.name.clone();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
            Ok(())
        }));
        let watch = async {
            loop {
                let _ = tokio::time::timeout(self.shared.safety_look(), woken.notified()).await;
                let now = match self.look_again(container, &woken).await {
                    // An engine that does not answer may answer again; the deadline holds meanwhile.
                    Err(ended) if ended.code == Code::EngineFailed => continue,
                    look => look?,
                };
                let Some(now) = now else { return Ok(Generation::Replaced) };
                let status = |container: &Instance| container.health.as_ref().map(|health| health.status);
                if status(&now) != status(container) {
                    poll_again.iter().for_each(Notify::notify_one);
                }
            }
        };
        let quiet = async {
            tokio::time::sleep(QUIET).await;
            self.shared.watch.want();
            std::future::pending().await
        };
        tokio::select! {
            result = all_ready => result.map(|_| Generation::Ready),
            result = watch => result,
            never = quiet => never,
        }
    }
}
