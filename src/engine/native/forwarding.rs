//! The ports of a container at an address of this host. They are taken before the container's network is entered; what is
//! dialled afterwards is inside. A port is told open only while the server inside listens: until then, whoever dials it is
//! refused, as by the server itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::system::listeners;
use crate::system::timer::Timer;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_socket_reuseaddr};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, bind, listen, shutdown, socket_with};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections that wait to be taken up.
const BACKLOG: i32 = 512;
/// The pause between two looks whether the server listens: so many times what a look costs, which is some 30 µs on an idle
/// machine, so that many supervisors that wait leave room for the servers.
const SHARE: u32 = 32;
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// A server that takes longer does not come soon.
const LONG: Duration = Duration::from_secs(60);
const LATE_PAUSE: Duration = Duration::from_millis(50);
/// The pause if no further connection can be taken up.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A port that nobody else can have.
pub struct Reserved {
    socket: OwnedFd,
    port: u16,
}

/// Takes ports at an address of this host; nobody listens there yet.
pub fn reserve(address: Ipv4Addr, ports: &[u16]) -> io::Result<Vec<Reserved>> {
    ports
        .iter()
        .map(|port| Ok(Reserved { socket: taken(SocketAddrV4::new(address, *port))?, port: *port }))
        .collect()
}

fn taken(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let bound = |is_shared: bool| {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        set_socket_reuseaddr(&socket, is_shared)?;
        bind(&socket, &address)?;
        Ok(socket)
    };
    match bound(false) {
        // Connections of an instance before may still be ending.
        Err(Errno::ADDRINUSE) => Ok(bound(true)?),
        bound => Ok(bound?),
    }
}

/// Forwards a port to the same one inside of the network that this process has entered.
pub async fn forward(reserved: Reserved) {
    let Reserved { mut socket, port } = reserved;
    loop {
        until_listening(port).await;
        let Ok(listener) = begin(socket) else { return };
        let Ok(back) = serve(listener, port).await else { return };
        // The server has stopped to listen: it may begin again.
        socket = back;
    }
}

fn begin(socket: OwnedFd) -> io::Result<TcpListener> {
    // Its connections have this from it: those that are still ending must not keep the port from the next instance. Nobody can
    // take a port that somebody listens at.
    set_socket_reuseaddr(&socket, true)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(StdListener::from(socket))
}

async fn until_listening(port: u16) {
    let (begun, timer) = (Instant::now(), Timer::exact());
    loop {
        let look = Instant::now();
        if listeners::taken().contains_key(&port) {
            return;
        }
        let pause = (look.elapsed() * SHARE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        timer.sleep(if begun.elapsed() > LONG { LATE_PAUSE } else { pause }).await;
    }
}

/// Takes connections up until the server refuses one; gives the socket back, which does not listen any more.
async fn serve(listener: TcpListener, port: u16) -> io::Result<OwnedFd> {
    let refused = Arc::new(Notify::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    tokio::spawn(connect(client, port, Arc::clone(&refused)));
                }
                // The limit of open files, or a client that is gone already.
                Err(_) => tokio::time::sleep(EXHAUSTED).await,
            },
            () = refused.notified() => {
                let socket = OwnedFd::from(listener.into_std()?);
                // Back to where it was before it listened; the port stays taken.
                shutdown(&socket, Shutdown::Read)?;
                set_socket_reuseaddr(&socket, false)?;
                return Ok(socket);
            }
        }
    }
}

async fn connect(mut client: TcpStream, port: u16, refused: Arc<Notify>) {
    let Ok(mut server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await else {
        // So that it is reset, and not ended as if something had been said.
        let _ = set_socket_linger(&client, Some(Duration::ZERO));
        return refused.notify_one();
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What a dial of the port gives: an answer, or why there is none.
    async fn asked(address: SocketAddrV4) -> Result<String, io::ErrorKind> {
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"ping").await?;
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        asked.await.map_err(|error: io::Error| error.kind())
    }

    async fn serve_once(listener: &TcpListener) {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("said");
        stream.write_all(format!("{said} back").as_bytes()).await.expect("answered");
    }

    #[tokio::test]
    async fn a_port_is_open_only_while_the_server_listens() {
        // Two addresses of one network stand for the two sides.
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = server.local_addr().expect("an address").port();
        drop(server);
        let address = SocketAddrV4::new(Ipv4Addr::new(127, 91, 7, 3), port);
        let [reserved] =
            <[Reserved; 1]>::try_from(reserve(*address.ip(), &[port]).expect("taken")).ok().expect("one");
        assert_eq!(asked(address).await, Err(io::ErrorKind::ConnectionRefused));
        assert!(StdListener::bind(address).is_err(), "nobody else gets it");
        let forwarding = tokio::spawn(forward(reserved));
        for _ in 0..2 {
            let server = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
            let ((), answer) = tokio::join!(serve_once(&server), asked_until(address));
            assert_eq!(answer, "ping back");
            drop(server);
            // One that comes too late ends what the port tells.
            while asked(address).await != Err(io::ErrorKind::ConnectionRefused) {
                tokio::task::yield_now().await;
            }
        }
        forwarding.abort();
    }

    #[tokio::test]
    async fn a_port_is_taken_again_while_connections_of_the_instance_before_are_ending() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = server.local_addr().expect("an address").port();
        let address = SocketAddrV4::new(Ipv4Addr::new(127, 91, 7, 4), port);
        let reserved = reserve(*address.ip(), &[port]).expect("taken").pop().expect("one");
        let forwarding = tokio::spawn(forward(reserved));
        // Who ends a connection first keeps it for a minute.
        let greet = async {
            let (mut stream, _) = server.accept().await.expect("a connection");
            stream.write_all(b"hello").await.expect("greeted");
        };
        let hear = async {
            let mut stream = loop {
                if let Ok(stream) = TcpStream::connect(address).await {
                    break stream;
                }
                tokio::task::yield_now().await;
            };
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.expect("heard");
            heard
        };
        assert_eq!(tokio::join!(greet, hear).1, "hello");
        forwarding.abort();
        let _ = forwarding.await;
        reserve(*address.ip(), &[port]).expect("taken again");
    }

    async fn asked_until(address: SocketAddrV4) -> String {
        loop {
            if let Ok(answer) = asked(address).await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }
}
