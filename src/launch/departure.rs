//! Leaving networks that harnesses named. Its sidecars join it for the harness, and would keep it from being removed,
//! as by `docker compose down` of the project that it belongs to; so they leave it when no launch uses them there. A
//! sidecar that is on no other network goes to farrier's own: it may have work to do that needs one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::engine::{Container, Engine, EngineResult};
use crate::plan::sidecar::{LABEL_NETWORK, Sidecar};
use crate::report::error::Problem;
use crate::system::digest::sha256_hex;
use crate::system::lock::{InUse, LockFolder};

/// How long leaving may take: somebody waits for the harness's exit code.
const PATIENCE: Duration = Duration::from_secs(10);

/// Marks a launch's sidecars as used on its network.
pub struct Departure {
    engine: Arc<dyn Engine>,
    locks: LockFolder,
    home: String,
    marks: Vec<InUse>,
    sidecars: Vec<Sidecar>,
}

impl Departure {
    /// Marks them. Their locks must be held, so that no other launch takes them off the network meanwhile.
    ///
    /// # Errors
    /// When a mark cannot be written.
    pub fn begin<'a>(
        engine: &Arc<dyn Engine>,
        locks: &LockFolder,
        (network, home): (&str, &str),
        harness: &str,
        sidecars: impl Iterator<Item = &'a Sidecar>,
    ) -> Result<Self, Problem> {
        let mut departure = Self {
            engine: Arc::clone(engine),
            locks: locks.clone(),
            home: home.to_owned(),
            marks: Vec::new(),
            sidecars: Vec::new(),
        };
        for sidecar in sidecars {
            let use_name = use_of(&sidecar.container, network);
            departure.marks.push(locks.mark_in_use(&use_name, harness)?);
            departure.sidecars.push(sidecar.clone());
        }
        Ok(departure)
    }

    /// Takes the sidecars off the networks that only launches like this one needed, and that no launch needs any more:
    /// also those of launches that were killed, or whose harness was detached. What goes wrong is left to the next launch.
    pub async fn leave(mut self) {
        // Of launches that end at once, the last one must see that nobody is left.
        self.marks.clear();
        let all = join_all(self.sidecars.iter().map(|sidecar| self.one(sidecar)));
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::debug!("leaving the harness's network took too long");
        }
    }

    async fn one(&self, sidecar: &Sidecar) {
        let left = async {
            // For a moment only, and the harness's output is not ours to write into.
            let Ok(_held) = self.locks.lock(&sidecar.container, |_| ()).await else { return Ok(()) };
            self.leave_unused(sidecar).await
        };
        if let Err(error) = left.await {
            tracing::debug!("{} cannot leave the harness's network: {error}", sidecar.container);
        }
    }

    async fn leave_unused(&self, sidecar: &Sidecar) -> EngineResult<()> {
        let found = self.engine.container(&sidecar.container).await?;
        // Its name may be another one's by now.
        let Some(container) = found.filter(|found| sidecar.owns(&found.labels)) else { return Ok(()) };
        let mut unused = Vec::new();
        for network in joined(sidecar, &container).into_iter().filter(|network| **network != self.home) {
            let is_used = !self.locks.holders(&use_of(&sidecar.container, network)).is_empty();
            if !is_used && !self.is_own(network).await? {
                unused.push(network);
            }
        }
        if !unused.is_empty() && unused.len() == container.networks.len() {
            self.go_home(&container).await?;
        }
        for network in unused {
            self.engine.disconnect(network, &container.id).await?;
        }
        Ok(())
    }

    /// Puts a container on farrier's own network, without names: nobody asks for it there before the next launch.
    async fn go_home(&self, container: &Container) -> EngineResult<()> {
        let Ok(_held) = self.locks.lock_network(&self.home, |_| ()).await else { return Ok(()) };
        if self.engine.networks(&self.home).await?.is_empty() {
            let labels = BTreeMap::from([(LABEL_NETWORK.to_owned(), "1".to_owned())]);
            self.engine.create_network(&self.home, &labels).await?;
        }
        self.engine.connect(&self.home, &container.id, &[]).await
    }

    async fn is_own(&self, network: &str) -> EngineResult<bool> {
        let found = self.engine.networks(network).await?;
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
