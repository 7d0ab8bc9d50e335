//! Leaving networks that harnesses named. Its sidecars join it for the harness, and would keep it from being removed,
//! as by `docker compose down` of the project that it belongs to; so they leave it when no launch uses them there. A
//! sidecar that is on no other network goes to farrier's own: it may have work to do that needs one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::connection::Connection;
use crate::engine::{Container, EngineResult};
use crate::plan::sidecar::{LABEL_NETWORK, Sidecar};
use crate::plan::snapshot;
use crate::report::error::Problem;
use crate::system::digest::sha256_hex;
use crate::system::leases::{InUse, Leases};
use crate::system::lock::LockFolder;

/// How long leaving may take: somebody waits for the harness's exit code.
const PATIENCE: Duration = Duration::from_secs(10);

/// The containers that a launch uses, and its network, on which it uses them. They are no longer marked when this is
/// dropped.
pub struct Departure {
    connection: Arc<Connection>,
    leases: Leases,
    network: String,
    home: String,
    used: Mutex<Vec<Used>>,
}

struct Used {
    sidecar: Sidecar,
    /// Its container's id.
    container: String,
    /// On the network, and at all.
    marks: [InUse; 2],
}

impl Departure {
    /// Of a launch whose harness meets its sidecars on `network`; farrier's own network is `home`.
    #[must_use]
    pub const fn new(connection: Arc<Connection>, leases: Leases, network: String, home: String) -> Self {
        Self { connection, leases, network, home, used: Mutex::new(Vec::new()) }
    }

    /// Marks the container of a sidecar as used, on the network too. It must be this launch's own alone: just made, or
    /// claimed.
    ///
    /// # Errors
    /// If a mark cannot be written.
    pub fn mark(&self, sidecar: &Sidecar, container: &str) -> Result<(), Problem> {
        let on_network = self.leases.mark(&use_of(container, &self.network))?;
        self.keep(sidecar, container, [on_network, self.leases.mark(container)?]);
        Ok(())
    }

    /// Marks the container of a sidecar as used, on the network too; false if another command is about to change it.
    ///
    /// # Errors
    /// If a mark cannot be written.
    pub fn share(&self, sidecar: &Sidecar, container: &str) -> Result<bool, Problem> {
        // Before the one that a claim is looked for after.
        let on_network = self.leases.mark(&use_of(container, &self.network))?;
        let Some(shared) = self.leases.share(container)? else { return Ok(false) };
        self.keep(sidecar, container, [on_network, shared]);
        Ok(true)
    }

    /// The ids of a container, and of those that it was put in the place of, that other launches use.
    #[must_use]
    pub fn used_by_others(&self, container: &Container) -> Vec<String> {
        let used = self.leases.holders_of(snapshot::ids(container)).into_iter();
        used.filter(|(_, holders)| !holders.is_empty()).map(|(id, _)| id).collect()
    }

    fn keep(&self, sidecar: &Sidecar, container: &str, marks: [InUse; 2]) {
        let used = Used { sidecar: sidecar.clone(), container: container.to_owned(), marks };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(used);
    }

    /// Takes the sidecars off the networks that only launches like this one needed, and that no launch needs any more:
    /// also those of launches that were killed, or whose harness was detached. What goes wrong is left to the next launch.
    pub async fn leave(self) {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        let (marks, sidecars): (Vec<[InUse; 2]>, Vec<(Sidecar, String)>) =
            used.into_iter().map(|used| (used.marks, (used.sidecar, used.container))).unzip();
        // Of launches that end at once, the last one must see that nobody is left.
        drop(marks);
        let all = join_all(sidecars.iter().map(|(sidecar, container)| self.one(sidecar, container)));
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::debug!("leaving the harness's network took too long");
        }
    }

    async fn one(&self, sidecar: &Sidecar, container: &str) {
        let left = async {
            // Most are on farrier's own network alone, and a claim would be in the way of launches that begin.
            if self.unused(sidecar, container).await?.is_none() {
                return Ok(());
            }
            // For a moment only, and the harness's output is not ours to write into.
            let Ok(_claim) = self.leases.claim(container, |_| ()).await else { return Ok(()) };
            self.leave_unused(sidecar, container).await
        };
        if let Err(error) = left.await {
            tracing::debug!("{} cannot leave the harness's network: {error}", sidecar.container);
        }
    }

    /// The container, with the networks that it is on and that no launch uses it on; `None` if there are none.
    async fn unused(
        &self,
        sidecar: &Sidecar,
        container: &str,
    ) -> EngineResult<Option<(Container, Vec<String>)>> {
        let Some(found) = self.connection.engine.container(container).await? else { return Ok(None) };
        let mut unused = Vec::new();
        for network in joined(sidecar, &found).into_iter().filter(|network| **network != self.home) {
            let is_used = !self.leases.holders(&use_of(container, network)).is_empty();
            if !is_used && !self.is_own(network).await? {
                unused.push(network.clone());
            }
        }
        Ok((!unused.is_empty()).then_some((found, unused)))
    }

    async fn leave_unused(&self, sidecar: &Sidecar, container: &str) -> EngineResult<()> {
        let Some((found, unused)) = self.unused(sidecar, container).await? else { return Ok(()) };
        if unused.len() == found.networks.len() {
            self.go_home(&found).await?;
        }
        for network in unused {
            self.connection.engine.disconnect(&network, container).await?;
        }
        Ok(())
    }

    /// Puts a container on farrier's own network, without names: nobody asks for it there before the next launch.
    async fn go_home(&self, container: &Container) -> EngineResult<()> {
        let engine = &self.connection.engine;
        let Ok(locks) = self.locks().await else { return Ok(()) };
        let Ok(_held) = locks.lock_network(&self.home, |_| ()).await else { return Ok(()) };
        if engine.networks(&self.home).await?.is_empty() {
            let labels = BTreeMap::from([(LABEL_NETWORK.to_owned(), "1".to_owned())]);
            engine.create_network(&self.home, &labels).await?;
        }
        engine.connect(&self.home, &container.id, &[]).await
    }

    async fn locks(&self) -> Result<LockFolder, Problem> {
        LockFolder::open(&self.connection.info().await?.id)
    }

    async fn is_own(&self, network: &str) -> EngineResult<bool> {
        let found = self.connection.engine.networks(network).await?;
        Ok(found.iter().any(|network| network.labels.contains_key(LABEL_NETWORK)))
    }
}

/// The networks that a launch put it on: one that somebody connected by hand lacks its names there.
fn joined<'a>(sidecar: &Sidecar, container: &'a Container) -> Vec<&'a String> {
    let (declared, aliases) = (&sidecar.definition.container.networks, sidecar.definition.aliases());
    let is_named =
        |found: &[String]| !aliases.is_empty() && aliases.iter().all(|alias| found.contains(alias));
    let networks = container.networks.iter().filter(|(name, endpoint)| {
        !declared.contains(name) && (container.network_mode == **name || is_named(&endpoint.aliases))
    });
    networks.map(|(name, _)| name).collect()
}

/// The name under which the use of a sidecar on a network is marked. No container's can be the same.
fn use_of(container: &str, network: &str) -> String {
    format!("{container}+{}", &sha256_hex(network)[..16])
}
