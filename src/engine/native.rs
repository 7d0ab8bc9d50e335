//! The engine that is built in: programs of this host, and containers made of images in its files, each under a
//! supervisor, which is farrier itself executed once more. There is no daemon. Everything that is known lies in a
//! folder of this user's (`store`), and a lock that a supervisor holds tells that it lives. An instance has one run,
//! unless its definition has `restart`: what ended is replaced by another instance.

mod beneath;
mod capabilities;
mod carrying_out;
mod changes;
mod confining;
mod container;
mod control_group;
mod executing;
mod facets;
mod fingerprint;
mod forwarding;
mod health;
mod images;
mod instance_folder;
mod isolation;
mod limited;
mod log;
mod namespaces;
mod neighbours;
mod netlink;
mod observing;
mod obtaining;
mod processes;
mod refusals;
mod roles;
mod specification;
mod state;
mod stopping;
mod store;
mod supervisor;
mod volumes;
mod watchers;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::{OnceCell, Semaphore};

pub use self::capabilities::CAPABILITIES;
use self::images::Pruned;
use self::isolation::{Findings, Isolation};
use self::observing::Looked;
use self::roles::{Failure, Helper, TRY_CONFINING};
use self::store::{Store, Stored};
use super::dialler::Dialler;
use super::registry::configuration::RegistryConfiguration;
use super::{
    ByHand, Capabilities, Carrier, Change, Engine, EngineError, EngineErrorKind, EngineInfo, EngineResult,
    Exec, Finding, Freshness, Images, Logs, OwnVolume, Progress, RelayImages, Repulled,
};
use crate::plan::instance::Instance;
use crate::plan::session::Session;
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot::{Found, Snapshot};
use crate::plan::{HarnessNetwork, NetworkPlan, SidecarPlan};
use crate::report::error::{Code, Problem};
use crate::system::blocking::blocking;
use crate::system::digest::sha256_hex;
use crate::system::leases::Leases;

/// The network on which everything of this host is: its loopback interface.
pub const NETWORK: &str = "loopback";

/// The name of its folder among farrier's state.
pub const FOLDER: &str = "native";

/// The engine.
#[derive(Clone, Debug)]
pub struct Native {
    store: Store,
    /// Where images come from.
    registries: RegistryConfiguration,
    /// How far containers can be kept apart here.
    findings: Arc<OnceCell<Findings>>,
    /// Whether programs can be confined here.
    confining: Arc<OnceCell<Result<(), Failure>>>,
    /// Room for starts that are under way.
    starts: Arc<Semaphore>,
}

/// How many instances are started at a time. A start is mostly processor time, so that more at once would only make each take
/// longer: of a thousand at once, on two busy cores, some took longer than a start may take.
const STARTS: usize = 32;

/// Does what farrier executes itself for, if these arguments ask for it, and gives the exit code.
#[must_use]
pub fn help(arguments: &[OsString]) -> Option<u8> {
    roles::run(arguments)
}

/// The engine with this folder for all that it knows, which pulls images as this says.
///
/// # Errors
/// None here: other systems have no such engine.
pub fn open(root: PathBuf, registries: RegistryConfiguration) -> Result<Arc<dyn Engine>, Problem> {
    Ok(Arc::new(Native { registries, ..Native::at(root) }))
}

/// Whether the engine with this folder runs anything, or has anything left.
#[must_use]
pub fn is_in_use(root: PathBuf) -> bool {
    !Store::at(root, Helper::own()).names().is_empty()
}

impl Native {
    /// With this folder for all that it knows, which need not be there yet.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self {
            store: Store::at(root, Helper::own()),
            registries: RegistryConfiguration::default(),
            findings: Arc::default(),
            confining: Arc::default(),
            starts: Arc::new(Semaphore::new(STARTS)),
        }
    }

    /// Whose supervisors are made of this program, in place of the one that runs.
    #[must_use]
    pub fn supervised_by(self, executable: PathBuf) -> Self {
        Self { store: Store::at(self.store.root().to_owned(), Helper(executable)), ..self }
    }

    /// How far containers can be kept apart here, found out once.
    async fn findings(&self) -> EngineResult<&Findings> {
        let find = async {
            let helper = self.store.helper().clone();
            let found = blocking("isolation", move || isolation::find(&helper)).await.and_then(|found| found);
            found.map_err(|error| store::refused(error.to_string()))
        };
        self.findings.get_or_try_init(|| find).await
    }

    /// How containers are kept apart here.
    async fn isolation(&self) -> Result<Isolation, Problem> {
        let findings = self.findings().await;
        let findings =
            findings.map_err(|error| super::problem::engine_problem("make a container", &error))?;
        findings.best.ok_or_else(|| {
            let reasons: Vec<String> =
                findings.failed.iter().map(|(isolation, why)| format!("{isolation}: {why}")).collect();
            let message = format!("this user cannot create containers on this host ({})", reasons.join("; "));
            Problem::error(Code::EngineLacks, message).hint("See `farrier doctor --engine native`.")
        })
    }

    /// Whether programs can be confined here, found out once.
    async fn confining(&self) -> &Result<(), Failure> {
        let find = async {
            let helper = self.store.helper().clone();
            let tried = blocking("confining", move || helper.run([TRY_CONFINING.as_ref()], None)).await;
            tried.and_then(|tried| tried).map_err(|error| Failure::of(&error))
        };
        self.confining.get_or_init(|| find).await
    }

    fn stored(&self, instance: &str) -> EngineResult<Stored> {
        let missing = || EngineError::new(EngineErrorKind::NotFound, format!("there is no `{instance}`"));
        self.store.find(instance).ok_or_else(missing)
    }
}

#[async_trait]
impl Engine for Native {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn info(&self) -> EngineResult<EngineInfo> {
        self.store.check()?;
        let now = jiff::Timestamp::now();
        // The folder is the engine: whoever uses the same one must not change the same instance at once.
        let folder = std::path::absolute(self.store.root()).unwrap_or_else(|_| self.store.root().to_owned());
        Ok(EngineInfo {
            id: format!("native-{}", &sha256_hex(folder.as_os_str().as_encoded_bytes())[..32]),
            time: format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            local: true,
        })
    }

    async fn observe(
        &self,
        wanted: &[Arc<Sidecar>],
        network: &HarnessNetwork,
        _: Freshness,
    ) -> EngineResult<Snapshot> {
        self.store.check()?;
        let looked = Looked::at(&self.store, wanted);
        let (makes_container, confines) = (looked.makes_container(), looked.confines());
        if !makes_container && !confines {
            return Ok(looked.snapshot(network, (None, None)));
        }
        // It takes two processes to find out, so only those wait for it who make one.
        let isolation = if makes_container { self.findings().await?.best } else { None };
        let confining = if confines { self.confining().await.as_ref().err() } else { None };
        // Much may have changed meanwhile.
        Ok(Looked::at(&self.store, wanted).snapshot(network, (isolation, confining)))
    }

    async fn network_name(&self, named: &str) -> EngineResult<String> {
        Ok(named.to_owned())
    }

    async fn make_network(&self, plan: &NetworkPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        let made = self.store.make().and_then(|()| self.store.make_network(&plan.name));
        let doing = format!("make the network `{}`", plan.name);
        if made.map_err(|error| super::problem::engine_problem(&doing, &error))? {
            carrier.tell(Progress::NetworkCreated(&plan.name));
        }
        Ok(())
    }

    async fn fetch(&self, part: &SidecarPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        if !part.pulls() {
            return Ok(());
        }
        let sidecar = part.sidecar.as_ref();
        let made = self.store.make();
        made.map_err(|error| super::problem::engine_problem("make the store", &error))?;
        let obtained = obtaining::Obtaining { native: self, carrier, sidecar }.obtain().await;
        // It stays in the store, which only a person clears up.
        obtained.map(drop).map_err(|problem| problem.of(sidecar.name()))
    }

    async fn carry_out(
        &self,
        part: &SidecarPlan,
        network: &str,
        carrier: &dyn Carrier,
    ) -> Result<(), Problem> {
        carrying_out::Carrying { native: self, carrier, part, network }.run().await
    }

    async fn inspect(&self, instance: &str) -> EngineResult<Option<Instance>> {
        Ok(self.store.find(instance).map(|stored| stored.instance()))
    }

    async fn still_running(&self, runs: &[&Instance], network: &str) -> EngineResult<Vec<bool>> {
        let goes_on = |run: &&Instance| {
            let now = self.store.read(&run.id).map(|stored| stored.instance());
            now.is_some_and(|now| now.is_on(network) && run.goes_on_as(&now, network))
        };
        Ok(runs.iter().map(goes_on).collect())
    }

    async fn changes(&self, _: &str) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
        self.store.make()?;
        changes::stream(&self.store)
    }

    fn is_direct(&self, instance: &Instance, network: &str) -> bool {
        instance.address(network).is_some_and(|address| address.is_loopback())
    }

    async fn relay(&self, _: &str, _: &RelayImages) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        Ok(Err("what runs on this host is reached without a relay".to_owned()))
    }

    async fn find(&self, sidecar: &Sidecar) -> EngineResult<Option<Found>> {
        self.store.check()?;
        let stored = observing::found(&self.store, sidecar);
        Ok(stored.map(|stored| observing::compare(&self.store, sidecar, &stored)))
    }

    async fn inventory(&self, declared: &[Arc<Sidecar>]) -> EngineResult<Vec<(Found, Option<Arc<Sidecar>>)>> {
        self.store.check()?;
        let all = self.store.names().into_iter().filter_map(|name| self.store.find(&name));
        let each = all.map(|stored| {
            let is_its = |sidecar: &&Arc<Sidecar>| {
                sidecar.container == stored.specification.name && sidecar.owns(&stored.specification.labels)
            };
            match declared.iter().find(is_its) {
                Some(sidecar) => {
                    (observing::compare(&self.store, sidecar, &stored), Some(Arc::clone(sidecar)))
                }
                None => (Found { instance: stored.instance(), ..Found::default() }, None),
            }
        });
        Ok(each.collect())
    }

    async fn remove(
        &self,
        sidecar: &str,
        instance: &Instance,
        tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
    ) -> EngineResult<bool> {
        self.store.check()?;
        if self.store.id_of(&instance.name).is_some_and(|now| now != instance.id) {
            return Ok(false);
        }
        let Some(stored) = self.store.read(&instance.id) else { return Ok(true) };
        if stored.instance().is_up() {
            tell(Progress::Stopping { sidecar, instance: &instance.id, grace: instance.grace });
        }
        let _ended = stopping::stop(&self.store, &stored).await?;
        self.store.remove(&stored)?;
        Ok(true)
    }

    async fn volumes(&self) -> EngineResult<Vec<OwnVolume>> {
        self.store.check()?;
        let volumes = self.store.volumes();
        let names = volumes.names().into_iter();
        let own =
            names.filter_map(|name| Some(OwnVolume { labels: volumes.labels(&name)?, name, lies_on: None }));
        Ok(own.collect())
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        self.store.check()?;
        if self.store.has_volume(name) {
            let message = format!("a sidecar has the volume {name}");
            return Err(EngineError::new(EngineErrorKind::Conflict, message));
        }
        let (volumes, name) = (self.store.volumes(), name.to_owned());
        let removed = blocking("volume", move || volumes.remove(&name)).await.and_then(|removed| removed);
        removed.map_err(|error| store::refused(error.to_string()))
    }

    async fn examine(&self) -> Vec<(&'static str, EngineResult<Finding>)> {
        let findings = self.findings().await;
        let best = findings.as_ref().ok().and_then(|findings| findings.best);
        let found = findings.map(|findings| Finding { text: findings.to_string(), way_out: None });
        let mut all = vec![("containers", found)];
        if let Some(isolation) = best.filter(|best| best.is_isolated()) {
            let helper = self.store.helper().clone();
            let tried = blocking("names", move || isolation::find_names(&helper, isolation)).await;
            all.push(("names", tried.map_err(|error| store::refused(error.to_string()))));
        }
        let confining = match self.confining().await {
            Ok(()) => Finding { text: "programs can be confined".to_owned(), way_out: None },
            Err(failure) => Finding {
                text: format!("programs cannot be confined: {failure}"),
                way_out: Some(confining::WAY_OUT),
            },
        };
        all.push(("programs", Ok(confining)));
        all
    }

    async fn pull_again(&self, image: &str) -> Result<Option<Repulled>, Problem> {
        obtaining::pull_again(self, image).await.map(Some)
    }

    async fn prune(&self, volumes: bool) -> EngineResult<Vec<String>> {
        self.store.check()?;
        let mut pruned_volumes = Vec::new();
        if volumes {
            // In this order: a volume that is there belongs to an instance that was there before.
            let all = self.store.volumes().names();
            let used = self.store.volumes_in_use();
            for name in all.into_iter().filter(|name| volumes::is_anonymous(name) && !used.contains(name)) {
                self.remove_volume(&name).await?;
                pruned_volumes.push(name);
            }
        }
        let store = self.store.clone();
        let pruned = blocking("images", move || store.images().prune(|| store.images_in_use())).await;
        let pruned = pruned.and_then(|pruned| pruned);
        let Pruned { images, layers } =
            pruned.map_err(|error| store::refused(format!("the store of images: {error}")))?;
        let counted =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let all = [(images, "image"), (layers, "layer"), (pruned_volumes.len(), "volume")];
        Ok(all
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| counted(count, what))
            .collect())
    }

    async fn sessions(&self) -> EngineResult<BTreeSet<Session>> {
        self.store.check()?;
        let named = self.store.names().into_iter().filter_map(|name| self.store.find(&name));
        let volumes = self.store.volumes();
        let labels = volumes.names().into_iter().filter_map(|name| volumes.labels(&name));
        let labels = named.map(|stored| stored.specification.labels.clone()).chain(labels);
        Ok(labels.filter_map(|labels| Session::of(&labels)).chain(self.store.nameless_sessions()).collect())
    }

    async fn remove_session_network(&self, session: &Session, _: &Leases) -> EngineResult<bool> {
        // Its network is everybody's.
        let (store, session) = (self.store.clone(), session.clone());
        let removed = blocking("instances", move || store.remove_nameless(&session)).await;
        removed.map_err(|error| store::refused(error.to_string()))?
    }

    async fn own_networks(&self) -> EngineResult<Vec<String>> {
        Ok(self.store.networks())
    }

    async fn remove_network(&self, name: &str) -> EngineResult<bool> {
        let all = self.store.names().into_iter().filter_map(|instance| self.store.find(&instance));
        let is_used = all.into_iter().any(|stored| stored.specification.network == name);
        Ok(!is_used && self.store.remove_network(name))
    }

    fn by_hand(&self, what: ByHand<'_>) -> Option<String> {
        match what {
            ByHand::RemoveVolumes(_) => Some(observing::REMOVE_VOLUMES.to_owned()),
            ByHand::SeeEngine | ByHand::Inspect(_) | ByHand::Resume(_) => None,
        }
    }

    fn images(&self) -> Option<&dyn Images> {
        Some(self)
    }

    fn exec(&self) -> Option<&dyn Exec> {
        Some(self)
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }
}
