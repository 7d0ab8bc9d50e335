//! Docker Swarm, through one of its managers, which is also a Docker engine: over the same connection, and with the same relay.
//!
//! A sidecar is a service of one replica; its run is the service's newest task, wherever that runs. `api` is what a
//! Swarm can be asked, `answers` what it says, `docker/client/swarm` asks a real one. `instance`, `comparison`, `spec`,
//! `starting` and `others` decide nothing that costs a call; `apply` carries out and `waiting` waits for the task, `removing`
//! ends a service, `files` and `volumes` are what it mounts, `marks` say who uses it, `changes` looks again and again.

pub mod answers;
pub mod api;
mod apply;
mod capabilities;
mod changes;
mod comparison;
mod delay;
#[cfg(test)]
mod fake;
mod files;
mod instance;
mod look;
mod marks;
mod networks;
mod others;
mod own_node;
mod removing;
mod spec;
mod starting;
mod volumes;
mod waiting;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::try_join;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use self::api::{SwarmApi, Task};
use self::apply::Carrying;
pub use self::capabilities::CAPABILITIES;
use self::instance::service_of;
use self::look::{look, look_at};
use self::marks::Newest;
use super::dialler::Dialler;
use super::docker::Docker;
use super::docker::address::EngineAddress;
use super::docker::api::Api;
use super::registry::credentials;
use super::{
    ByHand, Capabilities, Carrier, Change, Engine, EngineInfo, EngineResult, Exec, Finding, Freshness,
    Images, Intent, Logs, OutputRequest, OwnVolume, PresentImage, Progress, RelayImages, Use, Written,
};
use crate::plan::instance::Instance;
use crate::plan::session::Session;
use crate::plan::sidecar::{LABEL_SIDECAR, Sidecar};
use crate::plan::snapshot::{Found, Snapshot};
use crate::plan::{HarnessNetwork, NetworkPlan, SidecarPlan};
use crate::report::error::Problem;
use crate::report::shell::command_line;
use crate::system::private_files::private_folder;

/// How the names of farrier's own networks begin: other networks than those of the engine `docker`, which may be this manager.
pub const NETWORK: &str = "farrier-swarm";
/// The name of the file that says that there may be services on a Swarm: commands then look there, too.
pub const IN_USE: &str = "swarm-in-use";
/// The pause before a relay is started again that met its network being taken down.
const RELAY_PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked at whether a task has ended whose output is followed, and how long its last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A Swarm.
pub struct Swarm {
    api: Arc<dyn SwarmApi>,
    /// The manager as an engine: images and containers of its own node.
    manager: Docker,
    containers: Arc<dyn Api>,
    /// The folder of docker's client configuration, for credentials.
    config: PathBuf,
    /// Where it is noted that there are services; `None` if there is no home.
    in_use: Option<PathBuf>,
    /// What this command has told other machines.
    mark: Newest,
    /// The id of the manager's own node, once it told.
    own_node: OnceCell<String>,
    /// Whether this command has looked at it.
    is_looked_at: AtomicBool,
    /// The services in which probes of this command execute something.
    executed_in: Mutex<BTreeSet<String>>,
}

impl Swarm {
    /// The Swarm whose manager is at an address. Nothing is asked yet.
    ///
    /// # Errors
    /// If the address or its certificates cannot be used.
    pub fn open(address: &EngineAddress, in_use: Option<PathBuf>) -> EngineResult<Self> {
        let (containers, api) = super::docker::manager(address)?;
        let manager = Docker::over(Arc::clone(&containers), address.is_local());
        Ok(Self {
            api,
            manager,
            containers,
            config: address.config.clone(),
            in_use,
            mark: Newest::default(),
            own_node: OnceCell::new(),
            is_looked_at: AtomicBool::default(),
            executed_in: Mutex::default(),
        })
    }

    /// Notes that there is a service, for commands that name no engine. What goes wrong costs them `--engine swarm`.
    fn note_use(&self) {
        let Some(path) = self.in_use.as_ref().filter(|path| !path.exists()) else { return };
        let noted = path.parent().map_or(Ok(()), private_folder).and_then(|()| std::fs::write(path, ""));
        if let Err(error) = noted {
            tracing::debug!("{} cannot be written: {error}", path.display());
        }
    }
}

#[async_trait]
impl Engine for Swarm {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn info(&self) -> EngineResult<EngineInfo> {
        Ok(self.api.swarm().await?.engine)
    }

    async fn observe(
        &self,
        wanted: &[Arc<Sidecar>],
        network: &HarnessNetwork,
        _: Freshness,
    ) -> EngineResult<Snapshot> {
        let executed_in = wanted.iter().filter(|sidecar| sidecar.is_executed_in);
        self.executed_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(executed_in.map(|sidecar| sidecar.container.clone()));
        let mut seen = look(self.api.as_ref(), self.mark.get()).await?;
        self.is_looked_at.store(true, Ordering::Relaxed);
        if wanted.iter().any(|sidecar| comparison::needs_its_node(sidecar)) {
            let (nodes, manager) = try_join(self.api.nodes(), self.api.swarm()).await?;
            seen.volumes = volumes::here(self.containers.as_ref(), wanted, &nodes, &manager.node).await?;
            (seen.nodes, seen.own_node) = (nodes, manager.node);
        }
        Ok(comparison::snapshot(&seen, wanted, network))
    }

    async fn network_name(&self, named: &str) -> EngineResult<String> {
        self.manager.network_name(named).await
    }

    async fn make_network(&self, plan: &NetworkPlan, carrier: &dyn Carrier) -> Result<(), Problem> {
        networks::make(self.api.as_ref(), plan, carrier).await
    }

    async fn carry_out(
        &self,
        part: &SidecarPlan,
        network: &str,
        carrier: &dyn Carrier,
    ) -> Result<(), Problem> {
        Carrying { swarm: self, carrier, part, network }.run().await
    }

    async fn inspect(&self, instance: &str) -> EngineResult<Option<Instance>> {
        let Some((service, seen)) = look_at(self.api.as_ref(), instance).await? else { return Ok(None) };
        let found = seen.instance(&service);
        let is_needed =
            self.executed_in.lock().unwrap_or_else(PoisonError::into_inner).contains(&service.name);
        if !is_needed {
            return Ok(Some(found));
        }
        own_node::with_health(self, found, &service, &seen).await.map(Some)
    }

    async fn still_running(&self, runs: &[&Instance], network: &str) -> EngineResult<Vec<bool>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = self.api.tasks(LABEL_SIDECAR).await?;
        Ok(runs.iter().map(|run| instance::goes_on(run, &tasks, network)).collect())
    }

    async fn changes(&self, since: &str) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
        changes::changes(Arc::clone(&self.api), moment(since)).await
    }

    /// A task's address is one of a network between nodes, on which no host is.
    fn is_direct(&self, _: &Instance, _: &str) -> bool {
        false
    }

    /// What joins a network that is about to be removed keeps a part of it on the manager's node, which is of no use to services.
    fn is_away(&self, _: &str) -> bool {
        self.is_looked_at.load(Ordering::Relaxed)
    }

    /// A container of the manager's own. An image that is named for it the manager may not have yet: other nodes run the tasks.
    async fn relay(
        &self,
        network: &str,
        images: &RelayImages,
    ) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        if let Some(image) = &images.named
            && self.containers.image(image).await?.is_none()
        {
            let credentials = credentials(&self.config, image).await;
            if let Err(error) = self.containers.pull(image, None, credentials, &|_| ()).await {
                tracing::debug!("the manager cannot pull {image} for a relay: {error}");
            }
        }
        let begun = Instant::now();
        loop {
            match self.manager.relay(network, images).await? {
                Ok(dialler) => return Ok(Ok(dialler)),
                // The manager takes a network down when the last container there ends, also while the next one joins it.
                Err(why) if networks::says_gone(&why) && begun.elapsed() < networks::TAKING_DOWN => {
                    tokio::time::sleep(RELAY_PAUSE).await;
                }
                Err(why) => return Ok(Err(why)),
            }
        }
    }

    async fn begin_use(&self, intent: Intent<'_>, command: &str) -> EngineResult<Option<Box<dyn Use>>> {
        if matches!(intent, Intent::Use(..)) {
            // Also if it only reuses a service: other commands then find that one.
            self.note_use();
        }
        marks::begin(&self.api, &self.mark, intent, command).await.map(Some)
    }

    async fn find(&self, sidecar: &Sidecar) -> EngineResult<Option<Found>> {
        let found = look_at(self.api.as_ref(), &sidecar.container).await?;
        let found = found.filter(|(service, _)| sidecar.owns(&service.labels));
        Ok(found.map(|(service, seen)| comparison::compare(&seen, sidecar, &service)))
    }

    async fn inventory(&self, declared: &[Arc<Sidecar>]) -> EngineResult<Vec<(Found, Option<Arc<Sidecar>>)>> {
        let seen = look(self.api.as_ref(), self.mark.get()).await?;
        let managed = seen.services.iter().filter(|service| comparison::is_managed(service));
        let each = managed.map(|service| {
            let is_its =
                |sidecar: &&Arc<Sidecar>| sidecar.container == service.name && sidecar.owns(&service.labels);
            if let Some(sidecar) = declared.iter().find(is_its) {
                return (comparison::compare(&seen, sidecar, service), Some(Arc::clone(sidecar)));
            }
            let (instance, elsewhere) = (seen.instance(service), seen.elsewhere(service));
            (Found { instance, elsewhere, ..Found::default() }, None)
        });
        Ok(each.collect())
    }

    async fn remove(
        &self,
        sidecar: &str,
        instance: &Instance,
        tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
    ) -> EngineResult<bool> {
        removing::remove(self.api.as_ref(), sidecar, instance, tell).await
    }

    async fn sweep(&self) {
        let swept = async {
            let (now, _) = self.api.marks().await?;
            files::sweep_left(self.api.as_ref(), now).await
        };
        if let Err(error) = swept.await {
            tracing::debug!("files of services that are gone stay: {error}");
        }
    }

    async fn still_ending(&self, instance: &Instance) -> EngineResult<Option<String>> {
        removing::still_ending(self.api.as_ref(), service_of(&instance.id)).await
    }

    async fn volumes(&self) -> EngineResult<Vec<OwnVolume>> {
        volumes::all(self.api.as_ref(), self.containers.as_ref()).await
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        volumes::remove(self.containers.as_ref(), name).await
    }

    /// None begins here.
    async fn sessions(&self) -> EngineResult<BTreeSet<Session>> {
        Ok(BTreeSet::new())
    }

    async fn own_networks(&self) -> EngineResult<Vec<String>> {
        networks::own(self.api.as_ref()).await
    }

    async fn remove_network(&self, name: &str) -> EngineResult<bool> {
        networks::remove_unused(self.api.as_ref(), self.containers.as_ref(), name).await
    }

    async fn examine(&self) -> Vec<(&'static str, EngineResult<Finding>)> {
        let nodes = async {
            let nodes = self.api.nodes().await?;
            let ready = nodes.iter().filter(|node| node.is_ready).count();
            let lost =
                (ready < nodes.len()).then_some("See which nodes do not answer with `docker node ls`.");
            Ok(Finding { text: format!("{ready} of {} nodes answer", nodes.len()), way_out: lost })
        };
        vec![("nodes", nodes.await)]
    }

    fn by_hand(&self, what: ByHand<'_>) -> Option<String> {
        match what {
            ByHand::SeeEngine => Some("docker node ls".to_owned()),
            ByHand::Inspect(name) => {
                Some(command_line(&["docker", "service", "ps", "--no-trunc"], &[name], &[]))
            }
            ByHand::Resume(_) | ByHand::RemoveVolumes(_) => None,
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

/// The manager's images: what a reference means on other nodes is their business.
#[async_trait]
impl Images for Swarm {
    async fn present(&self, reference: &str) -> EngineResult<Option<PresentImage>> {
        self.manager.present(reference).await
    }
}

#[async_trait]
impl Logs for Swarm {
    async fn logs(&self, instance: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        let tasks = self.api.tasks(LABEL_SIDECAR).await?;
        let mut all = Vec::new();
        for task in instance::writing(instance, &tasks, since) {
            all.extend(self.api.lines(&task.id, since, lines).await?);
        }
        Ok(all.split_off(all.len().saturating_sub(lines)))
    }

    async fn output(
        &self,
        instance: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>> {
        let tasks = self.api.tasks(LABEL_SIDECAR).await?;
        let mut all = futures_util::stream::empty().boxed();
        for task in instance::writing(instance, &tasks, &request.since) {
            // Of one that has ended there is nothing more to come, and the Swarm would not say so.
            let follow = request.follow && !task.state.has_ended();
            let stream = self.api.output(&task.id, &OutputRequest { follow, ..request.clone() }).await?;
            all = if follow {
                all.chain(stream.take_until(ended(Arc::clone(&self.api), task.id.clone()))).boxed()
            } else {
                all.chain(stream).boxed()
            };
        }
        Ok(all)
    }
}

/// Waits until a task has ended, and its last words had the time to arrive.
async fn ended(api: Arc<dyn SwarmApi>, task: String) {
    let goes_on = |tasks: Vec<Task>| tasks.iter().any(|found| found.id == task && !found.state.has_ended());
    loop {
        tokio::time::sleep(LAST_WORDS).await;
        // A manager that does not answer may answer again.
        if api.tasks(LABEL_SIDECAR).await.is_ok_and(|tasks| !goes_on(tasks)) {
            return tokio::time::sleep(LAST_WORDS).await;
        }
    }
}

/// A moment as an engine tells it: seconds and nanoseconds since 1970.
fn moment(text: &str) -> Timestamp {
    let (seconds, nanoseconds) = text.split_once('.').unwrap_or((text, "0"));
    let parsed = seconds.parse().ok().zip(nanoseconds.parse().ok());
    parsed.and_then(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).ok()).unwrap_or_default()
}
