//! The relay: a static program that dials on a container network for a launcher that has no route there.
//!
//! It speaks frames over standard input and output, and ends when its input ends. It does nothing but dial: which places may be dialled is decided
//! by the launcher, who alone writes to it. Each connection has a thread for each direction, so that none waits for another one; how much may be
//! on its way is limited.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use frame::{
    CLOSE, DATA, END, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TAKEN, TIMED_OUT, WINDOW, frame, take_head, taken, taken_frame,
};

mod frame;

/// What is read at once.
const READ_BYTES: usize = 16 << 10;
/// What a thread needs.
const STACK_BYTES: usize = 64 << 10;

type Output = Arc<Mutex<io::Stdout>>;
type Connections = Arc<Mutex<HashMap<u32, Connection>>>;

/// What the launcher says about a connection goes to its threads.
struct Connection {
    stream: Arc<TcpStream>,
    /// Bytes for the server; empty ones at their end.
    outgoing: Sender<Vec<u8>>,
    allowance: Arc<Allowance>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.allowance.change(None);
    }
}

/// How many bytes may be sent to the launcher; `None` once the connection is over.
struct Allowance {
    left: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Allowance {
    fn change(&self, more: Option<usize>) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.zip(more).map(|(left, more)| left.saturating_add(more));
        self.changed.notify_all();
    }

    /// Waits until some may be sent.
    fn some(&self) -> Option<usize> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left == Some(0) {
            left = self.changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left
    }

    fn spend(&self, count: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.map(|left| left.saturating_sub(count));
    }
}

fn send(output: &Output, bytes: &[u8]) -> io::Result<()> {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    output.write_all(bytes)?;
    output.flush()
}

fn dial(payload: &[u8]) -> io::Result<TcpStream> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (limit, address) = payload.split_first_chunk::<4>().ok_or_else(invalid)?;
    let limit = Duration::from_millis(u32::from_be_bytes(*limit).max(1).into());
    let address = std::str::from_utf8(address).map_err(|_| invalid())?;
    let address: SocketAddr = address.parse().map_err(|_| invalid())?;
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TIMED_OUT.to_owned(),
        _ => error.to_string(),
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map(drop)
}

/// Dials, then copies from the connection until it ends.
fn serve(channel_id: u32, payload: &[u8], output: &Output, connections: &Connections) -> io::Result<()> {
    let connected = dial(payload).map(Arc::new).and_then(|stream| {
        let (outgoing, queued) = channel();
        let allowance = Arc::new(Allowance { left: Mutex::new(Some(WINDOW)), changed: Condvar::new() });
        let (writing, output) = (Arc::clone(&stream), Arc::clone(output));
        start(move || write(channel_id, &writing, &queued, &output))?;
        let connection = Connection { stream: Arc::clone(&stream), outgoing, allowance: Arc::clone(&allowance) };
        connections.lock().unwrap_or_else(PoisonError::into_inner).insert(channel_id, connection);
        Ok((stream, allowance))
    });
    let (stream, allowance) = match connected {
        Ok(connected) => connected,
        Err(error) => return send(output, &frame(channel_id, FAILED, reason(&error).as_bytes())),
    };
    send(output, &frame(channel_id, OPENED, &[]))?;
    let mut buffer = vec![0; READ_BYTES];
    while let Some(allowed) = allowance.some() {
        let most = allowed.min(READ_BYTES);
        match (&*stream).read(&mut buffer[..most]) {
            Ok(0) => return send(output, &frame(channel_id, END, &[])),
            Ok(count) => {
                allowance.spend(count);
                send(output, &frame(channel_id, DATA, &buffer[..count]))?;
            }
            Err(_) => return send(output, &frame(channel_id, CLOSE, &[])),
        }
    }
    Ok(())
}

/// Copies to the connection, and says what the server has taken.
fn write(channel_id: u32, mut stream: &TcpStream, queued: &Receiver<Vec<u8>>, output: &Output) {
    while let Ok(bytes) = queued.recv() {
        if bytes.is_empty() {
            let _ = stream.shutdown(Shutdown::Write);
            return;
        }
        if stream.write_all(&bytes).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = send(output, &frame(channel_id, CLOSE, &[]));
            return;
        }
        if send(output, &taken_frame(channel_id, bytes.len())).is_err() {
            return;
        }
    }
}

fn main() -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(io::stdout()));
    let connections: Connections = Arc::default();
    let mut input = io::stdin().lock();
    let mut head = [0; HEAD_BYTES];
    while input.read_exact(&mut head).is_ok() {
        let (channel_id, kind, length) = take_head(head);
        if length > PAYLOAD_BYTES {
            break;
        }
        let mut payload = vec![0; length];
        if input.read_exact(&mut payload).is_err() {
            break;
        }
        if kind == OPEN {
            let (own, known) = (Arc::clone(&output), Arc::clone(&connections));
            let started = start(move || {
                // Nobody reads on if this fails.
                let _ = serve(channel_id, &payload, &own, &known);
            });
            if let Err(error) = started {
                send(&output, &frame(channel_id, FAILED, error.to_string().as_bytes()))?;
            }
            continue;
        }
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        match (kind, connections.get(&channel_id)) {
            (DATA | END, Some(connection)) => {
                // Whoever does not take it has said why.
                let _ = connection.outgoing.send(payload);
            }
            (TAKEN, Some(connection)) => connection.allowance.change(Some(taken(&payload))),
            (CLOSE, Some(_)) => {
                connections.remove(&channel_id);
            }
            (DATA | END | TAKEN | CLOSE, None) => {}
            _ => break,
        }
    }
    Ok(())
}
