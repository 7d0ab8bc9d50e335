//! All sidecars of a launch at once: each is started, and waited for, until all are ready at the same time.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio_util::sync::CancellationToken;

use super::Launch;
use super::apply::Applier;
use super::connection::Connection;
use crate::engine::Container;
use crate::event::Event;
use crate::event::failure::dossier::Dossier;
use crate::event::failure::phase::Phase;
use crate::plan::Plan;
use crate::plan::sidecar::Sidecar;
use crate::reach::route::{Bridges, Route};
use crate::readiness::barrier::{self, Ready, Together};
use crate::readiness::matches::MatchCache;
use crate::readiness::phase::Phases;
use crate::readiness::powers::Neighbours;
use crate::readiness::wait::{Condition, Loading, Waits};
use crate::readiness::watch::Watch;
use crate::report::error::Problem;
use crate::system::lock::{Held, Released};

/// The components of each sidecar, being compiled.
pub(super) type Loadings = Vec<Vec<Loading>>;

/// A sidecar whose container runs.
pub(super) struct Start {
    /// The container, if it was inspected a moment ago and nothing was changed since.
    pub known: Option<Container>,
}

/// Why not all sidecars are ready.
pub(super) enum Stopped {
    /// Of these problems, or of what was told already.
    Failed(Vec<Problem>),
    /// A container is gone, or off the launch's network.
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

/// Whose doing it may be that a container is gone.
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
    waits: &'a Waits,
    guard: Guard,
    /// That one of them failed, which ends the waits of all.
    failed: &'a CancellationToken,
    /// How many of them are not ready yet.
    together: &'a Together,
}

impl Launch {
    /// Components are compiled while containers start; equal ones once.
    pub(super) fn load_probes(&self) -> Loadings {
        let mut known: HashMap<(String, Vec<&'static str>), Loading> = HashMap::new();
        let mut all = Vec::new();
        for prepared in &self.sidecars {
            let loadings = prepared.probes.iter().map(|found| {
                let key = (found.component.digest.clone(), found.interfaces.clone());
                let entry = known.entry(key).or_insert_with(|| {
                    let loading: BoxFuture<'static, _> =
                        Box::pin(self.host.load_in_time(&found.component, &found.interfaces));
                    loading.shared()
                });
                entry.clone()
            });
            all.push(loadings.collect());
        }
        all
    }

    /// What all waits of this launch share.
    pub(super) fn waits(&self, connection: &Connection) -> Waits {
        let images = self.settings.probe_image.iter().chain(&self.meeting.image).cloned();
        // Our own program runs in any image, so a sidecar's serves where no other was named.
        let own = self.sidecars().map(|sidecar| sidecar.image.clone());
        Waits {
            engine: Arc::clone(&connection.engine),
            watch: Watch::default(),
            matches: MatchCache::below(self.settings.cache.as_deref()),
            executions: Arc::default(),
            route: Route {
                engine: Arc::clone(&connection.engine),
                reporter: Arc::clone(&self.reporter),
                choice: self.settings.dialling,
                local: connection.local,
                network: self.meeting.network.clone(),
                images: images.chain(own).collect(),
                decided: tokio::sync::Mutex::default(),
                bridges: Bridges::default(),
            },
            network: self.meeting.network.clone(),
            reporter: Arc::clone(&self.reporter),
            neighbours: Neighbours::of(self.sidecars()),
            waiting: AtomicUsize::new(0),
            phases: Phases::of(self.sidecars().map(Sidecar::name)),
        }
    }

    /// Carries out each sidecar's part of the plan. Its lock and claim end with it; their files go with `released`.
    pub(super) fn starts<'a>(
        &'a self,
        applier: &'a Applier,
        plan: &'a Plan,
        (mut names, mut claims): (BTreeMap<String, Held>, BTreeMap<String, Held>),
        released: &'a Mutex<Vec<Released>>,
    ) -> Vec<impl Future<Output = Result<Start, Problem>> + 'a> {
        let starts = plan.sidecars.iter().map(move |step| {
            let held = [names.remove(&step.container), claims.remove(&step.container)];
            async move {
                let sidecar = &self.sidecars[step.index].sidecar;
                applier.sidecar(step, sidecar, &self.meeting.network).await?;
                let held = held.into_iter().flatten().map(Held::release);
                released.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
                Ok(Start { known: step.existing.clone().filter(|_| step.is_untouched()) })
            }
        });
        starts.collect()
    }

    /// Waits for all sidecars, each from its start on, until all are ready at the same time; the first failure ends every
    /// wait, but nothing that is being started.
    pub(super) async fn together(
        &self,
        connection: &Connection,
        waits: &Waits,
        guard: Guard,
        starts: Vec<impl Future<Output = Result<Start, Problem>>>,
        loadings: &Loadings,
    ) -> Result<Vec<Container>, Stopped> {
        let (failed, together) = (CancellationToken::new(), Together::of(starts.len()));
        let common = Common { waits, guard, failed: &failed, together: &together };
        let each = starts.into_iter().enumerate().map(|(index, start)| async move {
            let result = self.one(index, start, &loadings[index], common).await;
            if result.is_err() {
                common.failed.cancel();
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
            let passed = barrier::pass(waits, &mut all).await;
            passed.map_err(|dossier| self.stopped(&dossier, common))?;
            Ok(all.into_iter().map(|ready| ready.container).collect())
        };
        tokio::select! {
            result = all => result,
            never = waits.watch.run(connection.engine.as_ref(), connection.moment()) => match never {},
        }
    }

    /// One sidecar: its start, then the wait.
    async fn one<'a>(
        &'a self,
        index: usize,
        start: impl Future<Output = Result<Start, Problem>>,
        loadings: &[Loading],
        common: Common<'a>,
    ) -> Result<Ready<'a>, Stopped> {
        let prepared = &self.sidecars[index];
        let sidecar = &prepared.sidecar;
        let started = start.await.map_err(|problem| {
            common.waits.phases.note(sidecar.name(), Phase::Failed);
            Stopped::Failed(vec![problem])
        })?;
        let begun = Instant::now();
        let readiness = sidecar.definition.readiness.iter().zip(&prepared.probes).zip(loadings);
        let conditions = readiness.map(|((readiness, found), loading)| Condition {
            readiness: readiness.clone(),
            found: found.clone(),
            loading: loading.clone(),
        });
        let wait = common.waits.begin(sidecar, conditions.collect(), begun);
        let result = tokio::select! {
            result = common.together.ready(&wait, None, started.known) => result,
            () = common.failed.cancelled() => return Err(Stopped::Failed(Vec::new())),
        };
        match result {
            Ok(container) => Ok(Ready { wait, container }),
            Err(dossier) => Err(self.stopped(&dossier, common)),
        }
    }

    /// Tells why a sidecar is not ready, unless the launch is to look again.
    fn stopped(&self, dossier: &Dossier, common: Common<'_>) -> Stopped {
        if common.guard == Guard::Marks && dossier.is_elsewhere(&common.waits.network) {
            return Stopped::Changed;
        }
        self.reporter.tell(&Event::NotReady(dossier));
        Stopped::Failed(Vec::new())
    }
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
