//! All sidecars of a launch at once: each is started, and waited for, until all are ready at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt, join_all};

use super::Launch;
use super::milestones::Milestones;
use super::placement::Placement;
use super::starting::Start;
use crate::definition::order;
use crate::engine::RelayImages;
use crate::event::Event;
use crate::event::failure::evidence::FailureReport;
use crate::event::failure::phase::Phase;
use crate::plan::instance::Instance;
use crate::preparation::ResolvedSidecar;
use crate::probe::catalogue::FoundProbe;
use crate::readiness::barrier::{self, Ready, Together};
use crate::readiness::context::Neighbours;
use crate::readiness::families::ByIpv6;
use crate::readiness::matches::MatchCache;
use crate::readiness::phase::Phases;
use crate::readiness::route::Route;
use crate::readiness::wait::{Condition, Loading, Waits};
use crate::readiness::watch::Watch;
use crate::report::error::Problem;

/// What goes on from the beginning of a launch, whatever is found, for each placement.
pub(super) struct Begun {
    /// The components of its sidecars, being compiled.
    pub loadings: Vec<Vec<Vec<Loading>>>,
    /// The way to its instances.
    pub routes: Vec<Arc<Route>>,
}

/// One sidecar of the launch, to be started and waited for.
pub(super) struct Member<'a, Starting> {
    /// Its place among the launch's sidecars.
    pub place: usize,
    pub prepared: &'a ResolvedSidecar,
    /// What it shares with the other sidecars on its engine.
    pub waits: &'a Waits,
    pub loadings: &'a [Loading],
    pub start: Starting,
}

/// How far one came.
enum Reached<'a> {
    /// It runs, and is ready.
    Running(Ready<'a>),
    /// It is a job, and succeeded.
    Done(Instance),
}

/// Why not all sidecars are ready.
pub(super) enum Stopped {
    /// Of these problems, or of what was told already.
    Failed(Vec<Problem>),
    /// An instance is gone, or off the launch's network.
    Changed,
}

impl Stopped {
    /// What has not been told yet.
    pub(super) fn problems(self) -> Vec<Problem> {
        match self {
            Self::Failed(problems) => problems,
            Self::Changed => Vec::new(),
        }
    }
}

/// Whose doing it may be that an instance is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Another command's that began before this launch's marks were made: the launch looks again.
    Marks,
    /// Nobody's of farrier: it is a failure.
    Locks,
}

/// What the sidecars of one launch share while they start.
#[derive(Clone, Copy)]
struct Common<'a> {
    guard: Guard,
    milestones: &'a Milestones,
    /// How many of them are not ready yet.
    together: &'a Together,
}

impl Launch {
    /// Begins what does not depend on what is found.
    pub(super) fn begin(&self, placements: &[Placement<'_>]) -> Begun {
        let route = |placement: &Placement<'_>| Arc::new(self.route(placement));
        let routes = placements.iter().map(route).collect();
        Begun { loadings: self.load_probes(placements), routes }
    }

    /// Components are compiled while instances start; equal ones once.
    fn load_probes(&self, placements: &[Placement<'_>]) -> Vec<Vec<Vec<Loading>>> {
        let mut known: HashMap<(String, Vec<&'static str>), Loading> = HashMap::new();
        let mut of = |prepared: &ResolvedSidecar| {
            let loadings = prepared.probes.iter().map(|found| {
                let key = (found.component.digest.clone(), found.interfaces.clone());
                let entry = known.entry(key).or_insert_with(|| {
                    let loading: BoxFuture<'static, _> =
                        Box::pin(self.host.load_in_time(&found.component, &found.interfaces));
                    loading.shared()
                });
                entry.clone()
            });
            loadings.collect()
        };
        placements
            .iter()
            .map(|placement| placement.sidecars.iter().map(|prepared| of(prepared)).collect())
            .collect()
    }

    /// What all waits on each engine share.
    pub(super) fn waits(&self, placements: &[Placement<'_>], routes: &[Arc<Route>]) -> Vec<Waits> {
        let phases = Arc::new(Phases::of(self.sidecars.iter().map(|prepared| prepared.sidecar.name())));
        let on = |(placement, route)| self.waits_on(placement, route, &phases);
        placements.iter().zip(routes).map(on).collect()
    }

    fn route(&self, placement: &Placement<'_>) -> Route {
        let images = placement.sidecars.iter().filter(|prepared| prepared.sidecar.definition.image.is_some());
        let images = images.map(|prepared| prepared.sidecar.image.as_str().to_owned());
        let mut probes = placement.sidecars.iter().flat_map(|prepared| &prepared.probes);
        Route {
            engine: Arc::clone(&placement.connection.engine),
            reporter: Arc::clone(&self.reporter),
            choice: self.settings.dialling,
            network: placement.network.name.clone(),
            images: RelayImages {
                named: self.settings.probe_image.clone(),
                others: self.target.image.iter().cloned().chain(images).collect(),
            },
            is_dialled: probes.any(FoundProbe::connects),
            decided: tokio::sync::Mutex::default(),
            begun: Mutex::default(),
            by_ipv6: ByIpv6::default(),
        }
    }

    fn waits_on(&self, placement: &Placement<'_>, route: &Arc<Route>, phases: &Arc<Phases>) -> Waits {
        let sidecars = placement.sidecars.iter().map(|prepared| &prepared.sidecar);
        let (engine, network) = (&placement.connection.engine, &placement.network.name);
        Waits {
            engine: Arc::clone(engine),
            watch: Watch::default(),
            matches: MatchCache::below(self.settings.cache.as_deref()),
            executions: Arc::default(),
            route: Arc::clone(route),
            network: network.clone(),
            reporter: Arc::clone(&self.reporter),
            neighbours: Neighbours::of(sidecars),
            waiting: AtomicUsize::new(0),
            phases: Arc::clone(phases),
        }
    }

    /// Waits for all sidecars, each from its start on, until all are ready at the same time; the first failure ends every
    /// wait, but nothing that is being started.
    pub(super) async fn together(
        &self,
        placements: &[Placement<'_>],
        waits: &[Waits],
        guard: Guard,
        milestones: &Milestones,
        members: Vec<Member<'_, impl Future<Output = Result<Option<Start>, Problem>>>>,
    ) -> Result<Vec<Instance>, Stopped> {
        let together = Together::of(members.len());
        let common = Common { guard, milestones, together: &together };
        let each = members.into_iter().map(|member| async move {
            let result = self.one(member, common).await;
            if result.is_err() {
                common.milestones.failed.cancel();
            }
            result
        });
        let all = async {
            let (mut all, mut stopped) = (Vec::new(), None);
            for result in join_all(each.collect::<Vec<_>>()).await {
                match result {
                    Ok(ready) => all.push(ready),
                    Err(found) => stopped = Some(found.and(stopped)),
                }
            }
            if let Some(stopped) = stopped {
                return Err(stopped);
            }
            let mut running: Vec<Ready<'_>> = Vec::new();
            let mut done: Vec<Option<Instance>> = Vec::new();
            for one in all {
                match one {
                    Reached::Running(ready) => {
                        running.push(ready);
                        done.push(None);
                    }
                    Reached::Done(instance) => done.push(Some(instance)),
                }
            }
            let passed = barrier::pass(waits, &mut running).await;
            passed.map_err(|(network, report)| self.stopped(*report, &network, common, None))?;
            let mut running = running.into_iter().map(|ready| ready.instance);
            Ok(done.into_iter().filter_map(|done| done.or_else(|| running.next())).collect())
        };
        let watched = async {
            let each = placements.iter().zip(waits).map(|(placement, waits)| {
                waits.watch.run(waits.engine.as_ref(), placement.connection.moment())
            });
            join_all(each).await;
            std::future::pending().await
        };
        tokio::select! {
            result = all => result,
            never = watched => never,
        }
    }

    /// One sidecar: its start, then the wait.
    async fn one<'a>(
        &'a self,
        member: Member<'a, impl Future<Output = Result<Option<Start>, Problem>>>,
        common: Common<'a>,
    ) -> Result<Reached<'a>, Stopped> {
        let Member { place, prepared, waits, loadings, start } = member;
        let (sidecar, milestones) = (&prepared.sidecar, common.milestones);
        let started = start.await.map_err(|problem| {
            waits.phases.note(sidecar.name(), Phase::Failed);
            Stopped::Failed(vec![with_held_back(problem, sidecar.name(), &milestones.held_back_by(place))])
        })?;
        // Another one failed that it comes after; that is told.
        let Some(started) = started else { return Err(Stopped::Failed(Vec::new())) };
        milestones.note(place, order::Reached::Started, &started.instance);
        let begun = Instant::now();
        let readiness = sidecar.definition.readiness.iter().zip(&prepared.probes).zip(loadings);
        let conditions = readiness.map(|((readiness, found), loading)| Condition {
            readiness: readiness.clone(),
            found: found.clone(),
            loading: loading.clone(),
        });
        let wait = waits.begin(sidecar, conditions.collect(), begun);
        let is_job = sidecar.definition.job().is_some();
        let reached = |instance: &Instance| milestones.note(place, order::Reached::Ready, &instance.id);
        let result = async {
            if !is_job {
                return common.together.ready(&wait, None, started.known, reached).await;
            }
            let instance = wait.until_succeeded(started.known).await?;
            common.together.succeeded();
            milestones.note(place, order::Reached::Succeeded, &instance.id);
            Ok(instance)
        };
        let result = tokio::select! {
            result = result => result,
            () = milestones.failed.cancelled() => return Err(Stopped::Failed(Vec::new())),
        };
        match result {
            Ok(instance) if is_job => Ok(Reached::Done(instance)),
            Ok(instance) => Ok(Reached::Running(Ready { wait, instance })),
            Err(report) => Err(self.stopped(*report, &waits.network, common, Some(place))),
        }
    }

    /// Tells why a sidecar is not ready, unless the launch is to look again.
    fn stopped(
        &self,
        mut report: FailureReport,
        network: &str,
        common: Common<'_>,
        place: Option<usize>,
    ) -> Stopped {
        if common.guard == Guard::Marks && report.is_elsewhere(network) {
            return Stopped::Changed;
        }
        report.held_back = place.map(|place| common.milestones.held_back_by(place)).unwrap_or_default();
        self.reporter.tell(&Event::NotReady(&report));
        Stopped::Failed(Vec::new())
    }
}

/// Says which sidecars were not started because of a problem with one that they come after.
fn with_held_back(problem: Problem, failed: &str, held_back: &[String]) -> Problem {
    if held_back.is_empty() {
        return problem;
    }
    let names: Vec<String> = held_back.iter().map(|name| format!("`{name}`")).collect();
    problem.hint(format!("Never started, because they come after `{failed}`: {}.", names.join(", ")))
}

impl Stopped {
    /// This and an earlier one: problems of both; a failure counts more than a change.
    fn and(self, earlier: Option<Self>) -> Self {
        match (self, earlier) {
            (one, None) => one,
            (Self::Changed, Some(Self::Changed)) => Self::Changed,
            (one, Some(earlier)) => {
                let mut problems = earlier.problems();
                problems.extend(one.problems());
                Self::Failed(problems)
            }
        }
    }
}
