//! The way of a harness on this host to sidecars that this host has no route to: a local port for each of their ports, whose
//! connections the relay carries while the harness runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::dialler::{self, ByteStream, DialError};
use crate::engine::limited::within;
use crate::engine::problem::engine_problem;
use crate::event::Event;
use crate::event::failure::cause::LET_NODES_MEET;
use crate::plan::instance::Instance;
use crate::plan::sidecar::LABEL_SIDECAR;
use crate::readiness::route::Route;
use crate::report::error::{Code, Problem};
use crate::system::process_limits::raise_open_files;

/// The address at which a harness reaches forwarded ports.
pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a sidecar may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long packets may take to find the way to a sidecar on another node. Nodes tell each other of new endpoints at once, and
/// compare what they know every 30 s in case that was lost (libnetwork's `networkdb`).
const FINDING: Duration = Duration::from_secs(60);
/// How long one attempt to connect may take, or the engine's answer, before somebody asks where the sidecar is now: the kernel sends
/// its packet again after a second.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long the way may be looked for without a word.
const SILENT: Duration = Duration::from_secs(5);
/// The pause after each attempt.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the engine is asked at most where a sidecar is now.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// The pause if no further connection can be accepted.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A sidecar that this host has no route to.
pub struct Distant {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub ports: Vec<u16>,
    /// The way to it.
    pub route: Arc<Route>,
    /// What runs, which has other addresses if it is started again.
    now: Mutex<Arc<Instance>>,
    /// When the engine was last asked where it is.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Distant {
    /// This instance, which was ready.
    pub fn new(name: String, instance: Instance, ports: Vec<u16>, route: Arc<Route>) -> Self {
        Self { name, ports, route, now: Mutex::new(Arc::new(instance)), asked: tokio::sync::Mutex::default() }
    }

    fn now(&self) -> Arc<Instance> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its address on the network where the relay is. Which of its addresses accepts is decided for each connection.
    fn address(&self, instance: &Instance) -> Option<IpAddr> {
        instance.told_address(&self.route.network)
    }

    /// Connects to this instance of it. A relay that ended is replaced.
    async fn dial(
        &self,
        instance: &Instance,
        port: u16,
        limit: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let other = |text: &str| DialError::Other(text.to_owned());
        let address = self.address(instance).ok_or_else(|| other("it has no address"))?;
        let relay =
            self.route.dialler(instance).await.map_err(|error| DialError::Other(error.to_string()))?;
        let relay = relay.ok_or_else(|| other("there is no relay"))?;
        relay.connect(SocketAddr::from((address, port)), limit).await
    }

    /// Whether this run goes on, as far as the engine tells.
    async fn goes_on(&self, instance: &Instance) -> bool {
        let told = within(ATTEMPT, self.route.engine.still_running(&[instance], &self.route.network)).await;
        told.map_or(true, |told| told != [false])
    }

    /// The sidecar as it runs now, if it has other addresses than this instance. The engine is asked at most once a second, and one
    /// answer serves all who wait for it.
    async fn moved(&self, before: &Arc<Instance>) -> Option<Arc<Instance>> {
        let mut asked = self.asked.lock().await;
        let known = self.now();
        if !Arc::ptr_eq(&known, before) {
            return Some(known);
        }
        if asked.is_some_and(|asked| asked.elapsed() < ASKED_AGAIN) {
            return None;
        }
        let found = within(ATTEMPT, self.route.engine.inspect(&before.name)).await;
        *asked = Some(Instant::now());
        let found = found.ok()??;
        let network = &self.route.network;
        let places = |instance: &Instance| (self.address(instance), instance.ipv6(network));
        let is_its = found.labels.get(LABEL_SIDECAR) == before.labels.get(LABEL_SIDECAR);
        if !is_its || self.address(&found).is_none() || places(&found) == places(before) {
            return None;
        }
        let found = Arc::new(found);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
        Some(found)
    }
}

/// The local ports at which farrier listens for a harness. Dropping it closes them.
#[derive(Debug, Default)]
pub struct LocalForwards {
    /// By sidecar: its ports, each with the local one.
    ports: BTreeMap<String, BTreeMap<u16, u16>>,
    tasks: Vec<JoinHandle<()>>,
}

impl LocalForwards {
    /// Listens at a free port for each port of these sidecars; `None` if there is no relay, which the route has said.
    ///
    /// # Errors
    /// If the engine does not answer, this host has no free port, or packets do not find the way to another node in time.
    pub async fn open(sidecars: Vec<Distant>) -> Result<Option<Self>, Problem> {
        let mut forwards = Self::default();
        let mut ways = Vec::new();
        for sidecar in sidecars {
            let relay = sidecar.route.dialler(&sidecar.now()).await;
            let relay = relay.map_err(|error| {
                engine_problem(&format!("carry connections to `{}`", sidecar.name), &error).of(&sidecar.name)
            })?;
            if relay.is_none() {
                return Ok(None);
            }
            let sidecar = Arc::new(sidecar);
            if sidecar.route.engine.capabilities().nodes {
                ways.push(way(Arc::clone(&sidecar)));
            }
            for port in sidecar.ports.clone() {
                let (listener, local) = listen().await.map_err(|error| {
                    let message = format!("cannot listen at {LOCAL} for the harness: {error}");
                    Problem::error(Code::StateUnusable, message).hint("Free some ports on this host.")
                })?;
                forwards.ports.entry(sidecar.name.clone()).or_default().insert(port, local);
                forwards.tasks.push(tokio::spawn(accept(listener, Arc::clone(&sidecar), port)));
            }
        }
        try_join_all(ways).await?;
        Ok(Some(forwards))
    }

    /// The local ports of a sidecar, by its own ones; `None` if it is not forwarded.
    #[must_use]
    pub fn of(&self, sidecar: &str) -> Option<&BTreeMap<u16, u16>> {
        self.ports.get(sidecar)
    }
}

impl Drop for LocalForwards {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Waits until packets find the way to a sidecar, which may be on another node, and back: its probe may not have dialled. A refusal
/// shows it, too: the server itself may begin to listen later. Nor does anybody wait for one that has ended, which is told later.
async fn way(sidecar: Arc<Distant>) -> Result<(), Problem> {
    let (Some(port), Some(address)) = (sidecar.ports.first(), sidecar.address(&sidecar.now())) else {
        return Ok(());
    };
    let place = SocketAddr::from((address, *port));
    let is_over = async |limit: Duration| {
        let now = sidecar.now();
        match sidecar.dial(&now, *port, limit).await {
            Ok(_) | Err(DialError::Refused) => true,
            Err(_) => !sidecar.goes_on(&now).await && sidecar.moved(&now).await.is_none(),
        }
    };
    let begun = Instant::now();
    if is_over_before(begun + SILENT, &is_over).await {
        return Ok(());
    }
    let waits = format!(
        "`{}` is ready, but packets from the manager's node do not reach it at {place} yet; farrier waits up to {} s for that \
         before it starts the harness",
        sidecar.name,
        FINDING.as_secs()
    );
    let warning = Problem::warning(Code::HarnessNoRoute, waits).of(&sidecar.name).hint(LET_NODES_MEET);
    sidecar.route.reporter.tell(&Event::Problem(&warning));
    if is_over_before(begun + FINDING, &is_over).await {
        return Ok(());
    }
    let message = format!(
        "`{}` is ready, but packets from the manager's node have not reached it at {place} for {} s",
        sidecar.name,
        FINDING.as_secs()
    );
    Err(Problem::error(Code::HarnessNoRoute, message).of(&sidecar.name).hint(LET_NODES_MEET))
}

/// Tries again until it is over, or no further attempt fits in before then.
async fn is_over_before(until: Instant, is_over: &impl AsyncFn(Duration) -> bool) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, is_over(ATTEMPT.min(left))).await == Ok(true) {
            return true;
        }
        if Instant::now() + AGAIN >= until {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen() -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((LOCAL, 0)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

async fn accept(listener: TcpListener, sidecar: Arc<Distant>, port: u16) {
    loop {
        // The limit of open files, or a client that is gone already. The harness has its own limit by now.
        let Ok((client, _)) = listener.accept().await else {
            raise_open_files();
            tokio::time::sleep(EXHAUSTED).await;
            continue;
        };
        let sidecar = Arc::clone(&sidecar);
        tokio::spawn(async move {
            if let Err(reason) = carry(client, &sidecar, port).await {
                tracing::debug!("a connection to {} was not carried: {reason}", sidecar.name);
            }
        });
    }
}

/// Carries one connection. A client whose server cannot be reached sees a reset.
async fn carry(mut client: TcpStream, sidecar: &Distant, port: u16) -> Result<(), String> {
    let mut server = match server(sidecar, port).await {
        Ok(server) => server,
        Err(reason) => {
            let _ = client.set_zero_linger();
            return Err(reason);
        }
    };
    dialler::carry(&mut client, server.as_mut()).await.map_err(|error| error.to_string())
}

/// Connects, also if the sidecar is started again elsewhere meanwhile.
async fn server(sidecar: &Distant, port: u16) -> Result<Box<dyn ByteStream>, String> {
    let before = sidecar.now();
    let moves = async {
        loop {
            tokio::time::sleep(ATTEMPT).await;
            if let Some(now) = sidecar.moved(&before).await {
                return now;
            }
        }
    };
    let dialled = tokio::select! {
        dialled = sidecar.dial(&before, port, CONNECTING) => dialled,
        now = moves => sidecar.dial(&now, port, CONNECTING).await,
    };
    let connected = match dialled {
        Ok(server) => Ok(server),
        Err(error) => match sidecar.moved(&before).await {
            Some(now) => sidecar.dial(&now, port, CONNECTING).await,
            None => Err(error),
        },
    };
    connected.map_err(|error| format!("port {port}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_way_is_looked_for_until_it_is_found_or_the_time_is_up() {
        for (failures, takes, is_found) in [
            (0, Duration::ZERO, true),
            (3, ATTEMPT, true),
            (3, Duration::ZERO, true),
            (usize::MAX, ATTEMPT, false),
            (usize::MAX, Duration::ZERO, false),
        ] {
            let (begun, asked) = (Instant::now(), AtomicUsize::new(0));
            let is_over = async |limit: Duration| {
                tokio::time::sleep(takes.min(limit)).await;
                asked.fetch_add(1, Ordering::Relaxed) >= failures
            };
            assert_eq!(is_over_before(begun + FINDING, &is_over).await, is_found, "{failures} {takes:?}");
            let took = begun.elapsed();
            assert!(took <= FINDING, "{failures} {takes:?}: {took:?}");
            assert!(is_found || took + AGAIN >= FINDING, "{failures} {takes:?}: {took:?}");
        }
    }
}
