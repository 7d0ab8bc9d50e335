//! The relay: a static program that dials on a container network for a launcher that has no route there.
//!
//! It speaks frames over standard input and output, `channel: u32, kind: u8, length: u32` and that many bytes,
//! big-endian, and ends when its input ends. It does nothing but dial: which places may be dialled is decided
//! by the launcher, who alone writes to it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// To the relay: dial; the payload is milliseconds (u32) and the address as text.
const OPEN: u8 = 0;
/// Both ways: bytes.
const DATA: u8 = 1;
/// Both ways: this direction is over.
const CLOSE: u8 = 2;
/// From the relay: connected.
const OPENED: u8 = 3;
/// From the relay: not connected; the payload is the reason.
const FAILED: u8 = 4;

/// No frame is larger.
const FRAME_BYTES: usize = 64 << 10;

type Output = Arc<Mutex<io::Stdout>>;
type Streams = Arc<Mutex<HashMap<u32, TcpStream>>>;

fn send(output: &Output, channel: u32, kind: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(9 + payload.len());
    frame.extend(channel.to_be_bytes());
    frame.push(kind);
    frame.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
    frame.extend(payload);
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    output.write_all(&frame)?;
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
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timed out".to_owned(),
        _ => error.to_string(),
    }
}

/// Dials, then copies from the connection until it ends.
fn serve(channel: u32, payload: &[u8], output: &Output, streams: &Streams) -> io::Result<()> {
    let mut stream = match dial(payload) {
        Ok(stream) => stream,
        Err(error) => return send(output, channel, FAILED, reason(&error).as_bytes()),
    };
    let copy = stream.try_clone()?;
    streams.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, copy);
    send(output, channel, OPENED, &[])?;
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return send(output, channel, CLOSE, &[]),
            Ok(count) => send(output, channel, DATA, &buffer[..count])?,
        }
    }
}

fn main() -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(io::stdout()));
    let streams: Streams = Arc::default();
    let mut input = io::stdin().lock();
    let mut head = [0; 9];
    while input.read_exact(&mut head).is_ok() {
        let [a, b, c, d, kind, e, f, g, h] = head;
        let channel = u32::from_be_bytes([a, b, c, d]);
        let length = u32::from_be_bytes([e, f, g, h]) as usize;
        if length > FRAME_BYTES {
            break;
        }
        let mut payload = vec![0; length];
        if input.read_exact(&mut payload).is_err() {
            break;
        }
        match kind {
            OPEN => {
                let (output, streams) = (Arc::clone(&output), Arc::clone(&streams));
                thread::spawn(move || serve(channel, &payload, &output, &streams));
            }
            DATA => {
                let stream = streams.lock().unwrap_or_else(PoisonError::into_inner).get(&channel).map(TcpStream::try_clone);
                if let Some(Ok(mut stream)) = stream
                    && stream.write_all(&payload).is_err()
                {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            CLOSE => {
                let stream = streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
                if let Some(stream) = stream {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            _ => break,
        }
    }
    Ok(())
}
