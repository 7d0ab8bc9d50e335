//! The launch, told from top to bottom: the way to its engines (`connection`), the sidecars on each (`placement`), each start
//! in its order (`starting`, `milestones`) as the plans say (`apply`), waiting for all sidecars at once (`together`), starting
//! one again that ended under the harness (`restarting`), what runs in the end (`running`), leaving what is others'
//! (`departure`, `uses`), and what belongs to this launch alone (`session`, `guardian`). What only decides is in `plan`, what
//! waits in `readiness`.

mod apply;
pub mod connection;
pub mod departure;
pub mod forwarding;
pub mod gateway_plan;
pub mod guardian;
mod milestones;
pub mod placement;
pub mod restarting;
mod running;
pub mod session;
mod starting;
mod together;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::OnceCell;

use self::apply::Applier;
use self::connection::Connection;
use self::milestones::Milestones;
use self::placement::{Destinations, Locked, Placement, claim, is_as_seen, lock};
use self::running::leave;
pub use self::running::{Running, RunningOn};
use self::starting::{Start, Starting};
use self::together::{Begun, Guard, Member, Stopped};
pub use self::uses::Uses;
use crate::approval;
use crate::engine::kinds::EngineKind;
use crate::engine::problem::engine_problem;
use crate::engine::{Carrier, Freshness};
use crate::event::{Event, Reporter};
use crate::harness::reachability::HarnessTarget;
use crate::manage::removal::networks::remove_unused;
use crate::plan::reconcile::reconcile_all;
use crate::plan::snapshot::Snapshot;
use crate::plan::{NetworkAction, Plan, SidecarPlan};
use crate::preparation::ResolvedSidecar;
use crate::preparation::settings::Settings;
use crate::probe::host::ProbeHost;
use crate::probe::private_copies;
use crate::report::error::{Failure, Problem};
use crate::report::exit;
use crate::system::leases::Leases;
use crate::system::lock::Held;
use crate::system::process_limits;

/// How long a launch that failed tries to remove the network that it made.
const REMOVAL: Duration = Duration::from_secs(5);

/// What a launch works with.
pub struct Launch {
    /// Resolved options.
    pub settings: Settings,
    /// The sidecars, in the order of names.
    pub sidecars: Vec<ResolvedSidecar>,
    /// The engine and network that the harness's command decides.
    pub target: HarnessTarget,
    /// What the harness is, for whoever asks who uses a sidecar; never its arguments, which may hold secrets.
    pub harness: String,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// Compiles and polls probes.
    pub host: Arc<ProbeHost>,
    /// What other machines are told. Whoever began the launch ends it.
    pub uses: Arc<Uses>,
}

/// What is changed on one engine.
struct Changing {
    applier: Applier,
    plan: Plan,
    /// The locks of names and the claims, until each sidecar's own part takes its own.
    held: Option<(BTreeMap<String, Held>, BTreeMap<String, Held>)>,
    _network: Held,
}

impl Launch {
    /// Finds the engines on which the sidecars live: of several of one kind the one that the harness's own command would use.
    /// A network that the harness names by its id goes by its name from then on, as it does in everything that the engine
    /// says of instances.
    ///
    /// # Errors
    /// If there is no such engine, or it does not answer.
    pub async fn connect(&mut self) -> Result<Destinations, Problem> {
        let of = |prepared: &ResolvedSidecar| self.settings.engine.of(&prepared.sidecar.definition);
        let kinds: BTreeSet<EngineKind> = self.sidecars.iter().map(of).collect();
        let mut all = BTreeMap::new();
        for kind in kinds {
            let connection = connection::open(kind, &self.target.choice, &self.settings)?;
            let network = &mut self.target.network;
            if kind.network().is_none() && !network.is_own {
                let name = connection.engine.network_name(&network.name).await;
                network.name =
                    name.map_err(|error| connection.problem("look for the harness's network", &error))?;
            }
            all.insert(kind, Arc::new(connection));
        }
        Ok(Destinations { all, engines: self.settings.engine.clone() })
    }

    /// The sidecars on each engine.
    #[must_use]
    pub fn placements(&self, destinations: &Destinations) -> Vec<Placement<'_>> {
        let definitions = self.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
        let own = self.settings.engine.own_network(definitions);
        let on = |(kind, connection): (&EngineKind, &Arc<Connection>)| {
            let is_there =
                |prepared: &&ResolvedSidecar| self.settings.engine.of(&prepared.sidecar.definition) == *kind;
            Placement {
                connection: Arc::clone(connection),
                network: kind.meeting_on(&self.target.network, own),
                sidecars: self.sidecars.iter().filter(is_there).collect(),
            }
        };
        destinations.all.iter().map(on).collect()
    }

    /// Starts what is needed on one engine, and waits until all of it is ready.
    ///
    /// # Errors
    /// Everything that stands against it; sidecars that run are left running.
    pub async fn bring_up(&self, connection: Connection) -> Result<Running, Failure> {
        self.bring_up_on(&[self.on(Arc::new(connection))]).await
    }

    /// All sidecars on one engine.
    fn on(&self, connection: Arc<Connection>) -> Placement<'_> {
        Placement {
            connection,
            network: self.target.network.clone(),
            sidecars: self.sidecars.iter().collect(),
        }
    }

    /// Starts what is needed, each sidecar where it is placed, and waits until all of it is ready.
    ///
    /// # Errors
    /// Everything that stands against it; sidecars that run are left running.
    pub async fn bring_up_on(&self, placements: &[Placement<'_>]) -> Result<Running, Failure> {
        approval::refuse_missing(&self.settings, &self.sidecars)?;
        private_copies::sweep();
        let leases = Leases::open(&self.harness)?;
        let begun = self.begin(placements);
        let reached = self.reach(placements, &leases, &begun).await;
        if reached.is_err() {
            join_all(begun.routes.iter().map(|route| route.give_up())).await;
        }
        let running = reached?;
        self.uses
            .keep_services(&running.engines)
            .await
            .map_err(|error| Failure::from(engine_problem("mark the sidecars as used", &error)))?;
        self.reporter.tell(&Event::AllReady);
        Ok(running)
    }

    /// Uses what runs, or changes what has to be changed.
    async fn reach(
        &self,
        placements: &[Placement<'_>],
        leases: &Leases,
        begun: &Begun,
    ) -> Result<Running, Failure> {
        self.uses.begin(placements, &self.harness).await?;
        // Of a session nothing is there yet.
        let is_apart = self.sidecars.iter().any(|prepared| prepared.sidecar.session.is_some());
        let as_is = if is_apart { None } else { self.use_as_is(placements, leases, begun).await? };
        match as_is {
            Some(running) => Ok(running),
            None => self.change(placements, leases, begun).await,
        }
    }

    /// What bringing up would do now; nothing is changed.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub async fn plan(&self, connection: &Arc<Connection>) -> Result<Plan, Failure> {
        let plans = self.plan_on(&[self.on(Arc::clone(connection))]).await?;
        plans.into_iter().next().ok_or_else(|| refused(Vec::new()))
    }

    /// What bringing up would do now on each engine; nothing is changed.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub async fn plan_on(&self, placements: &[Placement<'_>]) -> Result<Vec<Plan>, Failure> {
        let mut snapshots = self.look(placements, Freshness::Current).await?;
        let leases = Leases::open(&self.harness)?;
        for snapshot in &mut snapshots {
            snapshot.note_holders(&leases);
        }
        self.decide(placements, snapshots)
    }

    /// Hands over what runs as it is declared. Marks of use are all that this needs: neither a lock nor the engine's word
    /// on what it is. `None` if something has to be changed, or if somebody else did so before the marks were made.
    async fn use_as_is(
        &self,
        placements: &[Placement<'_>],
        leases: &Leases,
        begun: &Begun,
    ) -> Result<Option<Running>, Failure> {
        let snapshots = self.look(placements, Freshness::Cached).await?;
        // A problem may be another launch's doing, which is at it: it is told by whoever has the locks.
        let Ok(plans) = self.decide(placements, snapshots) else { return Ok(None) };
        if !plans.iter().all(Plan::changes_nothing) {
            return Ok(None);
        }
        for route in &begun.routes {
            route.begin();
        }
        let waits = self.waits(placements, &begun.routes);
        let names = plans.iter().flat_map(|plan| &plan.sidecars).map(|part| part.name().to_owned());
        let milestones = Milestones::without_order(names);
        let (mut departures, mut members) = (Vec::new(), Vec::new());
        for (((placement, plan), waits), loadings) in
            placements.iter().zip(&plans).zip(&waits).zip(&begun.loadings)
        {
            let departure = placement.departure(leases, plan);
            for ((part, prepared), loadings) in plan.sidecars.iter().zip(&placement.sidecars).zip(loadings) {
                let Some(existing) = part.existing.clone() else { return Ok(None) };
                if !departure.share(&part.sidecar, &existing.id)? {
                    return Ok(None);
                }
                let instance = existing.id.clone();
                let start = async move { Ok(Some(Start { known: Some(existing), instance })) };
                let place = members.len();
                members.push(Member { place, prepared, waits, loadings, start });
            }
            departures.push(departure);
        }
        self.tell(&plans);
        match self.together(placements, &waits, Guard::Marks, &milestones, members).await {
            Ok(instances) => Ok(Some(self.running(placements, leases, departures, &waits, instances))),
            Err(Stopped::Changed) => Ok(None),
            Err(Stopped::Failed(problems)) => {
                leave(departures).await;
                Err(refused(problems))
            }
        }
    }

    /// Changes what has to be changed, under the locks of all names: looks once more, decides, carries the plans out, and
    /// waits.
    async fn change(
        &self,
        placements: &[Placement<'_>],
        leases: &Leases,
        begun: &Begun,
    ) -> Result<Running, Failure> {
        let probes = self.sidecars.iter().flat_map(|prepared| &prepared.probes);
        // Equal ones are compiled once.
        let compiled: BTreeSet<_> =
            probes.map(|found| (&found.component.digest, &found.interfaces)).collect();
        process_limits::threads(compiled.len())?;
        let locked = lock(placements, &self.harness, &self.reporter).await?;
        let mut snapshots = self.look(placements, Freshness::Current).await?;
        let (mut claims, mut is_outdated) = (Vec::new(), false);
        for (placement, snapshot) in placements.iter().zip(&snapshots) {
            let (held, has_waited) = claim(leases, placement, snapshot, &self.reporter).await?;
            claims.push(held);
            is_outdated = is_outdated || has_waited || !is_as_seen(placement, snapshot).await;
        }
        if is_outdated {
            snapshots = self.look(placements, Freshness::Current).await?;
        }
        for snapshot in &mut snapshots {
            snapshot.note_holders(leases);
        }
        let plans = self.decide(placements, snapshots)?;
        self.tell(&plans);
        let waits = self.waits(placements, &begun.routes);
        let mut engines = Vec::new();
        for ((((placement, plan), locked), claims), route) in
            placements.iter().zip(plans).zip(locked).zip(claims).zip(&begun.routes)
        {
            if plan.network.is_untouched() {
                route.begin();
            }
            let Locked { folder, names, network } = locked;
            let applier = Applier {
                connection: Arc::clone(&placement.connection),
                reporter: Arc::clone(&self.reporter),
                network: plan.network.clone(),
                locks: folder,
                route: Some(Arc::clone(route)),
                network_made: OnceCell::new(),
                departure: placement.departure(leases, &plan),
            };
            engines.push(Changing { applier, plan, held: Some((names, claims)), _network: network });
        }
        for engine in engines.iter().filter(|engine| engine.plan.network.action != NetworkAction::Create) {
            // Others of that name go first, so that no instance joins one of them.
            engine.applier.network().await?;
        }
        let unlinks = Mutex::new(Vec::new());
        let held: Vec<_> = engines.iter_mut().map(|engine| engine.held.take().unwrap_or_default()).collect();
        let parts: Vec<&SidecarPlan> = engines.iter().flat_map(|engine| &engine.plan.sidecars).collect();
        let milestones = Milestones::of(&parts);
        let mut members = Vec::new();
        for ((((placement, engine), held), waits), loadings) in
            placements.iter().zip(&engines).zip(held).zip(&waits).zip(&begun.loadings)
        {
            let first = members.len();
            let Changing { applier, plan, .. } = engine;
            let starting = Starting { applier, waits, milestones: &milestones, unlinks: &unlinks };
            let each =
                placement.sidecars.iter().zip(loadings).zip(starting.starts(&plan.sidecars, first, held));
            members.extend(each.enumerate().map(|(index, ((prepared, loadings), start))| Member {
                place: first + index,
                prepared,
                waits,
                loadings,
                start,
            }));
        }
        let result = self.together(placements, &waits, Guard::Locks, &milestones, members).await;
        // The locks of the networks go with the rest: each network that is needed has an instance on it by now.
        let appliers: Vec<Applier> = engines.into_iter().map(|engine| engine.applier).collect();
        match result {
            Ok(instances) => {
                let departures = appliers.into_iter().map(|applier| applier.departure).collect();
                Ok(self.running(placements, leases, departures, &waits, instances))
            }
            Err(stopped) => {
                join_all(begun.routes.iter().map(|route| route.give_up())).await;
                for applier in &appliers {
                    if applier.network_made.initialized() {
                        // Nothing may have joined it. What cannot be removed soon is left to `down`.
                        let engine = applier.connection.engine.as_ref();
                        let removal = remove_unused(engine, &applier.locks, &applier.network.name);
                        drop(tokio::time::timeout(REMOVAL, removal).await);
                    }
                }
                leave(appliers.into_iter().map(|applier| applier.departure).collect()).await;
                Err(refused(stopped.problems()))
            }
        }
    }

    async fn look(
        &self,
        placements: &[Placement<'_>],
        freshness: Freshness,
    ) -> Result<Vec<Snapshot>, Problem> {
        let looks = placements.iter().map(async |placement| {
            let snapshot = placement.look(freshness).await?;
            placement.connection.answered(&self.reporter);
            Ok(snapshot)
        });
        try_join_all(looks).await
    }

    /// Decides on every engine, and gives all problems of all of them.
    fn decide(&self, placements: &[Placement<'_>], snapshots: Vec<Snapshot>) -> Result<Vec<Plan>, Failure> {
        let wanted = placements.iter().map(Placement::wanted).zip(snapshots).collect();
        reconcile_all(wanted, self.settings.recreate).map_err(refused)
    }

    fn tell(&self, plans: &[Plan]) {
        let warnings = plans.iter().flat_map(|plan| &plan.warnings);
        warnings.for_each(|warning| self.reporter.tell(&Event::Problem(warning)));
        let parts = plans.iter().flat_map(|plan| &plan.sidecars);
        parts.for_each(|part| self.reporter.tell(&Event::Planned(part)));
    }
}

const fn refused(problems: Vec<Problem>) -> Failure {
    Failure { exit: exit::REFUSED, problems }
}
