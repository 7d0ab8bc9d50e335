//! The way of a harness in a container to sidecars that this host runs itself: this host's address on the container's network,
//! where farrier listens while the harness runs. It listens at that network's interface alone, so nobody else is let in.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::argv::DockerRun;
use crate::engine::kinds::Client;
use crate::report::error::{Code, Problem};

/// Docker's default network, on which a harness is that names none.
pub const DEFAULT_NETWORK: &str = "bridge";
/// The option of a network that names its interface; without it, the interface is named by the network's id.
const INTERFACE: &str = "com.docker.network.bridge.name";
/// How much of an id is in an interface's name.
const ID_DIGITS: usize = 12;
/// Connections that wait to be taken up.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BACKLOG: u32 = 512;
/// The pause if no further connection can be taken up.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A sidecar that this host runs itself, and that a harness in a container is to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// Its name.
    pub name: String,
    /// Its names on a network, its own among them.
    pub aliases: Vec<String>,
    /// Its ports.
    pub ports: Vec<u16>,
}

/// This host's end of a network of containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    network: String,
    address: Ipv4Addr,
    interface: String,
}

/// A network, as the docker client shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    driver: String,
    #[serde(default)]
    options: Option<std::collections::BTreeMap<String, String>>,
}

/// An engine, as the docker client shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Engine {
    name: String,
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

impl Gateway {
    /// Finds it by the harness's own docker client.
    ///
    /// # Errors
    /// If this host is not on the network, or the client does not say so.
    pub async fn find(run: &DockerRun, network: &str) -> Result<Self, String> {
        if run.connection().client != Client::Docker {
            return Err("Podman creates the interfaces of its networks only when containers join them, so farrier cannot listen there".to_owned());
        }
        let client = run.client();
        let told = asked(&client, &["network", "inspect", "--format", "{{json .}}", network]).await?;
        let found: Network =
            serde_json::from_str(&told).map_err(|error| format!("the network `{network}`: {error}"))?;
        if found.driver != "bridge" {
            return Err(format!(
                "the network `{network}` has the driver `{}`, and not `bridge`",
                found.driver
            ));
        }
        let named = found.options.unwrap_or_default().remove(INTERFACE).filter(|name| !name.is_empty());
        if named.is_some() {
            // Every host may have an interface of that name.
            same_host(&client).await?;
        }
        let interface =
            named.unwrap_or_else(|| format!("br-{}", found.id.get(..ID_DIGITS).unwrap_or(&found.id)));
        let address = address_of(&interface).ok_or_else(|| {
            format!(
                "this host has no address on the network `{network}`: the engine is Podman, or runs in a virtual machine or \
                 on another machine"
            )
        })?;
        Ok(Self { network: network.to_owned(), address, interface })
    }

    /// Listens at all ports of the sidecars, whose addresses these are, until the result is dropped.
    ///
    /// # Errors
    /// The first sidecar that cannot be reached like this.
    pub async fn open(&self, sidecars: &[(Hosted, IpAddr)], is_alone: bool) -> Result<Forwards, Problem> {
        let mut forwards = Forwards { address: self.address, names: Vec::new(), tasks: Vec::new(), is_alone };
        for (sidecar, address) in sidecars {
            for port in &sidecar.ports {
                let at = SocketAddr::from((self.address, *port));
                let listener = match self.listen(at) {
                    // It listens at all addresses of this host itself.
                    Err(error)
                        if error.kind() == io::ErrorKind::AddrInUse
                            && *address == IpAddr::V4(Ipv4Addr::LOCALHOST)
                            && TcpStream::connect(at).await.is_ok() =>
                    {
                        continue;
                    }
                    listener => listener.map_err(|error| {
                        let at = format!("{at}, this host's address on the network `{}`", self.network);
                        unreached(&sidecar.name, &format!("farrier cannot listen at {at}: {error}"))
                    })?,
                };
                forwards.tasks.push(tokio::spawn(forward(listener, SocketAddr::from((*address, *port)))));
            }
            forwards.names.extend(sidecar.aliases.iter().cloned());
        }
        Ok(forwards)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        // Connections of a launch before may still be ending.
        socket.set_reuseaddr(true)?;
        socket.bind_device(Some(self.interface.as_bytes()))?;
        socket.bind(at)?;
        socket.listen(BACKLOG)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn listen(&self, _: SocketAddr) -> io::Result<TcpListener> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The ports at which farrier listens for a harness.
#[derive(Debug)]
pub struct Forwards {
    address: Ipv4Addr,
    names: Vec<String>,
    tasks: Vec<JoinHandle<()>>,
    /// Whether the engine of the harness runs no sidecar, so that there is no network on which they meet.
    pub is_alone: bool,
}

impl Forwards {
    /// The names that lead to this host, with its address.
    pub fn hosts(&self) -> Vec<(String, IpAddr)> {
        self.names.iter().map(|name| (name.clone(), IpAddr::V4(self.address))).collect()
    }
}

impl Drop for Forwards {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Says why a harness in a container does not reach a sidecar of this host.
#[must_use]
pub fn unreached(sidecar: &str, reason: &str) -> Problem {
    let message =
        format!("the harness runs in a container, and cannot reach `{sidecar}` on this host: {reason}");
    Problem::error(Code::HarnessNoRoute, message)
        .of(sidecar)
        .hint("Run the harness on this host, or give it `--network host`.")
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    loop {
        // The limit of open files, or a client that is gone already.
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(EXHAUSTED).await;
            continue;
        };
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(to).await else { return };
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// Whether the engine runs on this host, in its network.
async fn same_host(client: &[OsString]) -> Result<(), String> {
    let told = asked(client, &["info", "--format", "{{json .}}"]).await?;
    let engine: Engine = serde_json::from_str(&told).map_err(|error| format!("`docker info`: {error}"))?;
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let options = engine.security_options.unwrap_or_default();
    if options.iter().any(|option| option.split(',').any(|part| part == "name=rootless")) {
        return Err("the networks of a rootless engine are not this host's".to_owned());
    }
    if engine.name != own {
        return Err(format!("the engine is on the host `{}`, and this is `{own}`", engine.name));
    }
    Ok(())
}

/// What the docker client prints.
async fn asked(client: &[OsString], arguments: &[&str]) -> Result<String, String> {
    let Some((program, own)) = client.split_first() else {
        return Err("there is no docker client".to_owned());
    };
    let output = Command::new(program)
        .args(own)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("cannot run the docker client: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn address_of(interface: &str) -> Option<Ipv4Addr> {
    let mut all = nix::ifaddrs::getifaddrs().ok()?;
    all.find_map(|one| {
        (one.interface_name == interface).then_some(())?;
        one.address?.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip)
    })
}
