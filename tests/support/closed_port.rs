//! A port where nothing listens yet, and that nobody else gets meanwhile.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};

/// As many connections may wait as for listeners of Rust's own.
const WAITING: i32 = 128;

/// A port of this host's loopback that refuses until it is opened: it is bound, so that it is nobody else's.
pub struct ClosedPort(OwnedFd);

impl ClosedPort {
    pub fn new() -> Self {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        Self(socket)
    }

    pub fn number(&self) -> u16 {
        let address = getsockname(&self.0).expect("a bound socket");
        SocketAddr::try_from(address).expect("an address of IPv4").port()
    }

    /// Begins to listen.
    pub fn open(self) -> TcpListener {
        listen(&self.0, WAITING).expect("it is bound");
        self.0.into()
    }
}
