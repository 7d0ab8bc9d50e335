//! What guests try in vain with the sockets of their own language, which tell them only that it failed.

use std::fmt;
use std::net::SocketAddr;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host;
use wasmtime_wasi::p2::{SocketError, UdpSocket};

use super::names::Lookup;

/// A use of a socket that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeniedSocket {
    /// A connection to an address that is not granted.
    Connect(SocketAddr),
    /// A look-up of a name that no grant has.
    Lookup(String),
    /// Listening, which nothing grants.
    Listen,
    /// UDP, which nothing grants.
    Udp,
}

impl fmt::Display for DeniedSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(address) => write!(formatter, "a socket to {address}"),
            Self::Lookup(name) => write!(formatter, "looking up {name}"),
            Self::Listen => formatter.write_str("listening"),
            Self::Udp => formatter.write_str("UDP"),
        }
    }
}

/// The stock function would deny it as well, without a note.
impl Host for Lookup<'_> {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> Result<Resource<UdpSocket>, SocketError> {
        self.note(DeniedSocket::Udp);
        Err(ErrorCode::AccessDenied.into())
    }
}
