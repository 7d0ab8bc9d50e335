//! The relay program on this host, and connections through it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use super::multiplexed::{Multiplexed, over};
use crate::engine::Attached;
use crate::engine::dialler::{ByteStream, DialError, Dialler};

const LIMIT: Duration = Duration::from_secs(30);
/// More than may be on its way on one connection.
const MUCH: usize = 4 << 20;

/// A relay, and its process; `None` where it could not be built, which is said.
fn relay() -> Option<(Multiplexed, Child)> {
    if !super::is_built_in() {
        eprintln!("NOT COVERED: the relay program was not built for this machine");
        return None;
    }
    let mut process = Command::new(concat!(env!("OUT_DIR"), "/relay"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the relay starts");
    let (input, output) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
    Some((over(Attached { input: Box::pin(input), output: Box::pin(output) }), process))
}

/// A server that does this with each connection.
async fn serve<W: Future<Output = ()> + Send>(
    work: impl Fn(TcpStream) -> W + Send + Sync + Copy + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { work(stream).await });
        }
    });
    address
}

async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    drop(tokio::io::copy(&mut from, &mut to).await);
}

async fn exchange(stream: &mut Box<dyn ByteStream>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.expect("written");
    stream.flush().await.expect("sent");
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await.expect("answered");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn one_direction_ends_before_the_other() {
    let Some((relay, _process)) = relay() else { return };
    let counting = serve(async |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("its end");
        stream.write_all(format!("{} bytes", all.len()).as_bytes()).await.expect("an answer");
    });
    let mut stream = relay.connect(counting.await, LIMIT).await.expect("it accepts");
    stream.write_all(&vec![b'x'; MUCH]).await.expect("written");
    stream.shutdown().await.expect("ended");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert_eq!(answer, format!("{MUCH} bytes"));
}

#[tokio::test]
async fn whoever_does_not_read_holds_up_nobody_else_and_loses_nothing() {
    let Some((relay, _process)) = relay() else { return };
    let talking = serve(async |mut stream| drop(stream.write_all(&vec![b'y'; MUCH]).await)).await;
    let deaf = serve(async |stream| {
        tokio::time::sleep(LIMIT).await;
        drop(stream);
    });
    let deaf = deaf.await;
    let mut unread = relay.connect(talking, LIMIT).await.expect("it accepts");
    let mut unheard = relay.connect(deaf, LIMIT).await.expect("it accepts");
    let sending = tokio::spawn(async move { drop(unheard.write_all(&vec![b'z'; 8 * MUCH]).await) });
    let mut other = relay.connect(serve(echo).await, LIMIT).await.expect("it accepts");
    for round in 0..100 {
        let text = format!("round {round}");
        assert_eq!(exchange(&mut other, &text).await, text);
    }
    let mut all = Vec::new();
    unread.read_to_end(&mut all).await.expect("all of it");
    assert_eq!(all.len(), MUCH);
    sending.abort();
}

#[tokio::test]
async fn hundreds_of_connections_are_carried_at_once_and_refusals_told() {
    let Some((relay, _process)) = relay() else { return };
    let address = serve(echo).await;
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(relay.connect(address, LIMIT).await.expect("it accepts"));
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let text = format!("number {number}");
        assert_eq!(exchange(stream, &text).await, text);
    }
    drop(streams);
    // Bound, so that it is nobody else's, and nobody listens.
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let free = closed.local_addr().expect("an address");
    assert_eq!(relay.connect(free, LIMIT).await.err(), Some(DialError::Refused));
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_at_the_server() {
    let Some((relay, _process)) = relay() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (dialled, accepted) = tokio::join!(relay.connect(address, LIMIT), listener.accept());
    let (mut server, _) = accepted.expect("a connection");
    drop(dialled.expect("it accepts"));
    let ended = tokio::time::timeout(LIMIT, server.read(&mut [0; 1])).await.expect("in time");
    assert_eq!(ended.expect("its end"), 0);
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_although_its_server_reads_nothing() {
    let Some((relay, _process)) = relay() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (dialled, accepted) = tokio::join!(relay.connect(address, LIMIT), listener.accept());
    let (mut dialled, _server) = (dialled.expect("it accepts"), accepted.expect("a connection"));
    // Whatever the server's side takes, at some time it takes no more.
    let stuck = tokio::time::timeout(Duration::from_secs(1), async {
        while dialled.write_all(&vec![b'z'; MUCH]).await.is_ok() {}
    });
    stuck.await.expect_err("nobody reads it");
    drop(dialled);
    let forgotten = async {
        while !relay.channels.lock().expect("no panic").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, forgotten).await.expect("it is forgotten");
}

#[tokio::test]
async fn whoever_writes_to_a_server_that_has_gone_is_told() {
    let Some((relay, _process)) = relay() else { return };
    let leaving = serve(async |mut stream| drop(stream.read_exact(&mut [0; 1]).await)).await;
    let mut stream = relay.connect(leaving, LIMIT).await.expect("it accepts");
    let writing = async { while stream.write_all(&vec![b'x'; MUCH]).await.is_ok() {} };
    tokio::time::timeout(LIMIT, writing).await.expect("an error");
}

#[tokio::test]
async fn what_was_written_before_a_connection_is_dropped_reaches_its_server() {
    let Some((relay, _process)) = relay() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    for _ in 0..50 {
        let (dialled, accepted) = tokio::join!(relay.connect(address, LIMIT), listener.accept());
        let (mut dialled, (mut server, _)) = (dialled.expect("it accepts"), accepted.expect("a connection"));
        dialled.write_all(&vec![b'x'; 100 << 10]).await.expect("written");
        drop(dialled);
        let mut all = Vec::new();
        let reading = server.read_to_end(&mut all);
        tokio::time::timeout(LIMIT, reading).await.expect("in time").expect("its end");
        assert_eq!(all.len(), 100 << 10);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_off_does_not_look_complete() {
    let Some((relay, mut process)) = relay() else { return };
    // A server that ends, one that resets, and a relay that is gone: only the first has said all.
    let ending = serve(async |mut stream| drop(stream.write_all(b"all").await)).await;
    let resetting = serve(async |mut stream| {
        drop(stream.read_exact(&mut [0; 1]).await);
        stream.set_zero_linger().expect("no time to linger");
    });
    let resetting = resetting.await;
    let waiting = serve(async |mut stream| drop(stream.read_to_end(&mut Vec::new()).await)).await;
    let mut ended = relay.connect(ending, LIMIT).await.expect("it accepts");
    assert_eq!(ended.read_to_end(&mut Vec::new()).await.expect("its end"), 3);
    let mut reset = relay.connect(resetting, LIMIT).await.expect("it accepts");
    reset.write_all(b"x").await.expect("written");
    let error = reset.read_to_end(&mut Vec::new()).await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut left = relay.connect(waiting, LIMIT).await.expect("it accepts");
    process.kill().await.expect("it ends");
    let error = left.read_to_end(&mut Vec::new()).await.expect_err("a relay that is gone");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_any_more_is_as_good_as_ended() {
    let ((input, _swallowed), (output, mut said)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
    let relay = over(Attached { input: Box::pin(input), output: Box::pin(output) });
    let nowhere: SocketAddr = "192.0.2.1:7".parse().expect("an address");
    let second = Duration::from_secs(1);
    let dials = async |count: usize| {
        for _ in 0..count {
            assert_eq!(relay.connect(nowhere, second).await.err(), Some(DialError::TimedOut));
        }
    };
    dials(3).await;
    assert!(!relay.has_ended(), "it may be slow");
    dials(3).await;
    assert!(relay.has_ended());
    // Whatever it says, it lives.
    said.write_all(&super::frame::frame(77, super::frame::END, &[])).await.expect("it is read");
    while relay.has_ended() {
        tokio::task::yield_now().await;
    }
    dials(2).await;
    assert!(!relay.has_ended(), "it is counted from the last word on");
}
