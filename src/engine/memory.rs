//! An engine of another kind than Docker, in this process's memory: what it runs are entries of a table, on loopback
//! addresses of this host. It pulls nothing, executes nothing, keeps no logs and runs no health tests. Tests prove with it that
//! the core needs none of that, and that one launch may use several engines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::dialler::Dialler;
use super::{
    Availability, Capabilities, Carrier, Change, ChangeKind, Engine, EngineError, EngineErrorKind,
    EngineInfo, EngineResult, Freshness, HostFiles, Progress, RelayImages,
};
use crate::plan::instance::{Endpoint, Instance, Status};
use crate::plan::session::Session;
use crate::plan::sidecar::{FirstValues, LABEL_SIDECAR, Sidecar};
use crate::plan::snapshot::{Found, Observed, Snapshot};
use crate::plan::{Action, HarnessNetwork, NetworkAction, NetworkPlan, SidecarPlan, Step};
use crate::report::error::{Code, Problem};
use crate::system::leases::Leases;

/// What it can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "memory",
    product: "the engine in memory",
    images: true,
    image_files: false,
    programs: false,
    exec: Availability::Nowhere,
    logs: false,
    health: Availability::Nowhere,
    own_network: true,
    resolves_names: true,
    has_socket: true,
    host_files: HostFiles::All,
    volumes: Availability::Everywhere,
    nodes: false,
    sessions: true,
    keys: None,
};

/// An engine in memory. Clones are the same engine.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    id: u64,
    /// Counts instances and runs.
    count: u32,
    instances: BTreeMap<String, Instance>,
    networks: BTreeSet<String>,
    changes: Vec<UnboundedSender<Change>>,
    calls: Vec<&'static str>,
}

impl Memory {
    /// An engine that runs nothing, with an id of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut random = [0_u8; 8];
        let _ = getrandom::fill(&mut random);
        Self(Arc::new(Mutex::new(World { id: u64::from_ne_bytes(random), ..World::default() })))
    }

    /// Ends an instance's run with this exit code.
    pub fn end(&self, name: &str, exit_code: i64) {
        let mut world = self.world();
        world.change(name, ChangeKind::Ended, |instance| {
            (instance.status, instance.exit_code) = (Status::Exited, exit_code);
        });
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.world().calls.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, call: &'static str) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.calls.push(call);
        world
    }
}

impl World {
    fn change(&mut self, name: &str, kind: ChangeKind, change: impl FnOnce(&mut Instance)) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        change(instance);
        let told = Change { instance: instance.id.clone(), kind, time: 0 };
        self.changes.retain(|listener| listener.send(told.clone()).is_ok());
    }

    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    /// A new run of a new instance on the network, at an address that nothing else here has.
    fn start(&mut self, sidecar: &Sidecar, network: &str, id: String) -> Instance {
        let run = self.next();
        let [_, _, third, fourth] = run.to_be_bytes();
        let endpoint = Endpoint {
            id: format!("run-{run}"),
            address: Some(IpAddr::V4(Ipv4Addr::new(127, 1, third, fourth))),
            aliases: sidecar.definition.aliases(),
            ..Endpoint::default()
        };
        Instance {
            id,
            name: sidecar.container.clone(),
            labels: sidecar.labels(&FirstValues::new(), "memory"),
            image_id: sidecar.image.as_str().to_owned(),
            status: Status::Running,
            started_at: format!("2000-01-01T00:00:00.{run:09}Z"),
            networks: [(network.to_owned(), endpoint)].into(),
            ..Instance::default()
        }
    }

    fn found(&self, sidecar: &Sidecar) -> Option<Found> {
        let instance = self.instances.get(&sidecar.container).filter(|found| sidecar.owns(&found.labels))?;
        Some(Found {
            instance: instance.clone(),
            image: Some(sidecar.image.as_str().to_owned()),
            ..Found::default()
        })
    }

    fn observed(&self, sidecar: &Sidecar, network: &str) -> Observed {
        let settings = sidecar.definition.container.settings();
        if let Some(setting) = settings.keys().next() {
            let message = format!("the engine `{}` does not support `{setting}`", CAPABILITIES.kind);
            let problem = Problem::error(Code::EngineLacks, message).of(sidecar.name());
            let refusals = vec![problem.hint("Run the sidecar on another engine, such as `docker`.")];
            return Observed { refusals, ..Observed::default() };
        }
        let Some(mut found) = self.found(sidecar) else {
            let taken = self.instances.get(&sidecar.container).map(|_| {
                let message = format!("the name `{}` is taken", sidecar.container);
                Problem::error(Code::NameTaken, message)
                    .of(sidecar.name())
                    .hint("Rename the definition's file.")
            });
            return Observed { refusals: taken.into_iter().collect(), ..Observed::default() };
        };
        if !found.instance.is_on(network) {
            found.keep.push(Step::Connect { network: network.to_owned(), again: false });
        }
        Observed { found: Some(found), ..Observed::default() }
    }
}

fn refused(message: impl Into<String>) -> EngineError {
    EngineError::new(EngineErrorKind::Refused, message)
}

#[async_trait]
impl Engine for Memory {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn info(&self) -> EngineResult<EngineInfo> {
        let id = format!("memory-{:016x}", self.called("info").id);
        let (time, version) = ("946684800.000000000".to_owned(), "1".to_owned());
        Ok(EngineInfo { id, time, version, architecture: std::env::consts::ARCH.to_owned(), local: true })
    }

    async fn observe(
        &self,
        wanted: &[Arc<Sidecar>],
        network: &HarnessNetwork,
        _: Freshness,
    ) -> EngineResult<Snapshot> {
        let world = self.called("observe");
        let name = network.name.clone();
        let action = if world.networks.contains(&name) {
            Ok(NetworkAction::Use { id: name.clone(), surplus: Vec::new() })
        } else if network.is_own {
            Ok(NetworkAction::Create)
        } else {
            Err(Problem::error(Code::NetworkUnusable, format!("there is no network `{name}`"))
                .hint("Remove the network from the harness's command: farrier then creates one."))
        };
        Ok(Snapshot {
            warnings: Vec::new(),
            network: action.map(|action| NetworkPlan {
                name,
                is_own: network.is_own && network.session.is_none(),
                session: network.session.clone().map(|session| (session, network.home.clone())),
                action,
            }),
            sidecars: wanted.iter().map(|sidecar| world.observed(sidecar, &network.name)).collect(),
        })
    }

    async fn network_name(&self, named: &str) -> EngineResult<String> {
        Ok(named.to_owned())
    }

    async fn make_network(&self, plan: &NetworkPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        if self.called("make network").networks.insert(plan.name.clone()) {
            carrier.tell(Progress::NetworkCreated(&plan.name));
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        part: &SidecarPlan,
        network: &str,
        carrier: &dyn Carrier,
    ) -> Result<(), Problem> {
        let (sidecar, name) = (part.sidecar.as_ref(), part.sidecar.container.as_str());
        carrier.network().await?;
        let mut world = self.called("carry out");
        if let Some(existing) = part.existing.as_ref().filter(|_| part.action == Action::Reuse) {
            carrier.mark(sidecar, &existing.id)?;
            if part.is_untouched() {
                return Ok(());
            }
            let started = world.start(sidecar, network, existing.id.clone());
            world.change(name, ChangeKind::Other, |instance| instance.networks.extend(started.networks));
            return Ok(());
        }
        if let Some(old) = part.existing.as_ref().filter(|old| old.is_up()) {
            carrier.tell(Progress::Stopping { sidecar: sidecar.name(), instance: &old.id, grace: old.grace });
        }
        world.change(name, ChangeKind::Ended, |_| ());
        let number = world.next();
        let id = format!("{:016x}-{number}", world.id);
        let instance = world.start(sidecar, network, id.clone());
        carrier.tell(Progress::Created { sidecar: sidecar.name(), instance: &id });
        carrier.mark(sidecar, &id)?;
        world.instances.insert(name.to_owned(), instance);
        world.change(name, ChangeKind::Started, |_| ());
        carrier.tell(Progress::Started { sidecar: sidecar.name(), instance: &id });
        Ok(())
    }

    async fn inspect(&self, instance: &str) -> EngineResult<Option<Instance>> {
        let world = self.called("inspect");
        let found = world.instances.values().find(|found| found.name == instance || found.id == instance);
        Ok(found.cloned())
    }

    async fn still_running(&self, runs: &[&Instance], network: &str) -> EngineResult<Vec<bool>> {
        let world = self.called("still running");
        let goes_on = |run: &&Instance| {
            world
                .instances
                .get(&run.name)
                .is_some_and(|now| now.is_on(network) && run.goes_on_as(now, network))
        };
        Ok(runs.iter().map(goes_on).collect())
    }

    async fn changes(&self, _: &str) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
        let (sender, receiver) = unbounded_channel();
        self.called("changes").changes.push(sender);
        let next = |mut receiver: tokio::sync::mpsc::UnboundedReceiver<Change>| async move {
            receiver.recv().await.map(|change| (Ok(change), receiver))
        };
        Ok(stream::unfold(receiver, next).boxed())
    }

    fn is_direct(&self, instance: &Instance, network: &str) -> bool {
        instance.is_on(network)
    }

    async fn relay(&self, _: &str, _: &RelayImages) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        Ok(Err("the engine in memory has no relay".to_owned()))
    }

    async fn find(&self, sidecar: &Sidecar) -> EngineResult<Option<Found>> {
        Ok(self.called("find").found(sidecar))
    }

    async fn inventory(&self, declared: &[Arc<Sidecar>]) -> EngineResult<Vec<(Found, Option<Arc<Sidecar>>)>> {
        let world = self.called("inventory");
        let each = world.instances.values().map(|instance| {
            let of = |sidecar: &&Arc<Sidecar>| {
                sidecar.container == instance.name && sidecar.owns(&instance.labels)
            };
            let of = declared.iter().find(of).cloned();
            let found = of.as_ref().and_then(|sidecar| world.found(sidecar));
            (found.unwrap_or_else(|| Found { instance: instance.clone(), ..Found::default() }), of)
        });
        Ok(each.collect())
    }

    async fn remove(
        &self,
        sidecar: &str,
        instance: &Instance,
        tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
    ) -> EngineResult<bool> {
        let mut world = self.called("remove");
        if world.instances.get(&instance.name).is_some_and(|now| now.id != instance.id) {
            return Ok(false);
        }
        if instance.is_up() {
            tell(Progress::Stopping { sidecar, instance: &instance.id, grace: instance.grace });
        }
        world.change(&instance.name, ChangeKind::Ended, |_| ());
        world.instances.remove(&instance.name);
        Ok(true)
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        Err(refused(format!("there is no volume {name}")))
    }

    async fn own_networks(&self) -> EngineResult<Vec<String>> {
        Ok(self.called("own networks").networks.iter().cloned().collect())
    }

    async fn remove_session_network(&self, session: &Session, _: &Leases) -> EngineResult<bool> {
        let mut world = self.called("remove session network");
        let name = session.network();
        for instance in world.instances.values_mut() {
            instance.networks.remove(&name);
        }
        Ok(world.networks.remove(&name))
    }

    async fn remove_network(&self, name: &str) -> EngineResult<bool> {
        let mut world = self.called("remove network");
        let is_used = world
            .instances
            .values()
            .any(|instance| instance.is_on(name) && instance.labels.contains_key(LABEL_SIDECAR));
        Ok(!is_used && world.networks.remove(name))
    }
}
