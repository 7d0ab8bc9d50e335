//! Polling one condition: the way to the container, poll after poll, until it is ready or time is up.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Condition, ENGINE_PAUSE, Wait};
use crate::definition::grants::DialGrant;
use crate::definition::model::Limits;
use crate::engine::dialler::Dialler;
use crate::engine::limited::within;
use crate::event::Event;
use crate::event::failure::evidence::{Answers, NO_ANSWER};
use crate::plan::instance::Instance;
use crate::probe::context::{ProbeContext, Targets};
use crate::probe::guest::{Context, Verdict};
use crate::probe::host::LoadedProbe;
use crate::probe::private_copies::PrivateCopies;
use crate::probe::usage::UsageTotal;
use crate::readiness::context::ProbeRoute;
use crate::readiness::look::{Ended, ended, is_unhealthy, unhealthy};
use crate::readiness::redial::{Opened, redial};
use crate::readiness::schedule::{Course, Terms, poll_limit};
use crate::report::elapsed::limit;
use crate::report::error::Code;

/// What making the way to the containers may take at least, however short a sidecar's own limit is.
const LEAST_FOR_THE_WAY: Duration = Duration::from_secs(10);

/// A poll that did not say ready.
#[derive(Default)]
struct NotYet {
    /// The pause that the probe asks for.
    pause: Option<Duration>,
    /// How far away the deadline is to be at least.
    extend: Option<Duration>,
    /// Where nothing listened, if it did nothing but dial from this host.
    refused: BTreeSet<SocketAddr>,
}

impl Wait<'_> {
    /// Polls one condition until it is ready.
    pub(super) async fn condition(
        &self,
        condition: &Condition,
        answers: &Mutex<Answers>,
        used: &UsageTotal,
        container: &Instance,
        again: &Notify,
    ) -> Result<(), Ended> {
        if self.is_known_to_match(condition, answers, container) {
            return Ok(());
        }
        let Some(mut way) = self.way(condition, container).await? else { return Ok(()) };
        let probe = condition.loading.clone().await.map_err(|error| {
            let name = &condition.found.name;
            let problem = error.problem(Code::ProbeInvalid, |reason| {
                format!("the probe `{name}` cannot be loaded: {reason}")
            });
            ended(problem.code, problem.message)
        })?;
        let readiness = &condition.readiness;
        // What farrier itself took does not count against the sidecar: one whole poll is due to it.
        let due = readiness.limits.poll.min(readiness.timeout);
        let mut course = Course::new(self.begun, Terms::of(readiness), due);
        let executes = condition.found.executes();
        let mut opened: Option<Opened> = None;
        loop {
            if way.dialler.as_ref().is_some_and(|dialler| dialler.has_ended()) {
                way.dialler = self.dialler(condition, container).await?;
            }
            let polled_at = Instant::now();
            let mut probe_context = self.shared.probe_context(self.sidecar, condition, container, &way).await;
            probe_context.used = used.clone();
            if let Some(opened) = opened.take() {
                probe_context.dialler = probe_context.dialler.map(|dialler| opened.before(dialler));
            }
            let dialled = probe_context.targets.clone();
            let mut polled = self.poll(condition, &probe, probe_context, answers, &course).await?;
            if polled.is_none() && !self.still_there(condition, container, &dialled).await {
                // Another sidecar moved meanwhile: what answered was perhaps somebody else.
                polled = Some(NotYet::default());
            }
            if course.count(polled.is_none()) {
                if condition.found.holds_for_the_run() {
                    self.shared.matches.keep(container, &settings(condition));
                }
                return Ok(());
            }
            let not_yet = polled.unwrap_or_default();
            self.shared.watch.want();
            if let Some(later) = course.extend(not_yet.extend) {
                answers.lock().unwrap_or_else(PoisonError::into_inner).extended_to = Some(later);
            }
            let (took, waiting) = (polled_at.elapsed(), || self.shared.waiting.load(Ordering::Relaxed));
            let redial_way = way.dialler.as_deref().filter(|_| !not_yet.refused.is_empty());
            let next = match redial_way {
                Some(_) => course.stretch(took, waiting()),
                None => course.pause(took, waiting(), executes, not_yet.pause),
            };
            let until_accepted = async {
                match redial_way {
                    Some(through) => redial(through, &not_yet.refused, waiting).await,
                    None => std::future::pending().await,
                }
            };
            opened = tokio::select! {
                accepted = until_accepted => Some(accepted),
                () = tokio::time::sleep(next) => None,
                // Successes are an interval apart, whatever happens between them.
                () = again.notified(), if course.in_a_row() == 0 => None,
            };
            if course.is_over() {
                return Err(too_late(condition, answers));
            }
        }
    }

    /// Whether an earlier wait has seen this run write what the condition waits for.
    fn is_known_to_match(
        &self,
        condition: &Condition,
        answers: &Mutex<Answers>,
        container: &Instance,
    ) -> bool {
        let holds = condition.found.holds_for_the_run();
        if !holds || !self.shared.matches.has(container, &settings(condition)) {
            return false;
        }
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.note("ready, as earlier in this run", self.begun.elapsed());
        true
    }

    /// What stays the same for all polls; none where that the container runs is the check, as the route has said.
    async fn way(&self, condition: &Condition, container: &Instance) -> Result<Option<ProbeRoute>, Ended> {
        let has_address = container.address(&self.shared.network).is_some();
        // The way is decided once for the launch, so only on a container that tells where it is.
        let mut way = ProbeRoute::default();
        if has_address && condition.found.connects() {
            way.dialler = self.dialler(condition, container).await?;
            if way.dialler.is_none() && condition.found.built_in {
                return Ok(None);
            }
            way.sockets = self.shared.route.sockets(container);
        }
        let folders = PrivateCopies::write(&condition.found.granted.directories).map_err(|error| {
            let reason = format!("the granted folders cannot be copied: {error}");
            ended(Code::StateUnusable, reason)
        })?;
        way.folders = folders.map(Arc::new);
        Ok(Some(way))
    }

    /// The way to the container, asked for again while the engine does not answer, as long as there is time.
    async fn dialler(
        &self,
        condition: &Condition,
        container: &Instance,
    ) -> Result<Option<Arc<dyn Dialler>>, Ended> {
        let deadline = self.begun + condition.readiness.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(LEAST_FOR_THE_WAY);
            match within(left, self.shared.route.dialler(container)).await {
                Ok(dialler) => return Ok(dialler),
                Err(error) if Instant::now() >= deadline => {
                    return Err(ended(Code::EngineFailed, format!("the engine failed: {error}")));
                }
                Err(_) => tokio::time::sleep(ENGINE_PAUSE).await,
            }
        }
    }

    /// Whether the other sidecars that a probe dialled are where they were when it began.
    async fn still_there(&self, condition: &Condition, container: &Instance, dialled: &Targets) -> bool {
        let grants = &condition.found.granted.grants;
        let others = grants.dial.iter().any(|dial| matches!(dial, DialGrant::Sidecar { .. }));
        !others || self.shared.targets(self.sidecar, container, grants, true).await == *dialled
    }

    /// Polls once. `None` is ready.
    async fn poll(
        &self,
        condition: &Condition,
        probe: &LoadedProbe,
        probe_context: ProbeContext,
        answers: &Mutex<Answers>,
        course: &Course,
    ) -> Result<Option<NotYet>, Ended> {
        let polled_at = Instant::now();
        let left = course.deadline().saturating_duration_since(polled_at).max(Duration::from_millis(1));
        let attempt = answers.lock().unwrap_or_else(PoisonError::into_inner).attempts + 1;
        let context = Context {
            sidecar: self.sidecar.name().to_owned(),
            host: self.sidecar.name().to_owned(),
            port: self.sidecar.definition.port(),
            attempt,
            elapsed_ms: self.begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            remaining_ms: left.as_millis().try_into().unwrap_or(u64::MAX),
            settings: settings(condition),
        };
        let limits = poll_limits(condition, left);
        let is_alone = only_dials(condition, &probe_context);
        let polled = probe.poll(context, probe_context, limits).await;
        let sidecar = self.sidecar.name();
        for line in &polled.trace {
            self.shared.reporter.tell(&Event::Traced { sidecar, line });
        }
        // Whoever answered a dial is reached, also if the poll was cut afterwards.
        let reached = polled.observed.answering.iter().cloned();
        answers.lock().unwrap_or_else(PoisonError::into_inner).observed.answering.extend(reached);
        let timed_out = polled.verdict == Verdict::TimedOut;
        let waited_in_vain =
            timed_out || (polled.observed.cut && matches!(polled.verdict, Verdict::Pending { .. }));
        if waited_in_vain && limits.poll < poll_limits(condition, Duration::MAX).poll && attempt > 1 {
            // It was the end of the wait that ended this poll: what it says is about that, not about the sidecar.
            answers.lock().unwrap_or_else(PoisonError::into_inner).attempts = attempt;
            return Ok(Some(NotYet::default()));
        }
        let name = &condition.found.name;
        let (text, outcome) = match polled.verdict {
            Verdict::Ready => (success(course.in_a_row() + 1, condition.readiness.successes), Ok(None)),
            Verdict::Pending { reason, retry_after, extend } => {
                // A probe that asks for a pause is not asked before.
                let refused = polled.observed.only_refused().filter(|_| is_alone && retry_after.is_none());
                let refused = refused.cloned().unwrap_or_default();
                (reason, Ok(Some(NotYet { pause: retry_after, extend, refused })))
            }
            Verdict::TimedOut => (no_answer(condition, limits), Ok(Some(NotYet::default()))),
            Verdict::Failed(reason) => {
                // A container that cannot be looked at is the watch's business, which ends the wait.
                let Ok(now) = self.look().await else { return Ok(Some(NotYet::default())) };
                let by_health = condition.found.interfaces.contains(&"health") && is_unhealthy(&now);
                let why = if by_health { unhealthy(&now) } else { ended(Code::ProbeFailed, reason.clone()) };
                (reason, Err(why))
            }
            Verdict::Crashed(reason) => {
                let reason = format!("the probe `{name}` crashed: {reason}");
                (reason.clone(), Err(ended(Code::ProbeCrashed, reason)))
            }
        };
        let changed = {
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            // A poll that was cut saw less than the one before.
            if !timed_out || answers.attempts == 0 {
                let earlier = answers.observed.clone();
                answers.observed = polled.observed.after(&earlier);
            }
            answers.note(&text, self.begun.elapsed())
        };
        let took = polled_at.elapsed();
        self.shared.reporter.tell(&Event::Answered {
            sidecar,
            probe: name,
            attempt,
            answer: &text,
            took,
            changed,
        });
        outcome
    }
}

/// The settings as a probe gets them.
fn settings(condition: &Condition) -> String {
    serde_json::Value::Object(condition.readiness.settings.clone()).to_string()
}

/// Whether a probe can do nothing but dial from this host.
fn only_dials(condition: &Condition, probe_context: &ProbeContext) -> bool {
    let found = &condition.found;
    let direct = probe_context.dialler.as_ref().is_some_and(|dialler| dialler.is_direct());
    direct && crate::probe::grants::only_dials(&found.component, &found.interfaces)
}

/// The answer of a successful poll, the how-manieth in a row.
fn success(count: u32, wanted: u32) -> String {
    if count >= wanted { "ready".to_owned() } else { format!("ready, {count} of {wanted} times in a row") }
}

/// The end of a wait whose time is up, with the newest answer.
fn too_late(condition: &Condition, answers: &Mutex<Answers>) -> Ended {
    let timeout = limit(condition.readiness.timeout);
    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let last = answers.seen.iter().max_by_key(|answer| answer.last);
    let last = last.map(|answer| format!(": {}", answer.text)).unwrap_or_default();
    let reason = format!("the probe `{}` did not succeed within {timeout}{last}", condition.found.name);
    ended(Code::NotReady, reason)
}

/// What stands for an answer where a poll was cut: by its own limit, or by the end of the wait.
fn no_answer(condition: &Condition, limits: Limits) -> String {
    let whole = poll_limits(condition, Duration::MAX).poll;
    if limits.poll < whole {
        return format!("{NO_ANSWER} before the wait was over");
    }
    format!("{NO_ANSWER} within {}", limit(whole))
}

pub(super) fn poll_limits(condition: &Condition, left: Duration) -> Limits {
    let is_executing = condition.found.built_in && condition.found.executes();
    let poll = poll_limit(&condition.readiness, is_executing);
    Limits { poll: poll.min(left), ..condition.readiness.limits }
}
