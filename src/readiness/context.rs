//! What a probe may do at one poll: its definition's grants, with the addresses that they mean now.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::definition::grants::{DialGrant, Grants};
use crate::engine::Engine;
use crate::engine::dialler::Sockets;
use crate::plan::instance::{Instance, Status};
use crate::plan::sidecar::Sidecar;
use crate::probe::context::{ProbeContext, Subject, Targets};
use crate::probe::memory::Memory;
use crate::probe::numbered_log::NumberedLog;
use crate::probe::private_copies::PrivateCopies;
use crate::probe::tls::Handshakes;

use super::look::find;
use super::wait::{Condition, Waits};

/// How long another sidecar's address counts as known, as long as a wait goes without a look at its own.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// The same where it has none yet.
const UNKNOWN_FOR: Duration = Duration::from_millis(100);

/// The launch's sidecars, as far as probes of other sidecars may dial them. Addresses come from looking at the
/// containers, never from DNS.
#[derive(Debug, Default)]
pub struct Neighbours {
    containers: BTreeMap<String, String>,
    known: Mutex<BTreeMap<String, (Instant, Option<IpAddr>)>>,
}

impl Neighbours {
    /// From the launch's sidecars.
    pub fn of<'a>(sidecars: impl Iterator<Item = &'a Sidecar>) -> Self {
        let name = |sidecar: &Sidecar| (sidecar.name().to_owned(), sidecar.container.clone());
        Self { containers: sidecars.map(name).collect(), known: Mutex::default() }
    }

    /// Where a sidecar is on the network; none while it does not run.
    async fn address(&self, engine: &dyn Engine, network: &str, name: &str, anew: bool) -> Option<IpAddr> {
        let mut known = self.known.lock().await;
        if let Some((looked_at, address)) = known.get(name) {
            let lasts = if address.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
            if !anew && looked_at.elapsed() < lasts {
                return *address;
            }
        }
        let found = find(engine, self.containers.get(name)?).await.ok().flatten();
        let running = found.filter(|container| container.status == Status::Running);
        let address = running.and_then(|container| container.address(network));
        known.insert(name.to_owned(), (Instant::now(), address));
        address
    }
}

impl Waits {
    /// The places that these grants mean now. `anew` looks at the other sidecars whatever is known of them.
    pub(super) async fn targets(
        &self,
        sidecar: &Sidecar,
        container: &Instance,
        grants: &Grants,
        anew: bool,
    ) -> Targets {
        let own = container.address(&self.network);
        let mut targets = Targets::default();
        for dial in &grants.dial {
            let (name, port, address) = match dial {
                DialGrant::This(port) => {
                    let Some(port) = port.or_else(|| sidecar.definition.port()) else { continue };
                    (sidecar.name(), port, own)
                }
                DialGrant::Sidecar { name, port } => {
                    let found = self.neighbours.address(self.engine.as_ref(), &self.network, name, anew);
                    (name.as_str(), *port, found.await)
                }
            };
            let place = address.map(|address| SocketAddr::new(address, port));
            targets.0.insert((name.to_owned(), port), place);
        }
        targets
    }

    /// Everything that one poll of a condition may do.
    pub(super) async fn probe_context(
        &self,
        sidecar: &Sidecar,
        condition: &Condition,
        container: &Instance,
        way: &ProbeRoute,
    ) -> ProbeContext {
        let granted = &condition.found.granted;
        let grants = &granted.grants;
        let values =
            grants.env.iter().filter_map(|name| sidecar.definition.container.env.get_key_value(name));
        ProbeContext {
            grants: Arc::clone(&condition.found.declared.grants),
            targets: self.targets(sidecar, container, grants, false).await,
            tls: granted.tls.clone().map(|tls| tls as Arc<dyn Handshakes>),
            dialler: way.dialler.clone(),
            sockets: way.sockets,
            subject: Some(Subject {
                engine: Arc::clone(&self.engine),
                instance: container.id.clone(),
                log_start: container.log_start(),
                log: Arc::clone(&way.log),
                executions: Arc::clone(&self.executions),
            }),
            commands: grants.exec.clone(),
            declared: condition.readiness.command.clone(),
            environment: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
            folders: way.folders.clone(),
            memory: way.memory.clone(),
            ..ProbeContext::default()
        }
    }
}

/// What stays the same for all polls of one run of a container.
#[derive(Clone, Default)]
pub(super) struct ProbeRoute {
    /// How connections are made.
    pub dialler: Option<Arc<dyn crate::engine::dialler::Dialler>>,
    /// Whether the guest's own sockets lead to the container too.
    pub sockets: Sockets,
    /// Copies of granted folders.
    pub folders: Option<Arc<PrivateCopies>>,
    /// The lines of the run.
    pub log: Arc<NumberedLog>,
    /// What the probe remembers.
    pub memory: Memory,
}
