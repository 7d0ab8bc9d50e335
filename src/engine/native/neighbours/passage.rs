//! The way into an instance's network: a socket in its folder, by which supervisors of other instances reach its declared
//! ports. A path is no matter of networks, and the folder is this user's alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::engine::native::instance_folder::InstanceFolder;
use crate::system::listeners;

/// The socket's name in the folder.
const SOCKET: &str = "passage";
/// What is asked, followed by a port: whether something listens there, or to be connected.
const LISTENS: u8 = b'l';
const CONNECT: u8 = b'c';
/// The two answers.
const YES: u8 = b'y';
const NO: u8 = b'n';
/// How long one side waits for a word of the other.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause if no further connection can be taken up.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// A path to the socket that is short enough for the kernel, as long as the folder is held.
fn short_path(folder: &InstanceFolder) -> io::Result<(impl AsRawFd, String)> {
    let held = open(&folder.0, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", held.as_raw_fd());
    Ok((held, path))
}

/// Lets others into this process's network, to these ports.
pub fn admit(folder: &InstanceFolder, ports: Vec<u16>) -> io::Result<()> {
    let (_held, path) = short_path(folder)?;
    // A run before this one left it.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(path)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, ports.clone()));
                }
                Err(_) => tokio::time::sleep(EXHAUSTED).await,
            }
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, ports: Vec<u16>) {
    let mut asked = [0; 3];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut asked)).await;
    if !matches!(read, Ok(Ok(_))) {
        return;
    }
    let [what, high, low] = asked;
    let port = u16::from_be_bytes([high, low]);
    let is_open = ports.contains(&port);
    match what {
        LISTENS => {
            let answer = if is_open && listeners::taken().contains_key(&port) { YES } else { NO };
            // Nobody may be left who wants to know.
            let _ = stream.write_all(&[answer]).await;
        }
        CONNECT if is_open => {
            let Ok(mut server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
            else {
                let _ = stream.write_all(&[NO]).await;
                return;
            };
            let _ = server.set_nodelay(true);
            if stream.write_all(&[YES]).await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            }
        }
        _ => {}
    }
}

/// Whether something listens at a port of the instance in this folder.
pub async fn listens(folder: &InstanceFolder, port: u16) -> bool {
    ask(folder, LISTENS, port).await.is_some()
}

/// A connection to a port of the instance in this folder; `None` if nothing listens there.
pub async fn connect(folder: &InstanceFolder, port: u16) -> Option<UnixStream> {
    ask(folder, CONNECT, port).await
}

async fn ask(folder: &InstanceFolder, what: u8, port: u16) -> Option<UnixStream> {
    let asked = async {
        let (_held, path) = short_path(folder)?;
        let mut stream = UnixStream::connect(path).await?;
        let [high, low] = port.to_be_bytes();
        stream.write_all(&[what, high, low]).await?;
        let answer = stream.read_u8().await?;
        io::Result::Ok((answer == YES).then_some(stream))
    };
    tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_declared_ports_are_reached_and_only_while_somebody_listens() {
        let parent = tempfile::tempdir().expect("a folder");
        // Longer than the address of a socket may be.
        let folder = InstanceFolder(parent.path().join("a".repeat(200)));
        std::fs::create_dir(&folder.0).expect("made");
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port_of = |listener: &tokio::net::TcpListener| listener.local_addr().expect("its address").port();
        let (port, closed) = (port_of(&server), port_of(&other));
        admit(&folder, vec![port]).expect("admitted");
        assert!(listens(&folder, port).await && !listens(&folder, closed).await);
        assert!(connect(&folder, closed).await.is_none());
        let serving = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.expect("a client");
            let mut text = String::new();
            client.read_to_string(&mut text).await.expect("said");
            client.write_all(text.to_uppercase().as_bytes()).await.expect("answered");
        });
        let mut stream = connect(&folder, port).await.expect("connected");
        stream.write_all(b"ping").await.expect("said");
        stream.shutdown().await.expect("ended");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert_eq!(answer, "PING");
        serving.await.expect("served");
        assert!(!listens(&folder, port).await && connect(&folder, port).await.is_none());
        let nobody = InstanceFolder(parent.path().to_owned());
        assert!(!listens(&nobody, port).await);
    }
}
