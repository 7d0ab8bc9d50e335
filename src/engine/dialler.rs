//! How a connection is made: from this host, or through a relay on the sidecars' network.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Both directions of a connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Why a dial failed, as far as a probe needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Nothing listens.
    Refused,
    /// No answer in time.
    TimedOut,
    /// Anything else, in words.
    Other(String),
}

/// Where sockets that a guest opens itself lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sockets {
    /// To the granted addresses.
    #[default]
    Direct,
    /// Nowhere: this host does not reach them, and only `dial` goes through a relay.
    Relayed,
}

/// Makes connections.
#[async_trait]
pub trait Dialler: Send + Sync {
    /// Connects within the time.
    ///
    /// # Errors
    /// When the connection is not made.
    async fn connect(&self, address: SocketAddr, timeout: Duration)
    -> Result<Box<dyn ByteStream>, DialError>;

    /// Whether nobody but the kernel of this host has work by a dial that is refused.
    fn is_direct(&self) -> bool {
        false
    }

    /// Whether it will never connect again, since what it goes through is gone.
    fn has_ended(&self) -> bool {
        false
    }
}

/// From this host straight to the address.
#[derive(Debug)]
pub struct Direct;

#[async_trait]
impl Dialler for Direct {
    fn is_direct(&self) -> bool {
        true
    }

    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::ConnectionRefused => DialError::Refused,
                ErrorKind::TimedOut => DialError::TimedOut,
                _ => DialError::Other(error.to_string()),
            }),
            Err(_) => Err(DialError::TimedOut),
        }
    }
}
