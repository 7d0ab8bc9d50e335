//! Docker, and every engine that has its API.
//!
//! `api` is what it can be asked, `client` asks a real one, `double` stands in for a real one. Everything else is made of these
//! calls: what is there (`look`) beside what is declared (`comparison`, `drift`), carrying a plan out (`apply`), networks,
//! the relay. Nothing outside this folder knows any of it, but for the address that a harness's `docker` command names.

pub mod address;
pub mod api;
mod apply;
pub mod bounded;
pub mod caches;
mod classification;
pub mod client;
mod comparison;
pub mod double;
mod drift;
mod examine;
mod facets;
mod look;
mod networks;
mod ports;
mod proxies;
pub(super) mod recognition;
pub mod relay;
mod sessions;
mod spec;
mod stopping;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{join, try_join_all, try_join3};
use futures_util::stream::BoxStream;
use tokio::sync::OnceCell;

use self::address::EngineAddress;
use self::api::{Api, Container, Network, Status, Volume};
use self::apply::Carrying;
use self::bounded::{Bounded, Timeouts};
use self::caches::Caches;
pub(super) use self::classification::meaning;
use self::client::Client;
use self::proxies::Proxies;
use self::recognition::{is_managed, is_name_of};
use self::spec::temporary_name;
use self::stopping::stop_and_remove;
use super::dialler::Dialler;
use super::swarm::api::SwarmApi;
use super::{
    Availability, ByHand, Capabilities, Carrier, Change, ChangeKind, CreatedContainer, Engine, EngineInfo,
    EngineResult, Exec, Finding, Freshness, HostFiles, Images, Logs, OwnVolume, Progress, RelayImages,
};
use crate::plan::instance::Instance;
use crate::plan::session::Session;
use crate::plan::sidecar::{LABEL_SIDECAR, LABEL_VOLUME, Sidecar};
use crate::plan::snapshot::{Found, Snapshot};
use crate::plan::{HarnessNetwork, NetworkPlan, SidecarPlan};
use crate::report::error::Problem;
use crate::report::shell::command_line;
use crate::system::leases::Leases;

/// A manager of a Swarm: as an engine, and as what speaks for the Swarm, over one connection.
///
/// # Errors
/// If the address or its certificates cannot be used.
pub(super) fn manager(address: &EngineAddress) -> EngineResult<(Arc<dyn Api>, Arc<dyn SwarmApi>)> {
    let client = Client::open(address).map_err(classification::explained)?;
    Ok((Arc::new(Bounded::new(client.clone(), Timeouts::default())), Arc::new(client)))
}

/// What Docker can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "docker",
    product: "Docker",
    images: true,
    image_files: false,
    programs: false,
    exec: Availability::Everywhere,
    logs: true,
    health: Availability::Everywhere,
    own_network: true,
    resolves_names: true,
    has_socket: true,
    host_files: HostFiles::All,
    volumes: Availability::Everywhere,
    nodes: false,
    sessions: true,
    keys: None,
};

/// A Docker engine.
pub struct Docker {
    api: Arc<dyn Api>,
    /// The connection beneath these calls, which learns from the answers whose they are; `None` if there is none.
    client: Option<Client>,
    /// Where it is, as caches tell engines apart.
    address: String,
    /// Whether it is reached over a socket of this host.
    local: bool,
    /// The folder of docker's client configuration, for credentials.
    config: PathBuf,
    /// What docker's client adds to the environment of each container.
    proxies: Proxies,
    /// The folder for what cannot change any more; `None` keeps nothing.
    cache: Option<PathBuf>,
    /// Which bridges, with which address, are this host's: asking reads every interface.
    bridges: Mutex<HashMap<(String, IpAddr), bool>>,
    /// The bridges of networks that were seen, by the names of the networks.
    networks: Mutex<HashMap<String, String>>,
    /// What the engine is, once it told: Docker starts two programs for the answer.
    told: OnceCell<EngineInfo>,
}

impl Docker {
    /// The engine at an address. Nothing is asked yet.
    ///
    /// # Errors
    /// If the address or its certificates cannot be used.
    pub fn open(address: &EngineAddress, cache: Option<PathBuf>) -> EngineResult<Self> {
        let client = Client::open(address).map_err(classification::explained)?;
        let api = Arc::new(Bounded::new(client.clone(), Timeouts::default()));
        let (proxies, local) = (Proxies::of(address), address.is_local());
        let (address, config) = (address.host.clone(), address.config.clone());
        Ok(Self { client: Some(client), address, config, proxies, cache, ..Self::over(api, local) })
    }

    /// An engine that answers these calls.
    #[must_use]
    pub fn over(api: Arc<dyn Api>, local: bool) -> Self {
        Self {
            api,
            client: None,
            address: String::new(),
            local,
            config: PathBuf::new(),
            proxies: Proxies::default(),
            cache: None,
            bridges: Mutex::default(),
            networks: Mutex::default(),
            told: OnceCell::new(),
        }
    }

    /// What the engine is, asked for at most once.
    async fn told(&self) -> EngineResult<&EngineInfo> {
        self.told.get_or_try_init(|| self.api.info()).await
    }

    fn note_network(&self, network: &Network) {
        let mut seen = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(network.name.clone(), network.bridge.clone());
    }

    /// The engine's id.
    async fn id(&self) -> EngineResult<&str> {
        self.told().await.map(|told| told.id.as_str())
    }

    /// This engine, which keeps below the folder what cannot change any more.
    #[must_use]
    pub fn keeping(self, cache: Option<PathBuf>) -> Self {
        Self { cache, ..self }
    }
}

#[async_trait]
impl Engine for Docker {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn product(&self) -> &'static str {
        if self.client.as_ref().is_some_and(Client::is_podman) { "Podman" } else { CAPABILITIES.product }
    }

    async fn info(&self) -> EngineResult<EngineInfo> {
        let info = self.api.info().await?;
        let _ = self.told.set(info.clone());
        Ok(info)
    }

    async fn observe(
        &self,
        wanted: &[Arc<Sidecar>],
        network: &HarnessNetwork,
        freshness: Freshness,
    ) -> EngineResult<Snapshot> {
        let cache = self.cache.as_deref();
        let caches = match freshness {
            Freshness::Cached => Caches::open(cache, &self.address),
            Freshness::Current => Caches::asking_anew(cache, &self.address),
        };
        let seen = look::look(self.api.as_ref(), wanted, network, &caches, self.local).await?;
        if let Some([only]) = seen.networks.get(&network.name).map(Vec::as_slice) {
            self.note_network(only);
        }
        Ok(comparison::snapshot(&seen, wanted, network, self.local))
    }

    /// Networks go by their names in everything that the engine says of containers.
    async fn network_name(&self, named: &str) -> EngineResult<String> {
        let may_be_id = named.bytes().all(|byte| byte.is_ascii_hexdigit());
        if may_be_id && let [found] = self.api.networks(named).await?.as_slice() {
            return Ok(found.name.clone());
        }
        Ok(named.to_owned())
    }

    async fn make_network(&self, plan: &NetworkPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        let made = networks::make(self.api.as_ref(), plan, carrier).await?;
        if let Some(network) = &made {
            self.note_network(network);
        }
        Ok(())
    }

    async fn fetch(&self, part: &SidecarPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        Carrying { docker: self, carrier, part, network: "" }.fetch().await
    }

    async fn carry_out(
        &self,
        part: &SidecarPlan,
        network: &str,
        carrier: &dyn Carrier,
    ) -> Result<(), Problem> {
        Carrying { docker: self, carrier, part, network }.run().await
    }

    async fn leave(&self, used: &[(Sidecar, String)], home: &str, leases: &Leases) -> EngineResult<()> {
        networks::leave(self, used, home, leases).await
    }

    async fn inspect(&self, instance: &str) -> EngineResult<Option<Instance>> {
        Ok(self.api.container(instance).await?.as_ref().map(Container::instance))
    }

    /// The listing tells of each container its connections, which are others after each start.
    async fn still_running(&self, runs: &[&Instance], network: &str) -> EngineResult<Vec<bool>> {
        let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        let listed = self.api.listed(&ids).await?;
        let goes_on = |run: &&Instance| {
            let listed = listed.iter().find(|listed| listed.id == run.id)?;
            let seen = run.networks.get(network).filter(|endpoint| !endpoint.id.is_empty())?;
            let (id, address) = listed.places.get(network)?;
            let is_there = *id == seen.id && *address == seen.address;
            Some(is_there && listed.status == Some(Status::Running) && !listed.is_unhealthy)
        };
        Ok(runs.iter().map(|run| goes_on(run).unwrap_or(false)).collect())
    }

    async fn changes(&self, since: &str) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
        let events = self.api.events(LABEL_SIDECAR, since).await?;
        let change = |event: api::EngineEvent| {
            let kind = match event.action.as_str() {
                "start" => ChangeKind::Started,
                "kill" => ChangeKind::Signalled,
                "oom" => ChangeKind::OutOfMemory,
                "die" | "destroy" => ChangeKind::Ended,
                _ => ChangeKind::Other,
            };
            Change { instance: event.container, kind, time: event.time }
        };
        Ok(events.map(move |event| event.map(change)).boxed())
    }

    /// The engine is local, and the very bridge of the container's network is an interface of this host with the gateway's
    /// address. That a connection succeeds would prove nothing: gateways and transparent proxies accept for addresses where
    /// nothing is. Nor would the address alone: all engines hand out the same ones.
    fn is_direct(&self, instance: &Instance, network: &str) -> bool {
        let Some(endpoint) = instance.networks.get(network) else { return false };
        let Some(gateway) = endpoint.gateway.filter(|_| self.local) else { return false };
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        // A container does not tell what its network's creator named it.
        let named = self.networks.lock().unwrap_or_else(PoisonError::into_inner).get(network).cloned();
        let bridge = (named.unwrap_or_else(|| endpoint.bridge.clone()), gateway);
        *bridges.entry(bridge).or_insert_with_key(|(name, gateway)| networks::is_of_this_host(name, *gateway))
    }

    fn is_away(&self, network: &str) -> bool {
        let seen = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(network).is_some_and(|bridge| !self.local || !networks::is_interface(bridge))
    }

    async fn relay(
        &self,
        network: &str,
        images: &RelayImages,
    ) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        // What a socket of this host leads to is this host, or a virtual machine on it.
        let architecture =
            async { Ok(if self.local { None } else { Some(self.told().await?.architecture.clone()) }) };
        let starting = relay::start(&self.api, network, images, architecture);
        join(relay::sweep(self.api.as_ref()), starting).await.1
    }

    async fn find(&self, sidecar: &Sidecar) -> EngineResult<Option<Found>> {
        let found = self.api.container(&sidecar.container).await?;
        let Some(container) = found.filter(|container| sidecar.owns(&container.labels)) else {
            return Ok(None);
        };
        let reference = sidecar.image.as_str();
        let image = self.api.image(reference).await?;
        let images = image.map(|image| (reference.to_owned(), image)).into_iter().collect();
        Ok(Some(comparison::compare(sidecar, &container, &images)))
    }

    async fn inventory(&self, declared: &[Arc<Sidecar>]) -> EngineResult<Vec<(Found, Option<Arc<Sidecar>>)>> {
        let listed = self.api.labelled(LABEL_SIDECAR).await?;
        let found = try_join_all(listed.iter().map(async |listed| {
            let Some(container) = self.api.container(&listed.name).await? else { return Ok(None) };
            let image = self.api.image(&container.image_id).await?;
            Ok(is_managed(&container, image.as_ref()).then_some((container, image)))
        }));
        let (mut images, mut containers) = (BTreeMap::new(), Vec::new());
        for (container, image) in found.await?.into_iter().flatten() {
            images.extend(image.map(|image| (container.image_id.clone(), image)));
            containers.push(container);
        }
        let references = declared.iter().map(|sidecar| sidecar.image.as_str());
        let tagged = try_join_all(references.map(async |reference| {
            Ok(self.api.image(reference).await?.map(|image| (reference.to_owned(), image)))
        }));
        images.extend(tagged.await?.into_iter().flatten());
        let of = |container: &Container| {
            declared
                .iter()
                .find(|sidecar| sidecar.container == container.name && sidecar.owns(&container.labels))
        };
        let each = containers.iter().map(|container| match of(container) {
            Some(sidecar) => (comparison::compare(sidecar, container, &images), Some(Arc::clone(sidecar))),
            None => (Found { instance: container.instance(), ..Found::default() }, None),
        });
        Ok(each.collect())
    }

    async fn remove(
        &self,
        sidecar: &str,
        instance: &Instance,
        tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
    ) -> EngineResult<bool> {
        let now = self.api.container(&instance.name).await?;
        if now.is_some_and(|now| now.id != instance.id) {
            return Ok(false);
        }
        if instance.is_up() {
            tell(Progress::Stopping { sidecar, instance: &instance.id, grace: instance.grace });
        }
        stop_and_remove(self.api.as_ref(), instance).await?;
        if let Some(beside) = self.api.container(&temporary_name(&instance.name)).await?
            && beside.status == Status::Created
            && beside.labels.get(LABEL_SIDECAR).is_some_and(|name| name == sidecar)
        {
            // It was never started: volumes that nothing else had before are empty.
            self.api.remove(&beside.id, true).await?;
        }
        Ok(true)
    }

    async fn volumes(&self) -> EngineResult<Vec<OwnVolume>> {
        let found = self.api.volumes(LABEL_VOLUME).await?;
        // A volume that somebody gave our label has another name.
        let is_own = |volume: &Volume| {
            let of = volume.labels.get(LABEL_VOLUME).zip(volume.labels.get(LABEL_SIDECAR));
            let session = Session::of(&volume.labels);
            of.is_some_and(|(container, sidecar)| {
                is_name_of(sidecar, container, session.as_ref())
                    && volume.name.starts_with(&format!("{container}_"))
            })
        };
        let own = found.into_iter().filter(is_own);
        Ok(own.map(|volume| OwnVolume { name: volume.name, labels: volume.labels, lies_on: None }).collect())
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        self.api.remove_volume(name).await
    }

    async fn own_networks(&self) -> EngineResult<Vec<String>> {
        networks::own(self.api.as_ref()).await
    }

    async fn remove_network(&self, name: &str) -> EngineResult<bool> {
        networks::remove_unused(self.api.as_ref(), name).await
    }

    async fn sessions(&self) -> EngineResult<BTreeSet<Session>> {
        let (instances, volumes, networks) =
            try_join3(self.inventory(&[]), self.volumes(), sessions::of_networks(self.api.as_ref())).await?;
        let labels = instances.iter().map(|(found, _)| &found.instance.labels);
        let labelled = labels.chain(volumes.iter().map(|volume| &volume.labels)).filter_map(Session::of);
        Ok(labelled.chain(networks).collect())
    }

    async fn remove_session_network(&self, session: &Session, leases: &Leases) -> EngineResult<bool> {
        sessions::remove_network(self, session, leases).await
    }

    async fn created(&self, since: &str, until: &str) -> EngineResult<Vec<CreatedContainer>> {
        self.api.created(since, until).await
    }

    async fn examine(&self) -> Vec<(&'static str, EngineResult<Finding>)> {
        examine::examine(self.api.as_ref(), self.local).await
    }

    fn by_hand(&self, what: ByHand<'_>) -> Option<String> {
        let command =
            |words: &[&str], operands: &[&str]| command_line(&[&["docker"], words].concat(), operands, &[]);
        Some(match what {
            ByHand::SeeEngine => command(&["info"], &[]),
            ByHand::Inspect(name) => command(&["inspect"], &[name]),
            ByHand::Resume(name) => command(&["unpause"], &[name]),
            ByHand::RemoveVolumes(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                command(&["volume", "rm"], &names)
            }
        })
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

/// What tests of the table of keys compare with.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::comparison::compare;
    pub(crate) use super::spec::container_spec;
}
