//! The way of a harness on this host to sidecars that this host has no route to: a local port for each of their ports, whose
//! connections the relay carries while the harness runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::engine::dialler::{self, ByteStream};
use crate::engine::problem::engine_problem;
use crate::plan::instance::Instance;
use crate::readiness::route::Route;
use crate::report::error::{Code, Problem};
use crate::system::process_limits::raise_open_files;

/// The address at which a harness reaches forwarded ports.
pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a sidecar may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(30);
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
    /// If the engine does not answer, or this host has no free port.
    pub async fn open(sidecars: Vec<Distant>) -> Result<Option<Self>, Problem> {
        let mut forwards = Self::default();
        for sidecar in sidecars {
            let relay = sidecar.route.dialler(&sidecar.instance).await;
            let relay = relay.map_err(|error| {
                engine_problem(&format!("carry connections to `{}`", sidecar.name), &error).of(&sidecar.name)
            })?;
            if relay.is_none() {
                return Ok(None);
            }
            let sidecar = Arc::new(sidecar);
            for port in sidecar.ports.clone() {
                let (listener, local) = listen().await.map_err(|error| {
                    let message = format!("cannot listen at {LOCAL} for the harness: {error}");
                    Problem::error(Code::StateUnusable, message).hint("Free some ports on this host.")
                })?;
                forwards.ports.entry(sidecar.name.clone()).or_default().insert(port, local);
                forwards.tasks.push(tokio::spawn(accept(listener, Arc::clone(&sidecar), port)));
            }
        }
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
