//! The relay: a static program that dials on a container network for a launcher that has no route there.
//!
//! It speaks frames over standard input and output, and ends when its input ends, or if none comes at first: a launcher that was
//! ended before it attached itself ends no input. It does nothing but dial: which
//! places may be dialled is decided by the launcher, who alone writes to it. Each connection has a thread for each
//! direction, so that none waits for another one; how much may be on its way is limited.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use frame::{
    CLOSE, DATA, END, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TAKEN, TIMED_OUT, UNREACHABLE, WINDOW, frame, head, take_head, taken,
    taken_frame,
};

mod frame;

/// What is read at once of a server's answer.
const READ_BYTES: usize = 32 << 10;
/// What is read at once of what the launcher says: what a pipe holds.
const INPUT_BYTES: usize = 64 << 10;
/// How long what was sent before a connection was closed may still take to reach its server.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long its launcher may take to say the first thing.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// What a thread needs.
const STACK_BYTES: usize = 64 << 10;

/// Standard output as it is: `Stdout` would look for ends of lines in what it is given, and write it in parts.
type Output = Arc<Mutex<File>>;
type Connections = Arc<Mutex<HashMap<u32, Connection>>>;

/// What the launcher says about a connection goes to its threads.
struct Connection {
    /// Bytes for the server; empty ones at their end. The connection ends when they are written and this is dropped.
    outgoing: Sender<Vec<u8>>,
    allowance: Arc<Allowance>,
}

impl Drop for Connection {
    fn drop(&mut self) {
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

    fn is_over(&self) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn spend(&self, count: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.map(|left| left.saturating_sub(count));
    }
}

/// Both directions of a connection, which ends with the second one. A server that resets ends both at once.
#[derive(Default)]
struct Over(AtomicBool);

impl Over {
    /// Notes the end of one; tells the launcher if it was the second.
    fn tell(&self, channel_id: u32, output: &Output) -> io::Result<()> {
        if self.0.swap(true, Ordering::AcqRel) { send(output, &frame(channel_id, CLOSE, &[])) } else { Ok(()) }
    }
}

fn send(output: &Output, bytes: &[u8]) -> io::Result<()> {
    output.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
}

fn dial(payload: &[u8]) -> io::Result<TcpStream> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (limit, address) = payload.split_first_chunk::<4>().ok_or_else(invalid)?;
    let limit = Duration::from_millis(u32::from_be_bytes(*limit).max(1).into());
    let address = std::str::from_utf8(address).map_err(|_| invalid())?;
    let address: SocketAddr = address.parse().map_err(|_| invalid())?;
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_nodelay(true)?;
    // Whoever writes looks that often whether anybody still waits for it.
    stream.set_write_timeout(Some(LAST_WORDS))?;
    Ok(stream)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TIMED_OUT.to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => UNREACHABLE.to_owned(),
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
        let over = Arc::new(Over::default());
        let (writing, permitted, output) = (Arc::clone(&stream), Arc::clone(&allowance), Arc::clone(output));
        let other = Arc::clone(&over);
        start(move || {
            write(channel_id, &writing, &queued, (&permitted, &other), &output);
            let _ = writing.shutdown(Shutdown::Both);
        })?;
        let connection = Connection { outgoing, allowance: Arc::clone(&allowance) };
        connections.lock().unwrap_or_else(PoisonError::into_inner).insert(channel_id, connection);
        Ok((stream, allowance, over))
    });
    let (stream, allowance, over) = match connected {
        Ok(connected) => connected,
        Err(error) => return send(output, &frame(channel_id, FAILED, reason(&error).as_bytes())),
    };
    send(output, &frame(channel_id, OPENED, &[]))?;
    // A whole frame: what is read stands behind its head already.
    let mut buffer = vec![0; HEAD_BYTES + READ_BYTES];
    while let Some(allowed) = allowance.some() {
        let most = HEAD_BYTES + allowed.min(READ_BYTES);
        match (&*stream).read(&mut buffer[HEAD_BYTES..most]) {
            Ok(0) => {
                send(output, &frame(channel_id, END, &[]))?;
                return over.tell(channel_id, output);
            }
            Ok(count) => {
                allowance.spend(count);
                buffer[..HEAD_BYTES].copy_from_slice(&head(channel_id, DATA, count));
                send(output, &buffer[..HEAD_BYTES + count])?;
            }
            Err(_) => return send(output, &frame(channel_id, CLOSE, &[])),
        }
    }
    Ok(())
}

/// Copies to the connection, and says what the server has taken, until everything is written that the launcher sent before it
/// closed the connection.
fn write(
    channel_id: u32,
    stream: &TcpStream,
    queued: &Receiver<Vec<u8>>,
    (allowance, over): (&Allowance, &Over),
    output: &Output,
) {
    let mut is_taken = true;
    while let Ok(bytes) = queued.recv() {
        if bytes.is_empty() {
            let _ = stream.shutdown(Shutdown::Write);
            continue;
        }
        // What a server does not take any more is thrown away until it has said all: its answer may still be on its way.
        if is_taken && write_all(stream, &bytes, allowance).is_err() {
            is_taken = false;
            if over.tell(channel_id, output).is_err() {
                return;
            }
        }
        if send(output, &taken_frame(channel_id, bytes.len())).is_err() {
            return;
        }
    }
}

/// Writes them, however long the server takes, but once the connection is over: then nobody else ends a wait for a server that
/// reads nothing.
fn write_all(mut stream: &TcpStream, mut bytes: &[u8], allowance: &Allowance) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !allowance.is_over() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)));
    let connections: Connections = Arc::default();
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut input = BufReader::with_capacity(INPUT_BYTES, input);
    let mut head = [0; HEAD_BYTES];
    let (said, first_word) = channel::<()>();
    start(move || {
        if first_word.recv_timeout(FIRST_WORD) == Err(RecvTimeoutError::Timeout) {
            std::process::exit(1);
        }
    })?;
    let mut said = Some(said);
    while input.read_exact(&mut head).is_ok() {
        // Whoever waits for the first word learns that it came by the end of this.
        drop(said.take());
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
    connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // Every connection's threads hold it.
    let given_up = Instant::now() + LAST_WORDS;
    while Arc::strong_count(&output) > 1 && Instant::now() < given_up {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
