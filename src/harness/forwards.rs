//! The way of a harness on this host to sidecars that this host has no route to: a local port for each of their ports, whose
//! connections the relay carries while the harness runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::dialler::{self, ByteStream, DialError, Dialler};
use crate::engine::problem::engine_problem;
use crate::event::Event;
use crate::event::failure::cause::LET_NODES_MEET;
use crate::plan::instance::Instance;
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
/// How long one attempt to find it may take: the kernel sends its packet again after a second.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long the way may be looked for without a word.
const SILENT: Duration = Duration::from_secs(5);
/// The pause after an attempt that failed at once.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause if no further connection can be accepted.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A sidecar that this host has no route to.
pub struct Distant {
    /// Its name.
    pub name: String,
    /// What runs.
    pub instance: Instance,
    /// Its address on the network where the relay is.
    pub address: IpAddr,
    /// Its ports.
    pub ports: Vec<u16>,
    /// The way to it.
    pub route: Arc<Route>,
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
            let relay = sidecar.route.dialler(&sidecar.instance).await;
            let relay = relay.map_err(|error| {
                engine_problem(&format!("carry connections to `{}`", sidecar.name), &error).of(&sidecar.name)
            })?;
            let Some(relay) = relay else { return Ok(None) };
            let sidecar = Arc::new(sidecar);
            if sidecar.route.engine.capabilities().nodes {
                ways.push(way(relay, Arc::clone(&sidecar)));
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

/// Waits until packets find the way to a sidecar, which may be on another node, and back: its probe may not have dialled.
async fn way(relay: Arc<dyn Dialler>, sidecar: Arc<Distant>) -> Result<(), Problem> {
    let Some(port) = sidecar.ports.first() else { return Ok(()) };
    let place = SocketAddr::from((sidecar.address, *port));
    let begun = Instant::now();
    if is_found(relay.as_ref(), place, begun + SILENT).await {
        return Ok(());
    }
    let unfound = format!(
        "`{}` is ready, but packets from the manager's node do not reach it at {place}",
        sidecar.name
    );
    let message = format!("{unfound}; the harness starts once they do, within {} s", FINDING.as_secs());
    sidecar
        .route
        .reporter
        .tell(&Event::Problem(&Problem::warning(Code::HarnessNoRoute, message).of(&sidecar.name)));
    if is_found(relay.as_ref(), place, begun + FINDING).await {
        return Ok(());
    }
    let message = format!("{unfound}, for {} s now", FINDING.as_secs());
    Err(Problem::error(Code::HarnessNoRoute, message).of(&sidecar.name).hint(LET_NODES_MEET))
}

/// Whether packets find the way before then. A refusal shows it, too: the server itself may begin to listen later.
async fn is_found(relay: &dyn Dialler, place: SocketAddr, until: Instant) -> bool {
    loop {
        if let Ok(_) | Err(DialError::Refused) = relay.connect(place, ATTEMPT).await {
            return true;
        }
        if Instant::now() >= until {
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

async fn server(sidecar: &Distant, port: u16) -> Result<Box<dyn ByteStream>, String> {
    let relay = sidecar.route.dialler(&sidecar.instance).await.map_err(|error| error.to_string())?;
    let relay = relay.ok_or("there is no relay")?;
    let address = SocketAddr::from((sidecar.address, port));
    relay.connect(address, CONNECTING).await.map_err(|error| format!("{address}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Answers the first attempts with the one, and all later ones with the other.
    struct Answers {
        asked: AtomicUsize,
        first: (usize, DialError),
        then: DialError,
    }

    #[async_trait]
    impl Dialler for Answers {
        async fn connect(&self, _: SocketAddr, _: Duration) -> Result<Box<dyn ByteStream>, DialError> {
            let is_first = self.asked.fetch_add(1, Ordering::Relaxed) < self.first.0;
            Err(if is_first { self.first.1.clone() } else { self.then.clone() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_way_to_another_node_is_found_once_anything_answers() {
        let place = SocketAddr::from((LOCAL, 7000));
        for (error, attempts, is_there) in [
            (DialError::TimedOut, 0, true),
            (DialError::TimedOut, 3, true),
            (DialError::Other("No route to host (os error 113)".to_owned()), 3, true),
            (DialError::TimedOut, usize::MAX, false),
        ] {
            let answers = Answers {
                asked: AtomicUsize::new(0),
                first: (attempts, error.clone()),
                then: DialError::Refused,
            };
            let begun = Instant::now();
            assert_eq!(is_found(&answers, place, begun + FINDING).await, is_there, "{error:?} {attempts}");
            assert_eq!(begun.elapsed() >= FINDING, !is_there, "{error:?} {attempts}");
        }
    }
}
