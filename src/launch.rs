//! The launch, told from top to bottom: the way to an engine (`connection`), carrying a plan out (`apply`), waiting for all
//! sidecars at once (`together`), and leaving what is others' (`departure`). What only decides is in `plan`, what waits in
//! `readiness`.

pub mod apply;
pub mod connection;
pub mod departure;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OnceCell;

use self::apply::{Applier, LaunchNetwork};
use self::connection::Connection;
use self::departure::Departure;
use self::together::{Guard, Loadings, Start, Stopped};
use crate::approval;
use crate::engine::caches::Caches;
use crate::engine::docker::proxies::Proxies;
use crate::engine::{Container, Engine, address};
use crate::event::{Event, Reporter};
use crate::harness::reachability::Meeting;
use crate::manage::removal::networks::remove_unused;
use crate::plan::reconcile::{Wish, reconcile};
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot::{self, Snapshot};
use crate::plan::{NetworkPlan, Plan};
use crate::preparation::Prepared;
use crate::preparation::settings::Settings;
use crate::probe::host::ProbeHost;
use crate::probe::private_copies;
use crate::readiness::wait::Waits;
use crate::report::error::{Failure, Problem};
use crate::report::exit;
use crate::system::leases::Leases;
use crate::system::lock::{Held, Holder, LockFolder};

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
    /// Marks them as used, and says how they leave networks that no launch uses them on.
    pub departure: Departure,
    /// Where they run.
    pub engine: Arc<dyn Engine>,
    /// Which commands use or change containers.
    pub leases: Leases,
}

impl Launch {
    /// Finds the engine that the harness's own docker would use. A network that the harness names by its id goes by its
    /// name from then on, as it does in everything that the engine says of containers.
    ///
    /// # Errors
    /// If there is no such engine, or it does not answer.
    pub async fn connect(&mut self) -> Result<Connection, Problem> {
        let connection = connection::open(&self.meeting.choice, &self.settings)?;
        let network = &mut self.meeting.network;
        if !self.meeting.owns_network && network.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let found = connection.engine.networks(network).await;
            let found =
                found.map_err(|error| connection.problem("look for the harness's network", &error))?;
            if let [found] = found.as_slice() {
                network.clone_from(&found.name);
            }
        }
        Ok(connection)
    }

    /// Starts what is needed, and waits until all of it is ready.
    ///
    /// # Errors
    /// Everything that stands against it; sidecars that run are left running.
    pub async fn bring_up(&self, connection: Connection) -> Result<Running, Failure> {
        approval::refuse_missing(&self.settings, &self.sidecars)?;
        private_copies::sweep();
        let connection = Arc::new(connection);
        let leases = Leases::open(&self.harness)?;
        let loadings = self.load_probes();
        let running = match self.use_as_is(&connection, &leases, &loadings).await? {
            Some(running) => running,
            None => self.change(&connection, &leases, &loadings).await?,
        };
        self.reporter.tell(&Event::AllReady);
        Ok(running)
    }

    /// What bringing up would do now; nothing is changed.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub async fn plan(&self, connection: &Connection) -> Result<Plan, Failure> {
        let mut snapshot = self.look(connection, Caches::asking_anew).await?;
        snapshot.note_holders(&Leases::open(&self.harness)?);
        self.decide(&snapshot)
    }

    /// Hands over what runs as it is declared. Marks of use are all that this needs: neither a lock nor the engine's word
    /// on what it is. `None` if something has to be changed, or if somebody else did so before the marks were made.
    async fn use_as_is(
        &self,
        connection: &Arc<Connection>,
        leases: &Leases,
        loadings: &Loadings,
    ) -> Result<Option<Running>, Failure> {
        let snapshot = self.look(connection, Caches::open).await?;
        connection.answered(&self.reporter);
        // A problem may be another launch's doing, which is at it: it is told by whoever has the locks.
        let Some(plan) = self.decide(&snapshot).ok().filter(Plan::changes_nothing) else { return Ok(None) };
        let departure = self.departure(connection, leases, &plan);
        let mut starts = Vec::new();
        for step in &plan.sidecars {
            let Some(existing) = step.existing.clone() else { return Ok(None) };
            if !departure.share(&self.sidecars[step.index].sidecar, &existing.id)? {
                return Ok(None);
            }
            starts.push(async move { Ok(Start { known: Some(existing) }) });
        }
        self.tell(&plan);
        let waits = self.waits(connection);
        match self.together(connection, &waits, Guard::Marks, starts, loadings).await {
            Ok(containers) => Ok(Some(Running::of(connection, leases, departure, &waits, containers))),
            Err(Stopped::Changed) => Ok(None),
            Err(Stopped::Failed(problems)) => {
                departure.leave().await;
                Err(Failure { exit: exit::REFUSED, problems })
            }
        }
    }

    /// Changes what has to be changed, under the locks of all names: looks once more, decides, carries the plan out, and
    /// waits.
    async fn change(
        &self,
        connection: &Arc<Connection>,
        leases: &Leases,
        loadings: &Loadings,
    ) -> Result<Running, Failure> {
        let engine = &connection.engine;
        let locks = LockFolder::open(&connection.info().await?.id)?.held_by(&self.harness);
        let names = self.lock_names(&locks).await?;
        // Until a container is on it, nothing else tells that the network is needed.
        let network = self.meeting.network.as_str();
        let waiting =
            |holder: Option<&Holder>| self.reporter.tell(&Event::WaitingForNetwork { network, holder });
        let kept = locks.keep_network(network, waiting).await?;
        let mut snapshot = self.look(connection, Caches::asking_anew).await?;
        let (claims, has_waited) = self.claim(leases, &snapshot).await?;
        if has_waited {
            snapshot = self.look(connection, Caches::asking_anew).await?;
        }
        snapshot.note_holders(leases);
        let plan = self.decide(&snapshot)?;
        self.tell(&plan);
        let applier = Applier {
            engine: Arc::clone(engine),
            reporter: Arc::clone(&self.reporter),
            docker_config: connection.docker_config.clone(),
            proxies: Proxies::of(&address::resolve(&self.meeting.choice, &self.settings.environment)?),
            network: LaunchNetwork {
                name: plan.network.clone(),
                plan: plan.network_plan.clone(),
                locks: locks.clone(),
                done: OnceCell::new(),
            },
            departure: self.departure(connection, leases, &plan),
        };
        if plan.network_plan != NetworkPlan::Create {
            applier.network().await?;
        }
        let waits = self.waits(connection);
        let released = std::sync::Mutex::new(Vec::new());
        let starts = self.starts(&applier, &plan, (names, claims), &released);
        let result = self.together(connection, &waits, Guard::Locks, starts, loadings).await;
        drop(kept);
        match result {
            Ok(containers) => Ok(Running::of(connection, leases, applier.departure, &waits, containers)),
            Err(stopped) => {
                if applier.network.done.initialized() {
                    // Nothing may have joined it. What cannot be removed now is left to `down`.
                    let _ = remove_unused(engine.as_ref(), &locks, &plan.network).await;
                }
                applier.departure.leave().await;
                Err(Failure { exit: exit::REFUSED, problems: stopped.problems() })
            }
        }
    }

    async fn look(
        &self,
        connection: &Connection,
        caches: fn(Option<&std::path::Path>, &str) -> Caches,
    ) -> Result<Snapshot, Problem> {
        let caches = caches(self.settings.cache.as_deref(), &connection.address);
        let sidecars: Vec<Sidecar> = self.sidecars().cloned().collect();
        let engine = connection.engine.as_ref();
        let snapshot = snapshot::take(engine, &sidecars, &self.meeting.network, &caches).await;
        snapshot.map_err(|error| connection.problem("look at what runs", &error))
    }

    fn decide(&self, snapshot: &Snapshot) -> Result<Plan, Failure> {
        let sidecars: Vec<Sidecar> = self.sidecars().cloned().collect();
        let wish = Wish {
            network: self.meeting.network.clone(),
            owns_network: self.meeting.owns_network,
            recreate: self.settings.recreate,
        };
        let decided = reconcile(&sidecars, snapshot, &wish);
        decided.map_err(|problems| Failure { exit: exit::REFUSED, problems })
    }

    fn tell(&self, plan: &Plan) {
        plan.sidecars.iter().for_each(|step| self.reporter.tell(&Event::Planned(step)));
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

    /// Keeps other launches from beginning to use the containers there are, by the name of each, and says whether another
    /// command was at one of them. Whoever claims several has the locks of their names, so nobody waits in a circle.
    async fn claim(
        &self,
        leases: &Leases,
        snapshot: &Snapshot,
    ) -> Result<(BTreeMap<String, Held>, bool), Problem> {
        let (mut held, mut has_waited) = (BTreeMap::new(), false);
        for sidecar in self.sidecars() {
            let Some(found) = snapshot.containers.get(&sidecar.container) else { continue };
            let sidecar = sidecar.name();
            let waiting = |holder: Option<&Holder>| {
                has_waited = true;
                self.reporter.tell(&Event::WaitingForLaunch { sidecar, holder });
            };
            held.insert(found.name.clone(), leases.claim(&found.id, waiting).await?);
        }
        Ok((held, has_waited))
    }

    fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.sidecars.iter().map(|prepared| &prepared.sidecar)
    }

    fn departure(&self, connection: &Arc<Connection>, leases: &Leases, plan: &Plan) -> Departure {
        let (network, home) = (plan.network.clone(), self.meeting.own_network.clone());
        Departure::new(Arc::clone(connection), leases.clone(), network, home)
    }
}

impl Running {
    fn of(
        connection: &Connection,
        leases: &Leases,
        departure: Departure,
        waits: &Waits,
        containers: Vec<Container>,
    ) -> Self {
        let direct = containers.iter().any(|container| waits.route.is_direct(container));
        Self { containers, direct, departure, engine: Arc::clone(&connection.engine), leases: leases.clone() }
    }
}
