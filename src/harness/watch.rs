//! Watches the sidecars while the harness runs. An end is an event at once; the terminal is the harness's, so people
//! read of it afterwards.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, future};
use jiff::Timestamp;

use super::on_exit::ExitActions;
use crate::definition::order::OnExit;
use crate::engine::limited::within;
use crate::engine::{Change, ChangeKind, Engine};
use crate::event::failure::cause::Cause;
use crate::event::failure::sidecar_end::{SidecarEnd, shortened};
use crate::event::{Event, Reporter};
use crate::plan::instance::{Instance, Status};
use crate::system::job_control;
use crate::system::leases::Leases;

/// How long the engine may take for an answer about a sidecar that ended.
const ANSWER: Duration = Duration::from_secs(10);
/// How long farrier waits after the harness for each of the engine's answers about what happened meanwhile.
pub const LAST_ANSWER: Duration = Duration::from_secs(3);
/// Between the first two looks at a container that has ended and that the engine still takes for running.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two such looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How late the engine may note that a container ran out of memory.
const LATE: Duration = Duration::from_millis(500);
/// Before a broken event stream is opened again: nothing waits for it.
const REOPEN: Duration = Duration::from_secs(1);
/// How long after a signal an end is taken for its effect, in nanoseconds: longer than most grace periods.
const EFFECT: i64 = 60_000_000_000;
/// Log lines that are kept of a sidecar that ended.
const LOG_LINES: usize = 20;
/// Characters that are kept of a log line.
const LINE_LENGTH: usize = 1_000;
/// The exit code of a program that was killed, for memory or by anybody.
const KILLED: i64 = 137;

/// The sidecars of one launch, from the moment when all were ready.
pub struct SidecarWatch {
    engine: Arc<dyn Engine>,
    reporter: Arc<Reporter>,
    leases: Leases,
    sidecars: Mutex<Vec<Watched>>,
    actions: Option<ExitActions>,
    /// Whether the harness has ended, so that nothing is done about ends any more.
    is_over: AtomicBool,
}

struct Watched {
    sidecar: String,
    /// As it was handed over.
    container: Instance,
    /// When its run began, in nanoseconds since 1970 by the engine's clock.
    started: i64,
    /// Its process, if this host sees it.
    process: Option<rustix::process::Pid>,
    /// When somebody last sent it a signal.
    signalled: Option<i64>,
    /// Whether another farrier command held its lock then.
    by_farrier: bool,
    out_of_memory: bool,
    stage: Stage,
    /// Its end as it was told.
    end: Option<SidecarEnd>,
    /// How often it was started again.
    restarts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// When it ended.
    Ended(i64),
    Told,
}

impl SidecarWatch {
    /// Watches these containers, as they were when they were ready.
    pub fn new(
        engine: Arc<dyn Engine>,
        reporter: Arc<Reporter>,
        leases: Leases,
        sidecars: impl IntoIterator<Item = (String, Instance)>,
    ) -> Self {
        let watched = sidecars.into_iter().map(|(sidecar, container)| Watched {
            sidecar,
            started: nanoseconds(&container.started_at),
            process: container.visible_process(),
            container,
            signalled: None,
            by_farrier: false,
            out_of_memory: false,
            stage: Stage::Running,
            end: None,
            restarts: 0,
        });
        let sidecars = Mutex::new(watched.collect());
        Self { engine, reporter, leases, sidecars, actions: None, is_over: AtomicBool::new(false) }
    }

    /// This watch, which also does what the definitions say about ends.
    #[must_use]
    pub fn acting(self, actions: ExitActions) -> Self {
        Self { actions: Some(actions), ..self }
    }

    /// Tells of every end, for as long as it is polled. Without an engine that answers there is nothing to tell.
    pub async fn run(&self) -> Infallible {
        // Nothing is missed: all that matters happened after the newest run began, and the engine keeps that long.
        let newest = self.with(|sidecars| sidecars.iter().map(|watched| watched.started).max());
        let Some(mut since) = newest else { return future::pending().await };
        let mut looks = FuturesUnordered::new();
        let mut is_first = true;
        loop {
            let moment = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
            if let Ok(mut changes) = self.engine.changes(&moment).await {
                if !std::mem::take(&mut is_first) {
                    // An engine that was started again has forgotten its events.
                    let all = self.with(|sidecars| sidecars.len());
                    looks.extend((0..all).map(|index| self.tell(index).map(|_| ()).boxed()));
                }
                loop {
                    tokio::select! {
                        change = changes.next() => {
                            let Some(Ok(change)) = change else { break };
                            since = since.max(change.time);
                            looks.extend(self.note(&change).map(|index| self.tell_surely(index).boxed()));
                        }
                        Some(()) = looks.next() => {}
                    }
                }
            }
            is_first = false;
            tokio::time::sleep(REOPEN).await;
        }
    }

    /// Tells of what ended in the last moments: the harness may have ended because of it.
    pub async fn finish(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended: Vec<usize> = self.with(|sidecars| {
            let has_ended = |watched: &Watched| match watched.stage {
                Stage::Running => watched.process.is_some_and(job_control::has_ended),
                Stage::Ended(_) => true,
                Stage::Told => false,
            };
            (0..sidecars.len()).filter(|index| has_ended(&sidecars[*index])).collect()
        });
        let all = future::join_all(ended.into_iter().map(|index| self.tell_surely(index)));
        if tokio::time::timeout(LAST_ANSWER, all).await.is_err() {
            tracing::debug!("the engine does not report how sidecars ended");
            return;
        }
        let all = self.with(|sidecars| sidecars.len());
        let all = future::join_all((0..all).map(|index| self.tell_of_restart(index)));
        if tokio::time::timeout(LAST_ANSWER, all).await.is_err() {
            tracing::debug!("the engine does not report whether sidecars run again");
        }
    }

    /// Tells again of a sidecar that ended if it runs again by now: the look at its end may fall between the runs.
    async fn tell_of_restart(&self, index: usize) {
        let told = self.with(|sidecars| {
            let watched = &sidecars[index];
            let end = watched.end.clone().filter(|end| !end.runs_again)?;
            Some((watched.container.clone(), end))
        });
        let Some((known, end)) = told else { return };
        let Ok(Some(found)) = within(ANSWER, self.engine.inspect(&known.id)).await else { return };
        if same_run(&known, Some(&found)).is_none() && found.status == Status::Running {
            self.reporter.tell(&Event::SidecarEnded(&SidecarEnd { runs_again: true, ..end }));
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Watched>) -> T) -> T {
        work(&mut self.sidecars.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes an event in, and returns which sidecar ended by it.
    fn note(&self, change: &Change) -> Option<usize> {
        self.with(|sidecars| {
            // A change without a moment happened now.
            let time =
                if change.time == 0 { nanoseconds(&Timestamp::now().to_string()) } else { change.time };
            let is_meant =
                |watched: &Watched| watched.container.id == change.instance && time > watched.started;
            let index = sidecars.iter().position(is_meant)?;
            let watched = sidecars.get_mut(index)?;
            match change.kind {
                ChangeKind::Signalled => {
                    watched.signalled = Some(time);
                    // Whoever removes a container has a claim on it until it is gone.
                    watched.by_farrier = self.leases.is_claimed(&watched.container.id);
                }
                ChangeKind::OutOfMemory => watched.out_of_memory = true,
                ChangeKind::Ended if watched.stage == Stage::Running => {
                    watched.stage = Stage::Ended(time);
                    return Some(index);
                }
                _ => {}
            }
            None
        })
    }

    /// Tells of a sidecar that has ended, as soon as the engine says how.
    async fn tell_surely(&self, index: usize) {
        let mut pause = PAUSE;
        loop {
            let is_told = || self.with(|sidecars| sidecars[index].stage == Stage::Told);
            if self.tell(index).await {
                // One that runs again may have ended before it was watched again.
                if is_told() || !self.tell(index).await {
                    return;
                }
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks at a sidecar, and tells of it if it has ended and that was not told. Whether it is told now.
    async fn tell(&self, index: usize) -> bool {
        let known = self.with(|sidecars| {
            let watched = &sidecars[index];
            (watched.stage != Stage::Told).then(|| watched.container.clone())
        });
        let Some(known) = known else { return true };
        let look = || within(ANSWER, self.engine.inspect(&known.id));
        let Ok(mut found) = look().await else { return false };
        if still_runs(&known, found.as_ref()) {
            return false;
        }
        if self.with(|sidecars| sidecars[index].is_in_doubt(found.as_ref())) {
            tokio::time::sleep(LATE).await;
            found = look().await.unwrap_or(found);
        }
        let log = match self.engine.logs().filter(|_| found.is_some()) {
            Some(logs) => within(ANSWER, logs.logs(&known.id, &known.log_start(), LOG_LINES)).await,
            None => Ok(Vec::new()),
        };
        let end = self.with(|sidecars| {
            let watched = &mut sidecars[index];
            let end = watched.end(found.as_ref(), &log.unwrap_or_default())?;
            watched.end = Some(end.clone());
            Some(end)
        });
        if let Some(end) = end {
            self.reporter.tell(&Event::SidecarEnded(&end));
            self.act(index, end).await;
        }
        true
    }

    /// Does what the definition says about this end.
    async fn act(&self, index: usize, end: SidecarEnd) {
        let Some(actions) = &self.actions else { return };
        if end.runs_again || self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let action = actions.about(&end.sidecar);
        match action.on_exit {
            OnExit::Warn => {}
            OnExit::Stop => actions.stop.ask(&end, &action.whole_log),
            OnExit::Restart => {
                let before = self.with(|sidecars| sidecars[index].restarts);
                let container = actions.restart(&end.sidecar, before).await;
                let end = SidecarEnd { runs_again: true, ..end };
                self.reporter.tell(&Event::SidecarEnded(&end));
                self.with(|sidecars| sidecars[index].runs_again(container, end));
            }
        }
    }
}

/// Whether the run of the container that was handed over goes on.
fn still_runs(known: &Instance, found: Option<&Instance>) -> bool {
    same_run(known, found).is_some_and(|found| matches!(found.status, Status::Running | Status::Paused))
}

fn same_run<'a>(known: &Instance, found: Option<&'a Instance>) -> Option<&'a Instance> {
    found.filter(|found| found.started_at == known.started_at)
}

impl Watched {
    /// From now on this run is watched.
    fn runs_again(&mut self, container: Instance, end: SidecarEnd) {
        self.started = nanoseconds(&container.started_at);
        self.process = container.visible_process();
        self.container = container;
        (self.signalled, self.by_farrier, self.out_of_memory) = (None, false, false);
        (self.stage, self.end) = (Stage::Running, Some(end));
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Whether the engine may still come to say that it ran out of memory.
    fn is_in_doubt(&self, found: Option<&Instance>) -> bool {
        let is_killed = |found: &Instance| found.exit_code == KILLED && !found.oom_killed;
        same_run(&self.container, found).is_some_and(is_killed)
            && self.container.memory > 0
            && self.signalled.is_none()
            && !self.out_of_memory
    }

    /// The end, the first time that it is asked for.
    fn end(&mut self, found: Option<&Instance>, log: &[String]) -> Option<SidecarEnd> {
        if self.stage == Stage::Told {
            return None;
        }
        let same = same_run(&self.container, found);
        let exit_code = same.filter(|found| !found.is_lost).map(|found| found.exit_code);
        let cause = self.cause(found, exit_code);
        self.stage = Stage::Told;
        Some(SidecarEnd {
            sidecar: self.sidecar.clone(),
            container: self.container.name.clone(),
            exit_code,
            signal: same.and_then(Instance::signal),
            runs_again: found.is_some() && same.is_none(),
            by_farrier: self.by_farrier && cause == Some(Cause::StoppedByOthers),
            cause,
            log: log.iter().map(|line| shortened(line, LINE_LENGTH)).collect(),
        })
    }

    fn cause(&self, found: Option<&Instance>, exit_code: Option<i64>) -> Option<Cause> {
        let by_others = match (self.signalled, self.stage) {
            (Some(signalled), Stage::Ended(ended)) => ended - signalled < EFFECT,
            (signalled, _) => signalled.is_some(),
        };
        if self.out_of_memory || found.is_some_and(|found| found.oom_killed) {
            return Some(Cause::KilledForMemory { limit: self.container.memory });
        }
        if same_run(&self.container, found).is_some_and(|found| found.is_lost) {
            return Some(Cause::HostLost);
        }
        if by_others || found.is_none() {
            return Some(Cause::StoppedByOthers);
        }
        exit_code.map(|code| Cause::Exited { code })
    }
}

/// A moment as the engine writes it, as its events count; the beginning of time if it cannot be read.
fn nanoseconds(moment: &str) -> i64 {
    let moment = moment.parse::<Timestamp>().unwrap_or_default();
    i64::try_from(moment.as_nanosecond()).unwrap_or_default()
}
