//! The way of a guest's own sockets to sidecars that this host has no route to. A socket is the kernel's and knows addresses of
//! this host only, so that farrier connects as `dial` does, and then lets the socket connect to a port of this host, from which
//! it carries the bytes. Nothing is accepted before the sidecar has: an open port is as true as on a route.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, TcpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

use crate::engine::dialler::{ByteStream, DialError, Dialler, Sockets, carry};
use crate::probe::limits::DIAL_TIMEOUT;
use crate::probe::store::HostState;

/// As wasmtime-wasi links it; imports of every 0.2 are resolved to it.
const TCP: &str = "wasi:sockets/tcp@0.2.12";
const START_CONNECT: &str = "[method]tcp-socket.start-connect";
/// How long the guest's socket may take to connect to this host.
const ACCEPTING: Duration = Duration::from_secs(10);

/// The ports of this host from which one poll's connections are carried.
pub type Carried = Arc<Mutex<BTreeSet<SocketAddr>>>;

/// Puts the way in place of the function by which sockets connect. The others stay wasmtime's.
pub fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance(TCP)?
        .func_wrap_async(START_CONNECT, |store, asked| Box::new(start_connect(store, asked)))?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn start_connect(
    mut store: StoreContextMut<'_, HostState>,
    (socket, network, address): (Resource<TcpSocket>, Resource<Network>, IpSocketAddress),
) -> wasmtime::Result<(Result<(), ErrorCode>,)> {
    let address = match store.data_mut().way(address.into()) {
        None => address,
        Some((dialler, remote, timeout)) => match dialler.connect(remote, timeout).await {
            Ok(stream) => match listen(remote, stream).await {
                Ok(local) => {
                    let carried = &store.data().traces.carried;
                    carried.lock().unwrap_or_else(PoisonError::into_inner).insert(local);
                    local.into()
                }
                Err(_) => return Ok((Err(ErrorCode::NewSocketLimit),)),
            },
            Err(DialError::Refused) => return Ok((Err(ErrorCode::ConnectionRefused),)),
            Err(DialError::TimedOut) => return Ok((Err(ErrorCode::Timeout),)),
            Err(DialError::Other(_)) => return Ok((Err(ErrorCode::RemoteUnreachable),)),
        },
    };
    let mut view = store.data_mut().sockets();
    Ok((match view.start_connect(socket, network, address) {
        Ok(()) => Ok(()),
        Err(error) => Err(view.convert_error_code(error)?),
    },))
}

impl HostState {
    /// How to reach a granted address that this host has no route to, and within which time.
    fn way(&mut self, address: SocketAddr) -> Option<(Arc<dyn Dialler>, SocketAddr, Duration)> {
        if self.probe_context.sockets != Sockets::Relayed {
            return None;
        }
        let dialler = Arc::clone(self.probe_context.dialler.as_ref()?);
        let mut places = self.probe_context.targets.0.iter();
        let ((host, port), _) = places.find(|(_, place)| **place == Some(address))?;
        self.poll.used.note_dials(host, *port, 1);
        Some((dialler, address, self.poll.left().min(DIAL_TIMEOUT)))
    }
}

/// Listens at a port of this host for the one socket whose bytes this stream carries.
async fn listen(remote: SocketAddr, mut stream: Box<dyn ByteStream>) -> std::io::Result<SocketAddr> {
    // A socket connects only within its own family.
    let local: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let listener = TcpListener::bind((local, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let Ok(Ok((mut client, _))) = tokio::time::timeout(ACCEPTING, listener.accept()).await else {
            return;
        };
        drop(listener);
        if let Err(error) = carry(&mut client, stream.as_mut()).await {
            tracing::debug!("a connection to {remote} was cut off: {error}");
        }
    });
    Ok(address)
}
