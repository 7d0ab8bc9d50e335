//! How a connection is made: from this host, or through a relay on the sidecars' network.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::net::sockopt::socket_error;
#[cfg(target_os = "linux")]
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Both directions of a connection. Who made one recognises it again ([`Any`]).
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + Any {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + Any> ByteStream for T {}

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

/// What is said of a place to which no packet finds the way.
const UNREACHABLE: &str = "no route to the host";

impl DialError {
    /// Whether nobody answered: no packet came back, or none found the way.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused => false,
            Self::Other(text) => text == UNREACHABLE,
        }
    }

    /// No packet finds the way.
    #[must_use]
    pub fn unreachable() -> Self {
        Self::Other(UNREACHABLE.to_owned())
    }
}

/// Where sockets that a guest opens itself lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sockets {
    /// To the granted addresses.
    #[default]
    Direct,
    /// Where the dialler leads, through a port of this host: it has no route to the addresses.
    Relayed,
    /// Nowhere: there is no sidecar, and a scenario plays what `dial` reaches.
    Played,
}

/// What is copied at once.
const COPIED_BYTES: usize = 64 << 10;

/// Carries the bytes between a client and its server, whose directions may end one after the other. A client whose
/// server cuts the connection off sees a reset, as on the server's own network.
///
/// # Errors
/// If either cuts the connection off.
pub async fn carry(client: &mut TcpStream, server: &mut dyn ByteStream) -> io::Result<()> {
    let _ = client.set_nodelay(true);
    let copied = copy(client, server).await;
    if copied.is_err() {
        let _ = client.set_zero_linger();
    }
    copied
}

async fn copy(client: &mut TcpStream, server: &mut dyn ByteStream) -> io::Result<()> {
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = tokio::io::split(server);
    let mut asking = pin!(one_way(from_client, &mut to_server));
    let mut answering = pin!(one_way(from_server, &mut to_client));
    tokio::select! {
        asked = &mut asking => match asked {
            // A server may answer and close although not all was said, and its answer is still on its way.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => answering.await,
        },
        answered = &mut answering => match answered {
            Ok(()) => match asking.await {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
                _ => Ok(()),
            },
            Err(error) => Err(error),
        },
    }
}

/// Copies one direction to its end, and tells the end.
async fn one_way(from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    tokio::io::copy_buf(&mut BufReader::with_capacity(COPIED_BYTES, from), to).await?;
    to.shutdown().await
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

    /// Ends what it goes through, if that is only for it.
    async fn end(&self) {}

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
        match tokio::time::timeout(timeout, open(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(match error.kind() {
                ErrorKind::ConnectionRefused => DialError::Refused,
                ErrorKind::TimedOut => DialError::TimedOut,
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => DialError::unreachable(),
                _ => DialError::Other(error.to_string()),
            }),
            Err(_) => Err(DialError::TimedOut),
        }
    }
}

/// Connects. A place that refuses is mostly a container of this host, whose answer is there before the call returns: then
/// nothing has to be watched for it, which is most of what such a dial costs.
#[cfg(target_os = "linux")]
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => socket_error(&socket)??,
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(stream), Err)
}

#[cfg(not(target_os = "linux"))]
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncReadExt, ReadBuf};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers at once, and takes nothing.
    struct Rejecting(std::io::Cursor<Vec<u8>>);

    impl AsyncRead for Rejecting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Rejecting {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_before_all_was_asked_arrives_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (mut near, _)) = (client.expect("connected"), accepted.expect("a connection"));
        let answer = vec![b'x'; 1 << 20];
        let mut server = Rejecting(std::io::Cursor::new(answer.clone()));
        let carrying = tokio::spawn(async move { carry(&mut near, &mut server).await });
        client.write_all(b"a request").await.expect("written");
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("no reset");
        assert!(all == answer, "{} bytes", all.len());
        carrying.await.expect("no panic").expect("the server has said all");
    }

    #[tokio::test]
    async fn a_dial_connects_or_is_refused() {
        let second = Duration::from_secs(1);
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(local).await else { continue };
            let address = listener.local_addr().expect("an address");
            let (dialled, accepted) = tokio::join!(Direct.connect(address, second), listener.accept());
            drop(accepted.expect("a connection"));
            assert_eq!(dialled.expect("it accepts").read(&mut [0]).await.expect("its end"), 0);
            drop(listener);
            let refused = Direct.connect(address, second).await.err();
            assert_eq!(refused, Some(DialError::Refused), "{address}");
        }
    }
}
