//! The launch, told from top to bottom: the way to an engine (`connection`), carrying a plan out (`apply`), and leaving
//! what is others' (`departure`). What only decides is in `plan`, what waits in `readiness`.

pub mod apply;
pub mod connection;
pub mod departure;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::approval;
use crate::engine::caches::Caches;
use crate::engine::docker::proxies::Proxies;
use crate::engine::problem::engine_problem;
use crate::engine::{Container, Engine, address};
use crate::event::failure::phase::Phase;
use crate::event::{Event, Reporter};
use crate::harness::reachability::Meeting;
use crate::launch::apply::{Applier, LaunchNetwork};
use crate::launch::connection::{Connected, Identity, connect_to_remembered};
use crate::launch::departure::Departure;
use crate::manage::removal::networks::remove_unused;
use crate::plan::reconcile::{Wish, reconcile};
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot;
use crate::plan::{Action, NetworkPlan, Plan, SidecarPlan};
use crate::preparation::Prepared;
use crate::preparation::settings::Settings;
use crate::probe::host::ProbeHost;
use crate::probe::private_copies;
use crate::reach::route::{Bridges, Route};
use crate::readiness::barrier::{self, Ready, Together};
use crate::readiness::matches::MatchCache;
use crate::readiness::phase::Phases;
use crate::readiness::powers::Neighbours;
use crate::readiness::wait::{Condition, Loading, Waits};
use crate::readiness::watch::Watch;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;
use crate::system::lock::{Held, Holder, InUse, LockFolder, Released};

/// What a launch works with.
pub struct Launch {
    /// Resolved options.
    pub settings: Settings,
    /// The sidecars, in the order of names.
    pub sidecars: Vec<Prepared>,
    /// Where harness and sidecars meet.
    pub meeting: Meeting,
    /// What the harness is, for whoever asks who uses a sidecar; never its arguments, which may hold secrets.
    pub harness: String,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// Compiles and polls probes.
    pub host: Arc<ProbeHost>,
}

/// All sidecars ready.
pub struct Running {
    /// Their containers, in the order of the launch's sidecars.
    pub containers: Vec<Container>,
    /// Whether this host reaches their addresses.
    pub direct: bool,
    /// Marks them as used until dropped.
    pub in_use: Vec<InUse>,
    /// How they leave networks that no launch uses them on.
    pub departure: Departure,
    /// Where they run.
    pub engine: Arc<dyn Engine>,
    /// That engine's locks.
    pub locks: LockFolder,
}

/// What the sidecars of one launch share while they start.
#[derive(Clone, Copy)]
struct Common<'a> {
    /// That one of them failed, which ends the waits of all.
    failed: &'a CancellationToken,
    /// Locks that they need no more, whose files go in the end.
    released: &'a std::sync::Mutex<Vec<Released>>,
    /// How many of them are not ready yet.
    together: &'a Together,
}

impl Launch {
    /// Connects to the engine that the harness's own docker would use. A network that the harness names by its
    /// id goes by its name from then on, as it does in everything that the engine says of containers.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn connect(&mut self) -> Result<Connected, Problem> {
        let connected = connect_to_remembered(&self.meeting.choice, &self.settings, &self.meeting.network);
        let connected = connected.await?;
        let network = &mut self.meeting.network;
        if !self.meeting.owns_network && network.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let found = connected.engine.networks(network).await;
            let found = found.map_err(|error| engine_problem("look for the harness's network", &error))?;
            if let [found] = found.as_slice() {
                network.clone_from(&found.name);
            }
        }
        Ok(connected)
    }

    /// Starts what is needed, and waits until all of it is ready.
    ///
    /// # Errors
    /// Everything that stands against it; sidecars that run are left running.
    pub async fn bring_up(&self, connected: Connected) -> Result<Running, Failure> {
        approval::refuse_missing(&self.settings, &self.sidecars)?;
        private_copies::sweep();
        let loading = self.load_probes();
        let tried = self.bring_up_on(&connected, loading.clone()).await;
        // Whatever came of it: an engine that does not answer, or is another one, is the reason.
        let running = if connected.is_certain().await? {
            tried?
        } else {
            drop(tried);
            let connected = connected.corrected(&connected.answer().await?);
            self.bring_up_on(&connected, loading).await?
        };
        self.reporter.tell(&Event::AllReady);
        Ok(running)
    }

    /// The same on the engine that it is, or is remembered to be; then nothing is changed before it said so itself.
    async fn bring_up_on(
        &self,
        connected: &Connected,
        loading: Vec<Vec<Loading>>,
    ) -> Result<Running, Failure> {
        let Connected { engine, identity, .. } = connected;
        let locks = LockFolder::open(&identity.id)?.held_by(&self.harness);
        let held = self.lock_names(&locks).await?;
        // Until a container is on it, nothing else tells that the network is needed.
        let network = self.meeting.network.as_str();
        let waiting =
            |holder: Option<&Holder>| self.reporter.tell(&Event::WaitingForNetwork { network, holder });
        let kept = locks.keep_network(network, waiting).await?;
        let plan = self.plan(engine.as_ref(), identity, &locks).await?;
        if let NetworkPlan::Use { id, .. } = &plan.network_plan {
            connected.saw_network(&plan.network, id);
        }
        if connected.is_remembered {
            if !plan.changes_nothing() && !connected.is_certain().await? {
                return Err(Failure { exit: exit::REFUSED, problems: Vec::new() });
            }
            self.reporter.tell(&Event::Connected);
        }
        plan.sidecars.iter().for_each(|step| self.reporter.tell(&Event::Planned(step)));
        let waits = self.waits(engine, identity);
        let reporter = Arc::clone(&self.reporter);
        let docker_config = connected.docker_config.clone();
        let network = LaunchNetwork {
            name: plan.network.clone(),
            plan: plan.network_plan.clone(),
            locks: locks.clone(),
            done: OnceCell::new(),
        };
        let proxies = Proxies::of(&address::resolve(&self.meeting.choice, &self.settings.environment)?);
        let applier = Applier { engine: Arc::clone(engine), reporter, docker_config, proxies, network };
        let networks = (plan.network.as_str(), self.meeting.own_network.as_str());
        let departure = Departure::begin(engine, &locks, networks, &self.harness, self.sidecars())?;
        if plan.network_plan != NetworkPlan::Create {
            applier.network().await?;
        }
        let all = self.start_and_wait(&applier, &waits, &plan, loading, &locks, held);
        // Where its network was taken as a proof, the engine's own word still ends what it contradicts.
        let contradicted = async {
            if plan.changes_nothing() { std::future::pending().await } else { connected.contradicted().await }
        };
        let result = tokio::select! {
            result = all => result,
            never = waits.watch.run(engine.as_ref(), connected.moment()) => match never {},
            () = contradicted => Err(Failure { exit: exit::REFUSED, problems: Vec::new() }),
        };
        drop(kept);
        let failure = match result {
            Ok((containers, in_use)) => {
                let direct = containers.iter().any(|container| waits.route.is_direct(container));
                let engine = Arc::clone(engine);
                return Ok(Running { containers, direct, in_use, departure, engine, locks });
            }
            Err(failure) => failure,
        };
        // Another engine than the one that was meant is left as it is.
        if connected.is_certain().await.is_ok_and(|is_certain| is_certain) {
            if applier.network.done.initialized() {
                // Nothing may have joined it. What cannot be removed now is left to `down`.
                let _ = remove_unused(engine.as_ref(), &locks, &plan.network).await;
            }
            departure.leave().await;
        }
        Err(failure)
    }

    /// What bringing up would do now; nothing is changed.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub async fn plan(
        &self,
        engine: &dyn Engine,
        identity: &Identity,
        locks: &LockFolder,
    ) -> Result<Plan, Failure> {
        let (cache, architecture) = (self.settings.cache.as_deref(), &identity.architecture);
        let decided = self.decide(engine, locks, &Caches::open(cache, architecture)).await;
        // What is only remembered is no reason to make a container anew, nor to refuse one.
        let anew = |step: &SidecarPlan| step.action == Action::Recreate;
        let refusal = |problem: &Problem| matches!(problem.code, Code::AliasTaken | Code::SidecarInUse);
        let is_certain = match &decided {
            Ok(plan) => !plan.sidecars.iter().any(anew),
            Err(failure) => !failure.problems.iter().any(refusal),
        };
        if is_certain {
            return decided;
        }
        self.decide(engine, locks, &Caches::asking_anew(cache, architecture)).await
    }

    async fn decide(
        &self,
        engine: &dyn Engine,
        locks: &LockFolder,
        caches: &Caches,
    ) -> Result<Plan, Failure> {
        let sidecars: Vec<Sidecar> = self.sidecars().cloned().collect();
        let holders = locks.holders_of(sidecars.iter().map(|sidecar| sidecar.container.as_str()));
        let network = &self.meeting.network;
        let snapshot = snapshot::take(engine, &sidecars, network, holders, caches).await;
        let snapshot = snapshot.map_err(|error| engine_problem("look at what runs", &error))?;
        let wish = Wish {
            network: network.clone(),
            owns_network: self.meeting.owns_network,
            recreate: self.settings.recreate,
        };
        let decided = reconcile(&sidecars, &snapshot, &wish);
        decided.map_err(|problems| Failure { exit: exit::REFUSED, problems })
    }

    /// Components are compiled while containers start; equal ones once.
    fn load_probes(&self) -> Vec<Vec<Loading>> {
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

    /// Takes the lock of every name, in one order for all launches, so that none waits for another in a circle.
    async fn lock_names(&self, locks: &LockFolder) -> Result<BTreeMap<String, Held>, Problem> {
        let mut names: Vec<(&str, &str)> =
            self.sidecars().map(|sidecar| (sidecar.container.as_str(), sidecar.name())).collect();
        names.sort_unstable();
        let mut held = BTreeMap::new();
        for (container, sidecar) in names {
            let waiting =
                |holder: Option<&Holder>| self.reporter.tell(&Event::WaitingForLaunch { sidecar, holder });
            held.insert(container.to_owned(), locks.lock(container, waiting).await?);
        }
        Ok(held)
    }

    fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.sidecars.iter().map(|prepared| &prepared.sidecar)
    }

    fn waits(&self, engine: &Arc<dyn Engine>, identity: &Identity) -> Waits {
        let images = self.settings.probe_image.iter().chain(&self.meeting.image).cloned();
        // Our own program runs in any image, so a sidecar's serves where no other was named.
        let own = self.sidecars().map(|sidecar| sidecar.image.clone());
        Waits {
            engine: Arc::clone(engine),
            watch: Watch::default(),
            matches: MatchCache::below(self.settings.cache.as_deref()),
            executions: Arc::default(),
            route: Route {
                engine: Arc::clone(engine),
                reporter: Arc::clone(&self.reporter),
                choice: self.settings.dialling,
                local: identity.local,
                architecture: identity.architecture.clone(),
                network: self.meeting.network.clone(),
                images: images.chain(own).collect(),
                decided: Mutex::default(),
                bridges: Bridges::default(),
            },
            network: self.meeting.network.clone(),
            reporter: Arc::clone(&self.reporter),
            neighbours: Neighbours::of(self.sidecars()),
            waiting: AtomicUsize::new(0),
            phases: Phases::of(self.sidecars().map(Sidecar::name)),
        }
    }

    /// All sidecars at once, until all are ready at the same time; the first failure ends every wait, but nothing that is
    /// being started.
    async fn start_and_wait(
        &self,
        applier: &Applier,
        waits: &Waits,
        plan: &Plan,
        loading: Vec<Vec<Loading>>,
        locks: &LockFolder,
        mut held: BTreeMap<String, Held>,
    ) -> Result<(Vec<Container>, Vec<InUse>), Failure> {
        let failed = CancellationToken::new();
        let released = std::sync::Mutex::new(Vec::new());
        let together = Together::of(plan.sidecars.len());
        let each = plan.sidecars.iter().zip(loading).map(|(step, loading)| {
            let lock = held.remove(&step.container);
            let common = Common { failed: &failed, released: &released, together: &together };
            async move {
                let result = self.one(applier, waits, step, loading, locks, lock, common).await;
                if result.is_err() {
                    common.failed.cancel();
                }
                result
            }
        });
        let (mut all, mut in_use, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let mut has_failed = false;
        for result in join_all(each.collect::<Vec<_>>()).await {
            match result {
                Ok((ready, mark)) => {
                    all.push(ready);
                    in_use.push(mark);
                }
                Err(found) => {
                    has_failed = true;
                    problems.extend(found);
                }
            }
        }
        if !has_failed && let Err(dossier) = barrier::pass(waits, &mut all).await {
            self.reporter.tell(&Event::NotReady(&dossier));
            has_failed = true;
        }
        if has_failed {
            return Err(Failure { exit: exit::REFUSED, problems });
        }
        Ok((all.into_iter().map(|ready| ready.container).collect(), in_use))
    }

    /// One sidecar: what the plan says, then the wait. No problem in an error means that it was told already.
    #[expect(clippy::too_many_arguments, reason = "the parts of one launch, each used once")]
    async fn one<'a>(
        &'a self,
        applier: &Applier,
        waits: &'a Waits,
        step: &SidecarPlan,
        loading: Vec<Loading>,
        locks: &LockFolder,
        lock: Option<Held>,
        common: Common<'_>,
    ) -> Result<(Ready<'a>, InUse), Option<Problem>> {
        let prepared = &self.sidecars[step.index];
        let sidecar = &prepared.sidecar;
        let result = applier.sidecar(step, sidecar, &self.meeting.network).await;
        result.inspect_err(|_| waits.phases.note(sidecar.name(), Phase::Failed))?;
        let begun = Instant::now();
        let in_use = locks.mark_in_use(&sidecar.container, &self.harness)?;
        common.released.lock().unwrap_or_else(PoisonError::into_inner).extend(lock.map(Held::release));
        let readiness = sidecar.definition.readiness.iter();
        let conditions: Vec<Condition> = readiness
            .zip(&prepared.probes)
            .zip(loading)
            .map(|((readiness, found), loading)| Condition {
                readiness: readiness.clone(),
                found: found.clone(),
                loading,
            })
            .collect();
        let wait = waits.begin(sidecar, conditions, begun);
        let known = step.existing.clone().filter(|_| step.is_untouched());
        let result = tokio::select! {
            result = common.together.ready(&wait, None, known) => result,
            () = common.failed.cancelled() => return Err(None),
        };
        match result {
            Ok(container) => Ok((Ready { wait, container }, in_use)),
            Err(dossier) => {
                self.reporter.tell(&Event::NotReady(&dossier));
                Err(None)
            }
        }
    }
}
